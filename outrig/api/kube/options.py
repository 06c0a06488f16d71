"""The query parameters of a write, and DeleteOptions.

In: query parameters, a body. Out: `WriteOptions`, `DeleteOptions`. Refuses values that Kubernetes does not know, as it
does: 422 with every wrong option, 400 for what cannot be read at all.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from outrig.api.kube.list_options import flag
from outrig.api.kube.statuses import Subject, invalid
from outrig.api.kube.validation import Strictness
from outrig.api.numbers import whole
from outrig.api.refusals import Cause, bad_request

MANAGER_BYTES = 128
OPTIONS = {"create": "Create", "update": "Update", "patch": "Patch", "apply": "Patch"}


class Propagation(StrEnum):
    """What happens to what the deleted object owns: it stays, it goes too, it goes first."""

    ORPHAN = "Orphan"
    BACKGROUND = "Background"
    FOREGROUND = "Foreground"


POLICIES = ("Foreground", "Background", "Orphan", "nil")
VALIDATIONS = ("", "Ignore", "Strict", "Warn")
OPTIONS_VERSIONS = ("v1", "meta.k8s.io/v1")
DELETE_FIELDS = {
    "propagationPolicy": (str, "a text"),
    "orphanDependents": (bool, "true or false"),
    "gracePeriodSeconds": (int, "a whole number"),
    "dryRun": (list, "a list"),
    "ignoreStoreReadErrorWithClusterBreakingPotential": (bool, "true or false"),
}


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """With `dry_run` everything is checked and answered, and nothing is kept.

    `manager` is who writes and `at` when, as managedFields will say; `force`: take over fields that others manage.
    """

    manager: str
    at: datetime
    dry_run: bool = False
    strictness: Strictness = Strictness.WARN
    force: bool = False


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`uid` and `revision` must be those of the object, where given (0: not given).

    `propagation` is None where the caller leaves it to the object's finalizers.
    """

    propagation: Propagation | None = None
    dry_run: bool = False
    uid: str = ""
    revision: int = 0


def write_options(query: Mapping[str, str], verb: str, *, agent: str, at: datetime) -> WriteOptions:
    """From a query, the User-Agent and the time. `verb`: create, update, patch or apply. Raises ApiError (422)."""
    if causes := tuple(_write_problems(query, verb)):
        raise invalid(Subject("meta.k8s.io", "", f"{OPTIONS[verb]}Options"), causes)
    return WriteOptions(
        manager=query.get("fieldManager") or _manager_of(agent),
        at=at,
        dry_run=bool(query.get("dryRun")),
        strictness=Strictness(query.get("fieldValidation") or Strictness.WARN),
        force=flag(query, "force"),
    )


def delete_options(query: Mapping[str, str], body: Mapping[str, Any], *, version: str) -> DeleteOptions:
    """From a query and a body, which says more where both speak. Raises ApiError (400, 422).

    `version`: the apiVersion of the URL, in which clients send these options too.
    """
    _check_form(body, (*OPTIONS_VERSIONS, version))
    _check_seconds(query.get("gracePeriodSeconds", ""))
    asked = {**query, "orphanDependents": flag(query, "orphanDependents")} if "orphanDependents" in query else query
    told = {**asked, **{field: value for field, value in body.items() if value not in (None, "", [])}}
    if causes := tuple(_deletion_problems(told)):
        raise invalid(Subject("meta.k8s.io", "", "DeleteOptions"), causes)
    propagation = told.get("propagationPolicy") or _older_policy(told.get("orphanDependents"))
    uid, revision = _preconditions(body)
    policy = Propagation(propagation) if propagation else None
    return DeleteOptions(policy, bool(told.get("dryRun")), uid, revision)


def _preconditions(body: Mapping[str, Any]) -> tuple[str, int]:
    """The uid and the revision that the object must have; empty and 0 where anything will do. Raises ApiError (400)."""
    if (said := body.get("preconditions")) is None:
        return "", 0
    if not isinstance(said, Mapping):
        raise bad_request("preconditions must be an object")
    uid, text = (said.get(field) or "" for field in ("uid", "resourceVersion"))
    revision = whole(text or "0") if isinstance(text, str) else None
    if not isinstance(uid, str) or revision is None:
        raise bad_request("preconditions: uid and resourceVersion must be texts that this server gave")
    return uid, revision


def _older_policy(orphan: object) -> Propagation | None:
    """What orphanDependents says, an older word that clients still send."""
    if orphan is None:
        return None
    return Propagation.ORPHAN if orphan else Propagation.BACKGROUND


def _check_form(body: Mapping[str, Any], versions: Sequence[str]) -> None:
    """Raises ApiError (400) for another object, and for options that are not of their type."""
    if (kind := body.get("kind") or "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"a deletion takes DeleteOptions, not {kind!r}")
    if (version := body.get("apiVersion") or "v1") not in versions:
        raise bad_request(f"a deletion takes DeleteOptions of apiVersion {' or '.join(versions)}, not {version!r}")
    for field, (type_, what) in DELETE_FIELDS.items():
        if (value := body.get(field)) is not None and type(value) is not type_:
            raise bad_request(f"DeleteOptions: {field}: {value!r} is not {what}")


def _check_seconds(text: str) -> None:
    """Raises ApiError (400) for a query's gracePeriodSeconds that is no number. No number of them matters here."""
    if text and not text.removeprefix("-").isdecimal():
        raise bad_request(f"gracePeriodSeconds: {text!r} is not a whole number")


def _deletion_problems(told: Mapping[str, Any]) -> Iterator[Cause]:
    """In Kubernetes' words (ValidateDeleteOptions of k8s.io/apimachinery meta/v1)."""
    field, policy, dry_run = "propagationPolicy", told.get("propagationPolicy"), told.get("dryRun")
    if policy and told.get("orphanDependents") is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        yield Cause(field, f"Invalid value: {json.dumps(policy)}: {why}")
    if policy and policy not in set(Propagation):
        yield _unsupported(field, json.dumps(policy), POLICIES)
    yield from _dry_run_problems([dry_run] if isinstance(dry_run, str) else dry_run)


def _write_problems(query: Mapping[str, str], verb: str) -> Iterator[Cause]:
    """In Kubernetes' words (ValidateCreateOptions and its like of k8s.io/apimachinery meta/v1)."""
    manager, validation = query.get("fieldManager", ""), query.get("fieldValidation", "")
    if verb == "apply" and not manager:
        yield Cause("fieldManager", "Required value: is required for apply patch", "FieldValueRequired")
    if verb != "apply" and "force" in query:
        yield Cause("force", "Forbidden: may not be specified for non-apply patch", "FieldValueForbidden")
    yield from _manager_problems(manager)
    yield from _dry_run_problems([dry_run] if (dry_run := query.get("dryRun")) else None)
    if validation not in VALIDATIONS:
        yield _unsupported("fieldValidation", json.dumps(validation), VALIDATIONS)


def _manager_problems(manager: str) -> Iterator[Cause]:
    field = "fieldManager"
    if len(manager.encode()) > MANAGER_BYTES:
        yield Cause(field, f"Too long: may not be more than {MANAGER_BYTES} bytes", "FieldValueTooLong")
        return  # each of its characters would be quoted with all the others
    for index, char in enumerate(manager):
        if not char.isprintable():
            why = f"invalid character U+{ord(char):04X} (at position {len(manager[:index].encode())})"
            yield Cause(field, f"Invalid value: {json.dumps(manager)}: {why}")


def _dry_run_problems(asked: Sequence[Any] | None) -> Iterator[Cause]:
    if asked and any(one != "All" for one in asked):
        listed = ", ".join(map(json.dumps, asked))
        yield _unsupported("dryRun", f"[]string{{{listed}}}", ("All",))


def _unsupported(field: str, shown: str, known: Iterable[str]) -> Cause:
    listed = ", ".join(map(json.dumps, known))
    return Cause(field, f"Unsupported value: {shown}: supported values: {listed}", "FieldValueNotSupported")


def _manager_of(agent: str) -> str:
    """Who writes if nobody is named: the User-Agent up to its first slash, as in Kubernetes."""
    name = "".join(filter(str.isprintable, agent.partition("/")[0]))
    return name.encode()[:MANAGER_BYTES].decode(errors="ignore") or "unknown"
