"""The edge of a request: whoever asks is identified, and whatever goes wrong within becomes an answer in the form of
the API, never a traceback.

In: functions that answer, that word refusals, and that describe a request for the audit log before it is known who
asks; what all requests pass. Out: an ASGI application. An unexpected error is logged under a reference that the caller
is told. What takes too long is ended.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from outrig.api.access.gate import Gate
from outrig.api.accounts import Account, account, accounting
from outrig.api.auditing import AUDIT_ID, LONGEST, tell
from outrig.api.callers import Caller
from outrig.api.refusals import ApiError
from outrig.errors import OutrigError

Respond = Callable[[Request, Caller], Awaitable[Response]]
Refuse = Callable[[OutrigError], Response | None]
Describe = Callable[[Request, Account], None]
READS: Final = ("GET", "HEAD")
SECONDS: Final = 60.0
"""For an answer to be made, its request's body included. What is sent afterwards, as in a watch, has its own time."""

_log = structlog.get_logger(__name__)
_requests = logging.getLogger(__name__)  # which costs nothing as long as nobody debugs


def describe_nothing(_request: Request, _account: Account) -> None:
    """For what the path says all about."""


class Answering:
    """Answers every request by `respond`. An ASGI application for the scope `http`.

    `refuse` words an error as a response; None for one that no request should raise. `describe` notes what a request
    asks, so that it is told of those too that are not let in. `seconds`: for each.
    """

    def __init__(
        self,
        respond: Respond,
        refuse: Refuse,
        gate: Gate,
        *,
        describe: Describe = describe_nothing,
        seconds: float = SECONDS,
    ) -> None:
        self._respond, self._refuse, self._gate, self._seconds = respond, refuse, gate, seconds
        self._describe = describe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        with accounting() as told:
            try:
                response, reason = await self._outcome(request)
            except ClientDisconnect:
                return
            except asyncio.CancelledError:  # the server stops; whether something was written is not known
                if request.method not in READS:
                    tell(request, told, code=0, reason="Interrupted")
                raise
        if request.method not in READS:
            response.headers[AUDIT_ID] = tell(request, told, code=response.status_code, reason=reason)
        _note(request, told, response.status_code)
        response.raw_headers.extend(told.headers)
        await self._send(response, told.caller, scope=scope, receive=receive, send=send)

    async def _outcome(self, request: Request) -> tuple[Response, str]:
        """The response, and the reason if it is a refusal."""
        try:
            return await self._answer(request), ""
        except ClientDisconnect:
            raise
        except OutrigError as error:
            reason = error.reason if isinstance(error, ApiError) else error.code
            return self._refuse(error) or self._unexpected(request), reason
        except Exception:  # noqa: BLE001 - the edge of a request: logged, and answered
            return self._unexpected(request), "InternalError"

    async def _send(
        self, response: Response, caller: Caller | None, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send it; a stream is ended when the credential that it was asked with does not count any more."""
        is_whole = False

        async def noting(message: Message) -> None:
            nonlocal is_whole
            await send(message)
            is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            async with asyncio.timeout_at(_loop_time(caller.until if caller else None)) as limit:
                with self._gate.certificates.using(caller, limit):
                    await response(scope, receive, noting)
        except TimeoutError:
            if not limit.expired():
                raise
            if not is_whole:
                await send({"type": "http.response.body", "more_body": False})

    async def _answer(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                self._describe(request, account())
                caller = await self._gate.identify(request.scope)
                with self._gate.traffic.taken(_slot(request, caller), writing=request.method not in READS):
                    return await self._respond(request, caller)
        except TimeoutError:
            if not limit.expired():
                raise
            said = "Timeout: request did not complete within the allotted timeout"
            raise ApiError("Timeout", said) from None

    def _unexpected(self, request: Request) -> Response:
        reference = secrets.token_hex(4)
        _log.exception("request failed", reference=reference, method=request.method, path=request.url.path)
        said = ApiError("InternalError", f"an internal error occurred; the server's log has it under {reference}")
        return self._refuse(said) or Response(status_code=500)


def _note(request: Request, told: Account, code: int) -> None:
    """A line of every answer, for who debugs: nothing that only its caller should know, so not even the query."""
    verb = told.asked.verb if told.asked else request.method.lower()
    user = told.caller.name if told.caller else ""
    _requests.debug("request user=%r verb=%s path=%r code=%d", user, verb, request.scope["path"][:LONGEST], code)


def _slot(request: Request, caller: Caller) -> str:
    """Whose requests count together: those of one name; of nobody those of one address."""
    return f"{caller.name} {request.client.host if request.client else ''}" if caller.is_anonymous else caller.name


def _loop_time(moment: datetime | None) -> float | None:
    """A time of day by the clock of the event loop."""
    return asyncio.get_running_loop().time() + (moment - datetime.now(UTC)).total_seconds() if moment else None
