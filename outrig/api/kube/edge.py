"""The edge of a request: whatever goes wrong within becomes a Kubernetes Status, never a traceback.

In: a function that answers. Out: an ASGI application. An unexpected error is logged under a reference that the caller
is told.
"""

import secrets
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from outrig.api.kube.answers import refuse
from outrig.api.kube.statuses import ApiError, Subject, of_store
from outrig.errors import OutrigError

Respond = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger(__name__)


class Answering:
    """Answers every request by `respond`. An ASGI application for the scope `http`."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ApiError as error:
            response = refuse(error)
        except ClientDisconnect:
            return
        except OutrigError as error:
            response = refuse(of_store(error, Subject("", "")) or _unexpected(request))
        except Exception:  # noqa: BLE001 - the edge of a request: logged, and answered with a Status
            response = refuse(_unexpected(request))
        await response(scope, receive, send)


def _unexpected(request: Request) -> ApiError:
    reference = secrets.token_hex(4)
    _log.exception("request failed", reference=reference, method=request.method, path=request.url.path)
    return ApiError("InternalError", f"an internal error occurred; the server's log has it under {reference}")
