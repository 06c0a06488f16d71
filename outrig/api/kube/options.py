"""The query parameters of a write, and DeleteOptions.

In: query parameters, a body. Out: `WriteOptions`, `DeleteOptions`. Refuses (400) values that Kubernetes does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outrig.api.kube.validation import Strictness
from outrig.api.refusals import bad_request


class Propagation(StrEnum):
    """What happens to what the deleted object owns. Background and Foreground are the same here: one transaction."""

    ORPHAN = "Orphan"
    BACKGROUND = "Background"
    FOREGROUND = "Foreground"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """With `dry_run` everything is checked and answered, and nothing is kept."""

    dry_run: bool = False
    strictness: Strictness = Strictness.WARN


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`uid` and `revision` must be those of the object, where given (0: not given)."""

    propagation: Propagation = Propagation.BACKGROUND
    dry_run: bool = False
    uid: str = ""
    revision: int = 0


def write_options(query: Mapping[str, str]) -> WriteOptions:
    """From a query. Raises ApiError (400)."""
    strictness = query.get("fieldValidation") or Strictness.WARN
    if strictness not in set(Strictness):
        raise bad_request(f"fieldValidation: {strictness!r} is none of {', '.join(Strictness)}")
    return WriteOptions(_dry_run(query.get("dryRun")), Strictness(strictness))


def delete_options(query: Mapping[str, str], body: Mapping[str, Any]) -> DeleteOptions:
    """From a query and a body, which says more where both speak. Raises ApiError (400)."""
    orphan = Propagation.ORPHAN if body.get("orphanDependents") else Propagation.BACKGROUND
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or orphan
    if not isinstance(propagation, str) or propagation not in set(Propagation):
        raise bad_request(f"propagationPolicy: {propagation!r} is none of {', '.join(Propagation)}")
    preconditions = body.get("preconditions") or {}
    if not isinstance(preconditions, Mapping):
        raise bad_request("preconditions must be an object")
    uid, revision = preconditions.get("uid") or "", preconditions.get("resourceVersion") or "0"
    if not isinstance(uid, str) or not (isinstance(revision, str) and revision.isascii() and revision.isdigit()):
        raise bad_request("preconditions: uid and resourceVersion must be texts that this server gave")
    dry_run = _dry_run(body.get("dryRun")) or _dry_run(query.get("dryRun"))
    return DeleteOptions(Propagation(propagation), dry_run, uid, int(revision))


def _dry_run(value: Any) -> bool:
    if value in (None, "", []):
        return False
    if value in ("All", ["All"]):
        return True
    raise bad_request(f"dryRun: {value!r} is not supported; the only value is All")
