"""The query parameters of a write, and DeleteOptions.

In: query parameters, a body. Out: `WriteOptions`, `DeleteOptions`. Refuses (400) values that Kubernetes does not know.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from outrig.api.kube.statuses import Subject, invalid
from outrig.api.kube.validation import Strictness
from outrig.api.refusals import Cause, bad_request

MANAGER_BYTES = 128
OPTIONS = {"create": "Create", "update": "Update", "patch": "Patch", "apply": "Patch"}


class Propagation(StrEnum):
    """What happens to what the deleted object owns: it stays, it goes too, it goes first."""

    ORPHAN = "Orphan"
    BACKGROUND = "Background"
    FOREGROUND = "Foreground"


POLICIES = ("Foreground", "Background", "Orphan", "nil")
DELETE_FIELDS = {
    "propagationPolicy": (str, "a text"),
    "orphanDependents": (bool, "true or false"),
    "gracePeriodSeconds": (int, "a whole number"),
    "dryRun": (list, "a list"),
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
    """`uid` and `revision` must be those of the object, where given (0: not given)."""

    propagation: Propagation = Propagation.BACKGROUND
    dry_run: bool = False
    uid: str = ""
    revision: int = 0


def write_options(query: Mapping[str, str], verb: str, *, agent: str, at: datetime) -> WriteOptions:
    """From a query, the User-Agent and the time. `verb`: create, update, patch or apply. Raises ApiError (400, 422)."""
    strictness = query.get("fieldValidation") or Strictness.WARN
    if strictness not in set(Strictness):
        raise bad_request(f"fieldValidation: {strictness!r} is none of {', '.join(Strictness)}")
    if causes := tuple(_manager_problems(query, verb)):
        raise invalid(Subject("meta.k8s.io", "", f"{OPTIONS[verb]}Options"), causes)
    return WriteOptions(
        manager=query.get("fieldManager") or _manager_of(agent),
        at=at,
        dry_run=_dry_run(query.get("dryRun")),
        strictness=Strictness(strictness),
        force="force" in query and query["force"].lower() not in ("0", "false"),
    )


def delete_options(query: Mapping[str, str], body: Mapping[str, Any]) -> DeleteOptions:
    """From a query and a body, which says more where both speak. Raises ApiError (400, 422)."""
    _check_form(body)
    told = {**query, **{field: value for field, value in body.items() if value not in (None, "", [])}}
    if causes := tuple(_deletion_problems(told)):
        raise invalid(Subject("meta.k8s.io", "", "DeleteOptions"), causes)
    orphan = Propagation.ORPHAN if told.get("orphanDependents") in (True, "true", "1") else Propagation.BACKGROUND
    propagation = told.get("propagationPolicy") or orphan
    preconditions = body.get("preconditions") or {}
    if not isinstance(preconditions, Mapping):
        raise bad_request("preconditions must be an object")
    uid, revision = preconditions.get("uid") or "", preconditions.get("resourceVersion") or "0"
    if not isinstance(uid, str) or not (isinstance(revision, str) and revision.isascii() and revision.isdigit()):
        raise bad_request("preconditions: uid and resourceVersion must be texts that this server gave")
    return DeleteOptions(Propagation(propagation), bool(told.get("dryRun")), uid, int(revision))


def _check_form(body: Mapping[str, Any]) -> None:
    """Raises ApiError (400) for another object, and for options that are not of their type."""
    if (kind := body.get("kind") or "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"a deletion takes DeleteOptions, not {kind!r}")
    for field, (type_, what) in DELETE_FIELDS.items():
        if (value := body.get(field)) is not None and type(value) is not type_:
            raise bad_request(f"DeleteOptions: {field}: {value!r} is not {what}")


def _deletion_problems(told: Mapping[str, Any]) -> Iterator[Cause]:
    """In Kubernetes' words (ValidateDeleteOptions of k8s.io/apimachinery meta/v1)."""
    field, policy, dry_run = "propagationPolicy", told.get("propagationPolicy"), told.get("dryRun")
    if policy and told.get("orphanDependents") not in (None, ""):
        why = "orphanDependents and deletionPropagation cannot be both set"
        yield Cause(field, f"Invalid value: {json.dumps(policy)}: {why}")
    if policy and policy not in set(Propagation):
        yield _unsupported(field, policy, POLICIES)
    if dry_run and dry_run not in ("All", ["All"]):
        yield _unsupported("dryRun", dry_run, ("All",))


def _unsupported(field: str, value: Any, known: tuple[str, ...]) -> Cause:
    listed = ", ".join(map(json.dumps, known))
    problem = f"Unsupported value: {json.dumps(value)}: supported values: {listed}"
    return Cause(field, problem, "FieldValueNotSupported")


def _manager_problems(query: Mapping[str, str], verb: str) -> Iterator[Cause]:
    """In Kubernetes' words (ValidatePatchOptions of k8s.io/apimachinery meta/v1)."""
    manager = query.get("fieldManager", "")
    if verb == "apply" and not manager:
        yield Cause("fieldManager", "Required value: is required for apply patch", "FieldValueRequired")
    if verb != "apply" and "force" in query:
        yield Cause("force", "Forbidden: may not be specified for non-apply patch", "FieldValueForbidden")
    if len(manager.encode()) > MANAGER_BYTES:
        yield Cause("fieldManager", f"Too long: may not be more than {MANAGER_BYTES} bytes", "FieldValueTooLong")
    if not manager.isprintable():
        yield Cause("fieldManager", f"Invalid value: {json.dumps(manager)}: should only contain printable characters")


def _manager_of(agent: str) -> str:
    """Who writes if nobody is named: the User-Agent up to its first slash, as in Kubernetes."""
    name = "".join(filter(str.isprintable, agent.partition("/")[0]))
    return name.encode()[:MANAGER_BYTES].decode(errors="ignore") or "unknown"


def _dry_run(value: Any) -> bool:
    if value in (None, "", []):
        return False
    if value in ("All", ["All"]):
        return True
    raise bad_request(f"dryRun: {value!r} is not supported; the only value is All")
