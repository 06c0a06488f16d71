"""The edge of a request: whatever goes wrong within becomes an answer in the form of the API, never a traceback.

In: a function that answers, and one that words refusals. Out: an ASGI application. An unexpected error is logged under
a reference that the caller is told.
"""

import secrets
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from outrig.api.refusals import ApiError
from outrig.errors import OutrigError

Respond = Callable[[Request], Awaitable[Response]]
Refuse = Callable[[OutrigError], Response | None]

_log = structlog.get_logger(__name__)


class Answering:
    """Answers every request by `respond`. An ASGI application for the scope `http`.

    `refuse` words an error as a response; None for one that no request should raise.
    """

    def __init__(self, respond: Respond, refuse: Refuse) -> None:
        self._respond, self._refuse = respond, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        except OutrigError as error:
            response = self._refuse(error) or self._unexpected(request)
        except Exception:  # noqa: BLE001 - the edge of a request: logged, and answered
            response = self._unexpected(request)
        await response(scope, receive, send)

    def _unexpected(self, request: Request) -> Response:
        reference = secrets.token_hex(4)
        _log.exception("request failed", reference=reference, method=request.method, path=request.url.path)
        said = ApiError("InternalError", f"an internal error occurred; the server's log has it under {reference}")
        return self._refuse(said) or Response(status_code=500)
