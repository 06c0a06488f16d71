"""Requests that are refused, whichever API was asked: why, in one word that decides the HTTP code, and in a sentence.

Each API writes the answer in its own form. The words are those of k8s.io/apimachinery meta/v1 `StatusReason`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from outrig.dialects.causes import Cause as Cause  # what refusals give as their reasons
from outrig.errors import OutrigError

HTTP_CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "RequestTimeout": 408,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


class ApiError(OutrigError):
    """A request that is refused. `reason` decides the HTTP code; `details` are of the API that was asked.

    `allowed`: the methods that would be taken there, where the request's is not (RFC 9110, 15.5.6).
    """

    code = "OUT402"

    def __init__(
        self, reason: str, message: str, *, details: Mapping[str, Any] | None = None, allowed: Sequence[str] = ()
    ) -> None:
        super().__init__("request", message)
        self.reason, self.message, self.details, self.allowed = reason, message, dict(details or {}), tuple(allowed)

    @property
    def http_code(self) -> int:
        """The HTTP status code."""
        return HTTP_CODES[self.reason]


def bad_request(message: str) -> ApiError:
    """The request cannot be understood."""
    return ApiError("BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """The credentials are wrong."""
    return ApiError("Unauthorized", message)
