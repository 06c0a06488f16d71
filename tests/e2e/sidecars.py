"""Sidecars without an Envoy: each has joined, holds an agent's stream, and takes all configuration by real delta xDS.

As real ones do, they go to another replica when theirs is gone, and never come to rest before they are served.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc
import grpc.aio
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES
from outrig.wire.stream import PATH, SUBPROTOCOL, Bye, Hello, Message, Report, Withdrawn, read, write
from tests.e2e.bad_input import DEADLINE, ControlPlane, Member

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
PAUSE = 0.05  # seconds between two tries


@dataclass
class Sidecar:
    """One. `replicas` in the order it tries them; `endpoints`: the addresses it has of each cluster, as of now;
    `missed`: those that any cluster has had and lost."""

    member: Member
    replicas: list[ControlPlane]
    endpoints: dict[str, frozenset[str]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    missed: frozenset[str] = frozenset()
    state: str = "ready"
    moves: int = 0
    _stream: ClientConnection | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def name(self) -> str:
        """Of its registration."""
        return str(self.member.response["registration"])

    @property
    def address(self) -> str:
        """Its workload's."""
        return self.member.task.ip

    async def run(self) -> None:
        """Be there until cancelled."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._attend())
            loops.create_task(self._subscribe())

    async def drain(self) -> None:
        """Say that the workload leaves, and wait until it may."""
        self.state = "draining"
        assert self._stream is not None
        await self._stream.send(write(Report("draining")))
        await self.wait(lambda: any(isinstance(message, Withdrawn) for message in self.messages))

    async def wait(self, wanted: Callable[[], bool]) -> None:
        """Until something is so of this sidecar."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(wanted)

    async def move(self) -> None:
        """Go to another replica, though this one lives: at once with the agent's stream, with the other one when it
        has said the next thing."""
        self.moves += 1
        self.replicas.append(self.replicas.pop(0))
        assert self._stream is not None
        await self._stream.close()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _attend(self) -> None:
        while True:
            for plane in list(self.replicas):
                with suppress(OSError, WebSocketException, TimeoutError):
                    await self._talk(plane)
                    break
            await asyncio.sleep(PAUSE)

    async def _talk(self, plane: ControlPlane) -> None:
        address, tls = f"wss://127.0.0.1:{plane.ports['agents']}{PATH}", trust(plane, self.member)
        async with connect(address, ssl=tls, subprotocols=[Subprotocol(SUBPROTOCOL)], proxy=None) as stream:
            self._stream = stream
            await stream.send(write(Hello(str(self.member.response["uid"]), "test")))
            await stream.send(write(Report(self.state)))
            async for frame in stream:
                self.messages.append(read(frame))
                await self._tell()
                if isinstance(self.messages[-1], Bye):
                    return

    async def _subscribe(self) -> None:
        while True:
            for plane in list(self.replicas):
                with suppress(grpc.RpcError):
                    await self._take(plane)
            await asyncio.sleep(PAUSE)

    async def _take(self, plane: ControlPlane) -> None:
        chain, key = (path.read_bytes() for path in self.member.identity.files)
        credentials = grpc.ssl_channel_credentials(plane.root.read_bytes(), key, chain)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{plane.ports['xds']}", credentials, options) as channel:
            call, moves = channel.stream_stream(METHOD)(), self.moves
            for type_url in (CLUSTER, LISTENER, ENDPOINTS, ROUTES, EXTENSION):
                await call.write(self._request(type_url=type_url, resource_names_subscribe=["*"]))
            while (data := await call.read()) is not grpc.aio.EOF:
                await self._answer(call, DeltaDiscoveryResponse.FromString(data))
                if self.moves > moves:
                    return

    async def _answer(self, call: "grpc.aio.StreamStreamCall[bytes, bytes]", response: DeltaDiscoveryResponse) -> None:
        if response.type_url == ENDPOINTS:
            for resource in response.resources:
                self._put(resource.name, _addresses(resource.resource.value))
            for name in response.removed_resources:
                self.endpoints.pop(name, None)
        await call.write(self._request(type_url=response.type_url, response_nonce=response.nonce))
        await self._tell()

    def _put(self, cluster: str, addresses: frozenset[str]) -> None:
        self.missed |= self.endpoints.get(cluster, frozenset()) - addresses
        self.endpoints[cluster] = addresses

    def _request(self, **fields: object) -> bytes:
        message = DeltaDiscoveryRequest(**fields)
        message.node.id = str(self.member.response["nodeId"])
        encoded: bytes = message.SerializeToString()
        return encoded


def trust(plane: ControlPlane, member: Member) -> ssl.SSLContext:
    """A client context with the control identity."""
    context = ssl.create_default_context(cafile=str(plane.root))
    context.load_cert_chain(*member.identity.files)
    return context


def _addresses(assignment: bytes) -> frozenset[str]:
    """Of the endpoints that take calls."""
    parsed = ClusterLoadAssignment.FromString(assignment)
    return frozenset(
        endpoint.endpoint.address.socket_address.address
        for locality in parsed.endpoints
        for endpoint in locality.lb_endpoints
        if endpoint.health_status in (0, 1)  # UNKNOWN, HEALTHY
    )


@asynccontextmanager
async def present(*sidecars: Sidecar) -> AsyncIterator[None]:
    """They run during the block."""
    tasks = [asyncio.create_task(sidecar.run()) for sidecar in sidecars]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [one for one in ended if isinstance(one, Exception)]
    assert failed == []
