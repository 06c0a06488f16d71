"""The control plane's own certificate is renewed while everything serves, and a failure to renew it ends nothing."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from outrig.api.serving import serve
from outrig.ca.authorities import Authorities, open_authorities
from outrig.ca.authority import key_pem
from outrig.ca.names import ControlName
from outrig.ca.settings import CaSettings
from outrig.server.certificates import SHORTEST_WAIT, ServerCertificate, warn_of_end
from outrig.server.diagnostics import diagnostics_app
from outrig.server.files import DataDir, Given
from outrig.store.memory import MemoryStore

START = datetime.now(UTC).replace(microsecond=0)
LIFETIME = timedelta(days=30)


class Waits:
    """Stands for the passing of time: tells how long somebody wants to wait, and lets them go on when told."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self._turns = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.asked.put_nowait(seconds)
        await self._turns.acquire()

    async def end(self) -> float:
        """End the wait under way; gives the seconds of the next one, when that begins."""
        self._turns.release()
        async with asyncio.timeout(20):
            return await self.asked.get()


class Renewing:
    """A server certificate whose loop runs, and the clock it goes by."""

    def __init__(self, authorities: Authorities, data: DataDir) -> None:
        self.authorities, self.data, self.waits = authorities, data, Waits()
        self.certificate = ServerCertificate(authorities, data, ["127.0.0.1"])


@pytest.mark.parametrize(
    ("days", "told"),
    [(-1, ["error"]), (0, []), (26, []), (28, ["warning"]), (31, ["error"])],
    ids=["not yet valid", "new", "lives on", "about to end", "ended"],
)
async def test_a_given_certificate_whose_end_is_near_or_past_is_told_of(days: int, told: list[str]) -> None:
    settings = CaSettings(server_lifetime=LIFETIME)
    authorities = await open_authorities(MemoryStore(), settings, clock=lambda: START)
    given = Given(authorities.issue_server(["mesh.example"]).certificate.chain, "mesh.example")
    with capture_logs() as lines:
        warn_of_end(given, START + timedelta(days=days))
    assert [line["log_level"] for line in lines] == told


@pytest.fixture
async def now() -> list[datetime]:
    return [START]


@pytest.fixture
async def renewing(tmp_path: Path, now: list[datetime]) -> AsyncIterator[Renewing]:
    settings = CaSettings(server_lifetime=LIFETIME)
    authorities = await open_authorities(MemoryStore(), settings, clock=lambda: now[0])
    data = DataDir(tmp_path / "data")
    data.prepare()
    data.write_roots(authorities)
    renewing = Renewing(authorities, data)
    loop = asyncio.create_task(renewing.certificate.run(wait=renewing.waits))
    yield renewing
    loop.cancel()
    await asyncio.wait([loop])
    assert loop.cancelled()


def trusting(authorities: Authorities) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authorities.control.pem)


@asynccontextmanager
async def connected(
    port: int, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    with closing(writer.transport):
        yield reader, writer


async def healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"GET /healthy HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(20):
        return b"200 OK" in await reader.readuntil(b"healthy\n")


def certificate_of(writer: asyncio.StreamWriter) -> x509.Certificate:
    return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))


async def never() -> bool:
    return False


async def test_it_is_renewed_at_half_of_its_life_and_a_connection_from_before_lives_on(
    renewing: Renewing, now: list[datetime]
) -> None:
    app = diagnostics_app(is_ready=never, gauges={}, replica="a")
    context = trusting(renewing.authorities)
    async with serve(app, host="127.0.0.1", port=0, tls=renewing.data.agents_tls) as serving:
        renewing.certificate.tell([serving.reload])
        async with connected(serving.port, context) as (reader, writer):
            assert await healthy(reader, writer)
            before = certificate_of(writer)
            assert await renewing.waits.asked.get() == LIFETIME.total_seconds() / 2
            now[0] += timedelta(minutes=1)
            await renewing.waits.end()
            async with connected(serving.port, context) as (_, fresh):
                after = certificate_of(fresh)
            assert await healthy(reader, writer)
    assert after.serial_number != before.serial_number
    assert after.not_valid_after_utc == before.not_valid_after_utc + timedelta(minutes=1)
    assert after == x509.load_pem_x509_certificate(renewing.certificate.pem.encode())


async def test_xds_serves_the_new_one_too(renewing: Renewing, tmp_path: Path) -> None:
    context = trusting(renewing.authorities)
    context.set_alpn_protocols(["h2"])
    key = ec.generate_private_key(ec.SECP256R1())
    name = ControlName(renewing.authorities.cluster_id, "n", "r", "u")
    issued = renewing.authorities.issue_control(key.public_key(), name)
    (tmp_path / "proxy.pem").write_text(issued.chain + key_pem(key))
    context.load_cert_chain(tmp_path / "proxy.pem")
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", renewing.certificate.credentials.for_server())
    await server.start()
    try:
        async with connected(port, context) as (_, writer):
            before = certificate_of(writer)
        await renewing.waits.asked.get()
        await renewing.waits.end()
        async with connected(port, context) as (_, writer):
            after = certificate_of(writer)
    finally:
        await server.stop(None)
    assert after.serial_number != before.serial_number
    assert after == x509.load_pem_x509_certificate(renewing.certificate.pem.encode())


async def test_where_it_cannot_be_renewed_the_old_one_stays_and_it_is_tried_again(renewing: Renewing) -> None:
    before, folder = renewing.certificate.pem, renewing.data.path / "tls"
    await renewing.waits.asked.get()
    shutil.rmtree(folder)
    with capture_logs() as logs:
        await renewing.waits.end()
    assert [log["event"] for log in logs] == ["server certificate not renewed"]
    assert renewing.certificate.pem == before
    folder.mkdir()
    await renewing.waits.end()
    assert renewing.certificate.pem != before
    assert (folder / "server.pem").read_text() == renewing.certificate.pem


async def test_a_certificate_past_its_end_does_not_make_it_try_without_pause(
    renewing: Renewing, now: list[datetime]
) -> None:
    await renewing.waits.asked.get()
    shutil.rmtree(renewing.data.path / "tls")
    now[0] += 2 * LIFETIME
    assert await renewing.waits.end() == SHORTEST_WAIT
