"""Refusals as Kuma words them: a problem document (RFC 9457), with the names that older clients read beside the new.

In: an error. Out: its document, and the response. Titles and details are those that Kuma's own clients know.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from outrig.api.refusals import ApiError, Cause
from outrig.dialects.causes import shown
from outrig.dialects.kind import Kind
from outrig.errors import OutrigError
from outrig.store import protocol as stores

RETRIEVE: Final = "Could not retrieve a resource"
RETRIEVE_MANY: Final = "Could not retrieve resources"
PROCESS: Final = "Could not process a resource"
DELETE: Final = "Could not delete a resource"
NOT_VALID: Final = "Resource is not valid"

_TITLES: Final = {
    "Unauthorized": "Invalid authentication data",
    "Forbidden": "Access Denied",
    "NotFound": RETRIEVE,
    "MethodNotAllowed": "Method not Allowed",
    "Conflict": "Conflict",
    "AlreadyExists": "Conflict",
    "InternalError": "Internal Server Error",
    "ServiceUnavailable": "Service Unavailable",
    "TooManyRequests": "Too Many Requests",
}


class Refusal(ApiError):
    """A refusal with its title and the fields that are wrong."""

    def __init__(
        self, reason: str, title: str, detail: str, causes: Iterable[Cause] = (), *, allowed: Sequence[str] = ()
    ) -> None:
        super().__init__(reason, detail, allowed=allowed)
        self.title, self.causes = title, tuple(causes)


def not_valid(causes: Iterable[Cause], *, title: str = PROCESS, detail: str = NOT_VALID) -> Refusal:
    """Fields are wrong, all of them named at once."""
    return Refusal("BadRequest", title, detail, causes)


def not_found(title: str = RETRIEVE, what: str = "") -> Refusal:
    """There is no such resource (`what`, where that is known), or nothing is served there."""
    return Refusal("NotFound", title, f"Not found: there is no {what}" if what else "Not found")


def named(kind: Kind, mesh: str, name: str) -> str:
    """A resource as sentences name it."""
    where = f" in mesh {shown(mesh)}" if mesh and kind.name != "Mesh" else ""
    return f"{kind.name} {shown(name)}{where}"


def not_allowed(why: str, allowed: Sequence[str]) -> Refusal:
    """The path does not have that method, but these."""
    return Refusal("MethodNotAllowed", "Method not Allowed", why, allowed=allowed)


def denied(why: str) -> Refusal:
    """The caller may not."""
    return Refusal("Forbidden", "Access Denied", why)


def refuse(error: OutrigError) -> Response | None:
    """An error as a response; None for one that no request should raise."""
    told = error if isinstance(error, ApiError) else _of_store(error)
    if told is None:
        return None
    response = JSONResponse(document(told), status_code=told.http_code)
    if told.reason == "Unauthorized":
        response.headers["www-authenticate"] = "Bearer"
    if told.reason == "MethodNotAllowed":
        response.headers["allow"] = ", ".join(told.allowed)
    if told.reason in ("ServiceUnavailable", "TooManyRequests"):
        response.headers["retry-after"] = "1"
    return response


def document(error: ApiError) -> dict[str, Any]:
    """The problem document. `details` and `causes` say the same as `detail` and `invalid_parameters`, for old clients.

    `instance` names this occurrence.
    """
    causes = error.causes if isinstance(error, Refusal) else ()
    title = error.title if isinstance(error, Refusal) else _TITLES.get(error.reason, "Could not process the request")
    parameters = [{"field": cause.field, "reason": cause.message} for cause in causes]
    mirrored = [{"field": cause.field, "message": cause.message} for cause in causes]
    said = {
        "type": "/std-errors",
        "status": error.http_code,
        "title": title,
        "detail": error.message,
        "instance": secrets.token_hex(8),
        "details": error.message,
    }
    return {**said, "invalid_parameters": parameters, "causes": mirrored} if causes else said


def _of_store(error: OutrigError) -> ApiError | None:
    match error:
        case stores.NotFound():
            return not_found()
        case stores.AlreadyExists() | stores.Conflict():
            return Refusal("Conflict", "Conflict", "somebody else changed it meanwhile: read it again and repeat")
        case stores.Unavailable():
            return ApiError("ServiceUnavailable", f"the store cannot be reached now: {error.problem} [{error.code}]")
    return None
