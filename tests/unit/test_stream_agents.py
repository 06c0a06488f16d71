"""The agents' stream over real TLS: who is let in, what is refused and how, and how streams end."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from outrig.api.agents.stream import AgentStream, StreamLimits
from outrig.api.serving import Limits, Tls, serve
from outrig.ca.authorities import Authorities, open_authorities
from outrig.ca.authority import CLIENT, Authority, Leaf, key_pem, new_authority
from outrig.ca.names import ControlName
from outrig.control.following import follow
from outrig.control.hub import Hub
from outrig.control.proxies import entry_key
from outrig.control.reaper import Graces, Reaper
from outrig.control.registry import Place, Registry
from outrig.control.sessions import Sessions
from outrig.control.world import World
from outrig.dialects.conditions import AGENT_CONNECTED, READY, condition_of
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query
from outrig.wire.stream import PATH, SUBPROTOCOL, Bye, Hello, Message, Rejoin, Report, Welcome, Withdrawn, read, write
from outrig.xds.session import Session
from tests.unit.control_making import BOUND, LONG, delete, register, running, wait_condition, wait_resource

pytestmark = pytest.mark.slow

ENTRY = entry_key("shop", "web")
PATIENT = Graces(disconnected=LONG, removed=LONG, restarted=LONG)
HOUR = timedelta(hours=1)


@dataclass
class Port:
    """The agents' port of a control plane, and what tests need to come in by it."""

    store: MemoryStore
    authorities: Authorities
    registry: Registry
    number: int
    directory: Path

    def identity(
        self, session: Session, *, issuer: Authority | None = None, lifetime: timedelta = HOUR
    ) -> ssl.SSLContext:
        """A client context with the control identity of that registration."""
        key, now, name = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), session.registration
        uri = ControlName(self.authorities.cluster_id, name.namespace, name.name, session.uid).uri
        leaf = Leaf(key.public_key(), (CLIENT,), (x509.UniformResourceIdentifier(uri),))
        start = now - timedelta(minutes=1)
        issued = (issuer or self.authorities.control).sign(leaf, start=start, end=now + lifetime)
        chain, private = self.directory / f"{issued.serial}.pem", self.directory / f"{issued.serial}.key"
        chain.write_text(issued.chain)
        private.write_text(key_pem(key))
        context = self.nobody()
        context.load_cert_chain(chain, private)
        return context

    def nobody(self) -> ssl.SSLContext:
        """A client context without a certificate."""
        return ssl.create_default_context(cadata=self.authorities.control.pem)

    def open(self, context: ssl.SSLContext, subprotocol: str = SUBPROTOCOL) -> connect:
        address = f"wss://localhost:{self.number}{PATH}"
        return connect(address, ssl=context, subprotocols=[Subprotocol(subprotocol)], proxy=None)

    @asynccontextmanager
    async def agent(self, session: Session) -> AsyncIterator[ClientConnection]:
        """A stream that has said hello and been welcomed."""
        async with self.open(self.identity(session)) as stream:
            await stream.send(write(Hello(session.uid, "1")))
            assert await heard(stream) == Welcome("cp-1")
            yield stream


@asynccontextmanager
async def port(
    directory: Path, *, store: MemoryStore, limits: StreamLimits | None = None, connections: Limits | None = None
) -> AsyncIterator[Port]:
    authorities = await open_authorities(store)
    tls = _server_files(authorities, directory)
    hub, reaper = Hub(World(()), follow(store, Query())), Reaper(store, PATIENT)
    registry = Registry(store, hub, reaper=reaper, place=Place("cp-1", BOUND), end_proxy=lambda _proxy, _why: None)
    stream = AgentStream(registry, Sessions(store, authorities).identify, limits=limits or StreamLimits())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(hub.run(), reaper.run(), registry.run()))
        app = Starlette(routes=[stream.route()])
        serving = await stack.enter_async_context(serve(app, host="127.0.0.1", port=0, tls=tls, limits=connections))
        yield Port(store, authorities, registry, serving.port, directory)


def _server_files(authorities: Authorities, directory: Path) -> Tls:
    pair = authorities.issue_server(["localhost"])
    tls = Tls(directory / "server.pem", directory / "server.key", directory / "roots.pem")
    tls.chain.write_text(pair.certificate.chain)
    tls.key.write_text(pair.key)
    (directory / "roots.pem").write_text(authorities.control.pem)
    return tls


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


async def heard(stream: ClientConnection) -> Message:
    async with asyncio.timeout(BOUND):
        return read(await stream.recv())


async def closing(stream: ClientConnection) -> tuple[int, str]:
    """How the server closed the stream."""
    async with asyncio.timeout(BOUND):
        await stream.wait_closed()
    return stream.close_code or 0, stream.close_reason or ""


async def test_an_agent_is_welcomed_reports_and_is_withdrawn(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened:
        async with opened.agent(session) as stream:
            await wait_condition(store, session.registration, AGENT_CONNECTED, "AgentEstablishedConnection")
            await stream.send(write(Report("ready")))
            await wait_condition(store, ENTRY, READY, "Ready")
            await stream.send(write(Report("draining")))
            assert await heard(stream) == Withdrawn(complete=True)
        await wait_resource(store, session.registration, lambda found: found is None)


async def test_a_stream_that_breaks_is_seen_at_once(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened, opened.agent(session) as stream:
        stream.transport.abort()
        await wait_condition(store, session.registration, AGENT_CONNECTED, "AgentLostConnection")
        assert opened.registry.connected == 0


async def test_an_agent_that_falls_silent_is_noticed_and_one_that_answers_stays(
    store: MemoryStore, tmp_path: Path
) -> None:
    session, other = await register(store), await register(store, "other")
    eager = Limits(ping_interval=0.05, ping_timeout=1.0)
    async with port(tmp_path, store=store, connections=eager) as opened, opened.agent(other) as lively:
        async with opened.agent(session) as silent:
            silent.transport.pause_reading()
            async with asyncio.timeout(BOUND / 2):  # a farewell over TLS would be waited for longer
                await wait_condition(store, session.registration, AGENT_CONNECTED, "AgentLostConnection")
            silent.transport.abort()
        await lively.send(write(Report("ready")))
        await wait_condition(store, entry_key("shop", "other"), READY, "Ready")
        assert opened.registry.connected == 1


async def test_an_agent_that_reports_too_often_is_cut_off(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    limits = StreamLimits(reports=3, report_rate=0.001)
    async with port(tmp_path, store=store, limits=limits) as opened:
        async with opened.agent(session) as stream:
            for reason in "abcd":
                await stream.send(write(Report("unhealthy", reason)))
            assert await closing(stream) == (1008, "too many reports")
        entry = await store.get(ENTRY)
        assert entry is not None
        assert condition_of(entry.status, READY).message == "c"  # type: ignore[union-attr]
        async with opened.agent(session) as stream:  # which begins anew
            await stream.send(write(Report("ready")))
            await wait_condition(store, ENTRY, READY, "Ready")


async def test_without_a_certificate_there_is_no_stream(store: MemoryStore, tmp_path: Path) -> None:
    async with port(tmp_path, store=store) as opened:
        with pytest.raises(InvalidStatus) as refused:
            async with opened.open(opened.nobody()):
                pass
        assert refused.value.response.status_code == 401
        assert refused.value.response.body == b"a client certificate is needed: the control identity"


async def test_a_certificate_of_the_right_authority_for_another_purpose_is_refused(
    store: MemoryStore, tmp_path: Path
) -> None:
    """A server certificate names no registration."""
    async with port(tmp_path, store=store) as opened:
        context = opened.nobody()
        context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
        with pytest.raises((InvalidHandshake, OSError)):
            async with opened.open(context):
                pass
        assert opened.registry.connected == 0


async def test_a_foreign_certificate_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    foreign = new_authority("foreign", now=datetime.now(UTC), lifetime=HOUR)
    async with port(tmp_path, store=store) as opened:
        with pytest.raises((InvalidHandshake, OSError)):
            async with opened.open(opened.identity(session, issuer=foreign)):
                pass
        assert opened.registry.connected == 0


async def test_another_subprotocol_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened:
        with pytest.raises(InvalidStatus) as refused:
            async with opened.open(opened.identity(session), "outrig.v99"):
                pass
        assert refused.value.response.status_code == 400


async def test_an_agent_whose_registration_is_gone_is_told_to_join_again(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    await delete(store, session.registration)
    async with port(tmp_path, store=store) as opened, opened.open(opened.identity(session)) as stream:
        assert await heard(stream) == Rejoin("WorkloadAutoRegistration shop/web is gone")
        assert (await closing(stream))[0] == 1008


async def test_a_deleted_registrations_agent_is_told_while_it_is_connected(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened, opened.agent(session) as stream:
        await delete(store, session.registration)
        assert isinstance(await heard(stream), Rejoin)


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        ("{", 1008, "not JSON"),
        ('{"type":"hello","uid":"x"}', 1008, "missing field 'agentVersion'"),
        ('{"type":"hello","uid":"x","agentVersion":"1","extra":1}', 1008, "unknown field 'extra'"),
        ('{"type":"shutdown"}', 1008, "unknown message type"),
        ('{"type":"report","state":"ready"}', 1008, "expected hello, got report"),
        ('{"type":"welcome","connectedTo":"me"}', 1008, "expected hello, got welcome"),
        ('{"type":"hello","uid":"another","agentVersion":"1"}', 1008, "names another registration"),
        (b"\x00", 1008, "frames are text"),
        ("x" * 20_000, 1009, "at most 16384 bytes"),
        ("x" * 70_000, 1009, ""),
    ],
)
async def test_a_first_frame_that_is_no_hello_of_the_callers_closes_the_stream(
    store: MemoryStore, tmp_path: Path, frame: str | bytes, code: int, reason: str
) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened, opened.open(opened.identity(session)) as stream:
        await stream.send(frame)
        found, why = await closing(stream)
        assert found == code
        assert reason in why
    registration = await store.get(session.registration)
    assert registration is not None
    assert registration.status == {}


async def test_an_agent_that_does_not_say_hello_is_closed(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    limits = StreamLimits(hello=0.01)
    async with port(tmp_path, store=store, limits=limits) as opened, opened.open(opened.identity(session)) as stream:
        assert await closing(stream) == (1008, "no hello")


@pytest.mark.parametrize("report", [{"state": "asleep"}, {"state": 1}, {"state": "ready", "reason": None}])
async def test_a_wrong_report_closes_the_stream_and_changes_nothing(
    store: MemoryStore, tmp_path: Path, report: dict[str, object]
) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened, opened.agent(session) as stream:
        await stream.send(json.dumps({"type": "report", **report}))
        code, why = await closing(stream)
        assert code == 1008
        assert why.startswith(("state:", "reason:"))
    entry = await store.get(ENTRY)
    assert entry is not None
    assert condition_of(entry.status, READY) is None


@pytest.mark.slow
async def test_a_stream_ends_with_its_certificate(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened:
        short = opened.identity(session, lifetime=timedelta(seconds=4))
        async with opened.open(short) as stream:
            await stream.send(write(Hello(session.uid, "1")))
            assert await heard(stream) == Welcome("cp-1")
            assert await heard(stream) == Bye("the client certificate has expired", retry_after=2)
            assert (await closing(stream))[0] == 1008


async def test_a_control_plane_that_stops_says_goodbye_and_withdraws_nobody(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with AsyncExitStack() as stack:
        async with port(tmp_path, store=store) as opened:
            stream = await stack.enter_async_context(opened.agent(session))
            await stream.send(write(Report("ready")))
            await wait_condition(store, ENTRY, READY, "Ready")
            before = await store.revision()
        assert (await closing(stream))[0] in (1000, 1012)
        assert await store.revision() == before


async def test_a_newer_stream_of_the_same_agent_ends_the_older(store: MemoryStore, tmp_path: Path) -> None:
    session = await register(store)
    async with port(tmp_path, store=store) as opened, opened.agent(session) as older, opened.agent(session) as newer:
        assert await heard(older) == Bye("there is a newer stream of this agent")
        assert (await closing(older))[0] == 1000
        await newer.send(write(Report("ready")))
        await wait_condition(store, ENTRY, READY, "Ready")
