"""The xDS server's edges, with a gRPC client that does what an Envoy would not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource

from outrig.errors import OutrigError
from outrig.snapshot import CLUSTER, ENDPOINTS, Encoded, ProxyId
from outrig.xds.credentials import Credentials
from outrig.xds.frames import FrameError, read_request, write_response
from outrig.xds.server import SERVICE, CannotListen, Limits, XdsServer
from outrig.xds.session import Refused, Session
from outrig.xds.subscription import Response
from tests.envoy.xds_proxy import BOUND, WEB, Board, Pki, identify, serving, uri_of

DELTA = f"/{SERVICE}/DeltaAggregatedResources"


@pytest.fixture
def pki() -> Pki:
    return Pki()


@pytest.fixture
def board() -> Board:
    board = Board()
    board.put(WEB, (CLUSTER, Encoded("a", "1", Resource(name="a", version="1").SerializeToString())))
    return board


@asynccontextmanager
async def channel(pki: Pki, port: int, *, trust: Pki | None = None, proxy: str | None = WEB) -> AsyncIterator[Any]:
    """A connection of that proxy; without one, of a client that has no certificate."""
    chain, key = pki.client(uri_of(proxy)) if proxy else (None, None)
    roots = (trust or pki).authority.pem.encode()
    mine = (key.encode(), chain.encode()) if key and chain else (None, None)
    credentials = grpc.ssl_channel_credentials(roots, *mine)
    options = (("grpc.ssl_target_name_override", "control-plane"),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as opened:
        yield opened


def first(type_url: str = CLUSTER, node: str = WEB, **fields: Any) -> bytes:
    return DeltaDiscoveryRequest(node=Node(id=node), type_url=type_url, **fields).SerializeToString()


async def open_stream(opened: Any, message: bytes = first(), method: str = DELTA) -> Any:
    call = opened.stream_stream(method)()
    with suppress(grpc.aio.AioRpcError):  # one that is refused before it has said anything tells why when it is read
        await call.write(message)
    return call


async def read(call: Any) -> DeltaDiscoveryResponse:
    async with asyncio.timeout(BOUND):
        return DeltaDiscoveryResponse.FromString(await call.read())


async def ending(call: Any) -> tuple[grpc.StatusCode, str]:
    async with asyncio.timeout(BOUND):
        return await call.code(), await call.details()


async def test_a_stream_gets_what_its_certificate_names(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (_, port), channel(pki, port) as opened:
        call = await open_stream(opened)
        assert [resource.name for resource in (await read(call)).resources] == ["a"]


async def test_without_a_client_certificate_there_is_no_stream(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (server, port), channel(pki, port, proxy=None) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await read(await open_stream(opened))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert server.statistics().streams == 0


async def test_a_foreign_certificate_gets_no_stream(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (_, port), channel(Pki(), port, trust=pki) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await read(await open_stream(opened))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("method", ["StreamAggregatedResources", "NoSuchThing"])
async def test_nothing_else_is_served(board: Board, pki: Pki, method: str) -> None:
    async with serving(board, pki) as (_, port), channel(pki, port) as opened:
        call = opened.stream_stream(f"/{SERVICE}/{method}")()
        assert (await ending(call))[0] == grpc.StatusCode.UNIMPLEMENTED


async def test_a_stream_for_another_node_is_refused_with_the_reason(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (_, port), channel(pki, port, proxy="shop/other") as opened:
        code, why = await ending(await open_stream(opened))
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert why == "the certificate is of 'shop/other', it cannot speak for node 'shop/web'"


async def test_an_old_connection_gains_nothing(board: Board, pki: Pki) -> None:
    """A second stream on the same connection is judged anew."""
    verdicts: list[Refused] = []

    async def judge(certificate: str) -> Session | Refused:
        return verdicts[-1] if verdicts else await identify(certificate)

    async with serving(board, pki, judge=judge) as (server, port), channel(pki, port) as opened:
        call = await open_stream(opened)
        await read(call)
        verdicts.append(Refused("revoked"))
        server.end(WEB, "revoked just now")
        assert await ending(call) == (grpc.StatusCode.PERMISSION_DENIED, "revoked just now")
        assert await ending(await open_stream(opened)) == (grpc.StatusCode.PERMISSION_DENIED, "revoked")


async def test_while_nobody_can_be_identified_streams_are_put_off_and_then_served(board: Board, pki: Pki) -> None:
    trouble = [OutrigError("store", "is away")]

    async def judge(certificate: str) -> Session | Refused:
        if trouble:
            raise trouble.pop()
        return await identify(certificate)

    async with serving(board, pki, judge=judge) as (_, port), channel(pki, port) as opened:
        put_off = (grpc.StatusCode.UNAVAILABLE, "the control plane cannot serve this now")
        assert await ending(await open_stream(opened)) == put_off
        assert await read(await open_stream(opened))


async def test_ending_one_proxys_streams_leaves_the_others(board: Board, pki: Pki) -> None:
    other = ProxyId("shop/other")
    board.put(other)
    async with (
        serving(board, pki) as (server, port),
        channel(pki, port) as mine,
        channel(pki, port, proxy=other) as its,
    ):
        web, theirs = await open_stream(mine), await open_stream(its, first(node=other))
        await read(web)
        await read(theirs)
        server.end(other, "enough")
        await ending(theirs)
        board.put(WEB, (CLUSTER, Encoded("b", "1", Resource(name="b", version="1").SerializeToString())))
        await web.write(first(response_nonce="1"))
        assert [resource.name for resource in (await read(web)).resources] == ["b"]


async def test_a_stream_that_says_nothing_is_ended(board: Board, pki: Pki) -> None:
    limits = Limits(first_message=0.01, stop=0.1)
    async with serving(board, pki, limits=limits) as (_, port), channel(pki, port) as opened:
        assert (await ending(opened.stream_stream(DELTA)()))[0] == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_bytes_that_are_no_request_end_the_stream(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (server, port), channel(pki, port) as opened:
        code, why = await ending(await open_stream(opened, b"\xff\xff\xff"))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "not a DeltaDiscoveryRequest" in why
        assert server.statistics().streams == 0


async def test_a_request_that_is_too_large_ends_the_stream(board: Board, pki: Pki) -> None:
    limits = Limits(message=1000, stop=0.1)
    async with serving(board, pki, limits=limits) as (_, port), channel(pki, port) as opened:
        call = await open_stream(opened, first(resource_names_subscribe=["x" * 2000]))
        assert (await ending(call))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_client_cannot_make_the_server_remember_without_end(board: Board, pki: Pki) -> None:
    limits = Limits(names=10, stop=0.1)
    async with serving(board, pki, limits=limits) as (_, port), channel(pki, port) as opened:
        call = await open_stream(opened, first(ENDPOINTS, resource_names_subscribe=[str(n) for n in range(11)]))
        assert await ending(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "more than 10 resource names")


async def test_of_too_many_streams_of_a_proxy_the_oldest_ends(board: Board, pki: Pki) -> None:
    limits = Limits(streams=2, stop=0.1)
    async with serving(board, pki, limits=limits) as (server, port), AsyncExitStack() as stack:
        calls = []
        for _ in range(3):
            calls.append(await open_stream(await stack.enter_async_context(channel(pki, port))))
            await read(calls[-1])
        assert (await ending(calls[0]))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.statistics().streams == 2


async def test_an_unknown_type_disturbs_nobody(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (_, port), channel(pki, port) as opened:
        call = await open_stream(opened, first("type.googleapis.com/no.such.Type"))
        await call.write(first())
        assert (await read(call)).type_url == CLUSTER


async def test_credentials_are_replaced_while_streams_stay(board: Board, pki: Pki) -> None:
    new = Pki()
    credentials = Credentials(pki.server())
    server = XdsServer(board, credentials, identify=identify, address="127.0.0.1:0", limits=Limits(stop=0.1))
    running = asyncio.create_task(server.run())
    try:
        port = await server.wait_listening()
        async with channel(pki, port) as before, channel(new, port) as after:
            call = await open_stream(before)
            await read(call)
            credentials.replace(new.server())
            await read(await open_stream(after))
            board.put(WEB, (CLUSTER, Encoded("b", "1", Resource(name="b", version="1").SerializeToString())))
            await call.write(first(response_nonce="1"))
            assert [resource.name for resource in (await read(call)).resources] == ["b"]
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_taken_port_is_said_so(board: Board, pki: Pki) -> None:
    async with serving(board, pki) as (_, port):
        with pytest.raises(
            CannotListen, match=rf"OUT701 127.0.0.1:{port}: cannot listen there: Address already in use \(is another"
        ):
            async with serving(board, pki, port=port):
                pass


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 70_000, 3_000_000])
def test_a_joined_response_is_the_message_protobuf_would_make(size: int) -> None:
    body = Resource(name="a", version="1", resource={"type_url": "t", "value": b"x" * size})
    response = Response(CLUSTER, "7", (Encoded("a", "1", body.SerializeToString()),) * 2, ("gone",))
    expected = DeltaDiscoveryResponse(type_url=CLUSTER, nonce="7", resources=[body, body], removed_resources=["gone"])
    assert DeltaDiscoveryResponse.FromString(write_response(response)) == expected


def test_a_request_without_an_error_is_an_acceptance_and_an_empty_error_is_none() -> None:
    assert read_request(first()).request.error is None
    assert read_request(first(error_detail={"code": 13})).request.error == ""
    with pytest.raises(FrameError):
        read_request(b"\x0a\xff")


def test_a_server_is_made_without_io(board: Board, pki: Pki) -> None:
    server = XdsServer(board, Credentials(pki.server()), identify=identify)
    assert server.statistics().streams == 0


async def test_a_proxy_that_is_not_known_yet_is_told_nothing_and_loses_nothing(board: Board, pki: Pki) -> None:
    other = ProxyId("shop/other")
    async with serving(board, pki) as (_, port), channel(pki, port, proxy=other) as opened:
        call = await open_stream(opened, first(node=other, initial_resource_versions={"a": "1", "old": "1"}))
        await board.wait(other, lambda progress: progress.accepted >= 0)
        board.put(other, (CLUSTER, Encoded("a", "1", b"")))
        response = await read(call)
        assert (list(response.resources), list(response.removed_resources)) == ([], ["old"])
