"""Errors as Kubernetes `Status` documents: what kubectl prints when something is refused.

In: what went wrong, in the terms of the request. Out: an `ApiError`, which knows its HTTP code and its document.
The reasons are those of k8s.io/apimachinery meta/v1 `StatusReason`; kubectl chooses its words by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from outrig.api.refusals import ApiError, Cause
from outrig.errors import OutrigError
from outrig.store import protocol as stores

MOST_CAUSES: Final = 200
"""Named of one object: thousands help nobody, and make an answer of megabytes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: the type's group and plural, the kind, the object's name (empty for a collection)."""

    group: str
    plural: str
    kind: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def details(self) -> dict[str, Any]:
        """The `details` of a Status about it."""
        parts = {"name": self.name, "group": self.group, "kind": self.plural}
        return {part: value for part, value in parts.items() if value}


def status_of(error: ApiError) -> dict[str, Any]:
    """The Status document of a refusal."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "details": error.details,
        "code": error.http_code,
    }


def success(subject: Subject, uid: str) -> dict[str, Any]:
    """The Status of an object that is gone."""
    details = {**subject.details(), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def unknown_path() -> ApiError:
    """Nothing is served there."""
    return ApiError("NotFound", "the server could not find the requested resource")


def not_found(subject: Subject) -> ApiError:
    """There is no such object."""
    return ApiError("NotFound", f'{subject} "{subject.name}" not found', details=subject.details())


def already_exists(subject: Subject) -> ApiError:
    """An object of that name is there already."""
    return ApiError("AlreadyExists", f'{subject} "{subject.name}" already exists', details=subject.details())


def conflict(subject: Subject, why: str) -> ApiError:
    """The object is not as the caller believes."""
    message = f'Operation cannot be fulfilled on {subject} "{subject.name}": {why}'
    return ApiError("Conflict", message, details=subject.details())


def forbidden(subject: Subject, why: str) -> ApiError:
    """The caller may not, or nobody may."""
    name = f' "{subject.name}"' if subject.name else ""
    return ApiError("Forbidden", f"{subject}{name} is forbidden: {why}", details=subject.details())


def terminating(subject: Subject, namespace: str) -> ApiError:
    """The namespace is being deleted, and takes nothing new. Kubernetes' words: clients know the cause's reason."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    message = f"namespace {namespace} is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
    refused = forbidden(subject, why)
    return ApiError(refused.reason, refused.message, details={**refused.details, "causes": [cause]})


def method_not_allowed(subject: Subject, allowed: Sequence[str]) -> ApiError:
    """The type does not have that verb; these methods are taken there."""
    message = "the server does not allow this method on the requested resource"
    return ApiError("MethodNotAllowed", message, details=subject.details(), allowed=allowed)


def invalid(subject: Subject, causes: Sequence[Cause]) -> ApiError:
    """Fields are wrong, all of them named at once; of very many only the first, and that there are more."""
    if len(causes) > MOST_CAUSES:
        causes = (Cause("", f"there are more than {MOST_CAUSES} problems, here are the first"), *causes[:MOST_CAUSES])
    listed = ", ".join(str(cause) for cause in causes)
    what = f"{subject.kind}.{subject.group}" if subject.group else subject.kind
    described = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    details = {"name": subject.name, "group": subject.group, "kind": subject.kind, "causes": described}
    message = f'{what} "{subject.name}" is invalid: {f"[{listed}]" if len(causes) > 1 else listed}'
    return ApiError("Invalid", message, details=details)


def expired(message: str) -> ApiError:
    """The change log does not reach back that far."""
    return ApiError("Expired", message)


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def of_store(error: OutrigError, subject: Subject) -> ApiError | None:
    """A store's error in the terms of a request about `subject`; None for what is not a store's."""
    match error:
        case stores.NotFound():
            return not_found(subject)
        case stores.AlreadyExists():
            return already_exists(subject)
        case stores.Conflict():
            return conflict(subject, MODIFIED)
        case stores.Gone():
            return expired(f"{error.problem} ({error.hint})" if error.hint else error.problem)
        case stores.Unavailable():
            return ApiError("ServiceUnavailable", f"the store cannot be reached now: {error.problem}")
    return None
