"""HTTP for getting in: `GET /v1/discovery`, `POST /v1/challenge`, `POST /v1/join` (see `wire.join`).

In: at most 64 KiB of JSON of exactly the agreed form, read within a time limit. Out: the answer, or a `Refusal` with
its status; whatever goes wrong, never a traceback.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from outrig.admission.ports import Peer
from outrig.admission.refusals import Malformed, Refused, TooLarge, Unexpected
from outrig.wire.codec import WireError, decode, encode
from outrig.wire.join import MAX_REQUEST, Challenge, Discovery, JoinRequest, JoinResponse, Refusal

_PATIENCE = 10.0  # seconds for a request's body to arrive
_log = logging.getLogger(__name__)
Answer = Callable[[Request], Awaitable[Any]]
Clock = Callable[[], datetime]


class Admission(Protocol):
    """The use case behind these paths. `challenge` and `join` raise Refused."""

    def discovery(self) -> Discovery: ...

    async def challenge(self, peer: Peer, now: datetime) -> Challenge: ...

    async def join(self, request: JoinRequest, peer: Peer, now: datetime) -> JoinResponse: ...


def join_routes(admission: Admission, *, clock: Clock = lambda: datetime.now(UTC)) -> list[Route]:
    """The routes."""

    async def discovery(_: Request) -> Discovery:
        return admission.discovery()

    async def challenge(request: Request) -> Challenge:
        return await admission.challenge(peer_of(request), clock())

    async def join(request: Request) -> JoinResponse:
        message = await _read(request)
        return await admission.join(message, peer_of(request), clock())

    return [
        Route("/v1/discovery", _answering(discovery), methods=["GET"]),
        Route("/v1/challenge", _answering(challenge), methods=["POST"]),
        Route("/v1/join", _answering(join), methods=["POST"]),
    ]


def peer_of(request: Request) -> Peer:
    """The connection a request came by; its client certificate as the ASGI TLS extension tells it."""
    tls = request.scope.get("extensions", {}).get("tls") or {}
    chain = [*(tls.get("client_cert_chain") or ())]
    return Peer(request.client.host if request.client else "", chain[0] if chain else "")


def _answering(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return _json(200, await answer(request))
        except Refused as refused:
            return _refusal(refused)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception:  # noqa: BLE001 - the edge: a fault must not become a traceback at the caller's
            fault = Unexpected("", "the control plane failed", "its log has more under this reference")
            _log.exception("reference %s", fault.reference)
            return _refusal(fault)

    return handle


async def _read(request: Request) -> JoinRequest:
    try:
        async with asyncio.timeout(_PATIENCE):
            body = await _read_body(request)
    except TimeoutError:
        raise Malformed("request", f"did not arrive within {_PATIENCE:.0f} s") from None
    try:
        return decode(JoinRequest, body)
    except WireError as error:
        raise Malformed("request", str(error)[:300], "is the agent's version supported?") from None


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_REQUEST:
            raise TooLarge("request", "is too large", f"at most {MAX_REQUEST} bytes")
    return bytes(body)


def _refusal(refused: Refused) -> Response:
    message = Refusal(refused.code, refused.reason, refused.hint, refused.reference, refused.retry_after)
    response = _json(refused.status, message)
    if refused.retry_after:
        response.headers["retry-after"] = str(refused.retry_after)
    return response


def _json(status: int, message: Any) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(encode(message), status, headers, media_type="application/json")
