"""The join over real TLS: what an agent's connection tells, and what a fault looks like from outside."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette

from outrig.admission.ports import Peer
from outrig.admission.refusals import TooMany
from outrig.api.agents.join import join_routes
from outrig.api.serving import Tls, serve
from outrig.ca.authorities import Authorities, open_authorities
from outrig.ca.authority import key_pem
from outrig.ca.names import ControlName
from outrig.store.memory import MemoryStore
from outrig.wire.codec import decode, encode
from outrig.wire.join import AwsProof, Challenge, Discovery, EcsTask, HostAddress, JoinRequest, JoinResponse, Refusal
from tests.mesh_keeping import make_authority

REQUEST = JoinRequest(
    version=1,
    namespace="bookinfo",
    workload_group="ratings",
    csr="",
    aws=AwsProof("us-east-1", "20260101T000000Z", "ASIA", "t", "f", "n"),
    ecs=EcsTask("bookinfo", "arn"),
    addresses=(HostAddress("10.0.0.1", "VPC"),),
    agent_version="1",
    envoy_version="1",
)


@dataclass
class Recording:
    """Remembers who came; faults on join."""

    peers: list[Peer] = field(default_factory=list)

    def discovery(self) -> Discovery:
        return Discovery((1,), "cluster.local/c1", "0.1.0")

    async def challenge(self, peer: Peer, _: datetime) -> Challenge:
        self.peers.append(peer)
        if len(self.peers) > 2:
            raise TooMany("", "too often", "wait", retry_after=7)
        return Challenge("n", "a", 60)

    async def join(self, request: JoinRequest, _: Peer, __: datetime) -> JoinResponse:
        raise RuntimeError(f"secret {request.aws.session_token}")


@pytest.fixture
async def authorities() -> Authorities:
    return await open_authorities(MemoryStore())


@pytest.fixture
async def url(authorities: Authorities, admission: Recording, tmp_path: Path) -> AsyncIterator[str]:
    server = authorities.issue_server(["127.0.0.1"])
    (tmp_path / "chain").write_text(server.certificate.chain)
    (tmp_path / "key").write_text(server.key)
    (tmp_path / "ca").write_text(authorities.control_roots)
    app = Starlette(routes=join_routes(admission))
    tls = Tls(tmp_path / "chain", tmp_path / "key", tmp_path / "ca")
    async with serve(app, host="127.0.0.1", port=0, tls=tls) as serving:
        yield f"https://127.0.0.1:{serving.port}"


@pytest.fixture
def admission() -> Recording:
    return Recording()


def client(authorities: Authorities, chain: str = "", key: str = "", folder: Path | None = None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cadata=authorities.control_roots)
    if folder:
        (folder / "mine").write_text(chain)
        (folder / "my-key").write_text(key)
        context.load_cert_chain(folder / "mine", folder / "my-key")
    return httpx.AsyncClient(verify=context, trust_env=False)


async def test_a_caller_without_a_certificate_is_an_address(
    url: str, authorities: Authorities, admission: Recording
) -> None:
    async with client(authorities) as agent:
        assert decode(Challenge, (await agent.post(f"{url}/v1/challenge")).text) == Challenge("n", "a", 60)
        assert decode(Discovery, (await agent.get(f"{url}/v1/discovery")).text).audience == "cluster.local/c1"
    assert admission.peers == [Peer("127.0.0.1")]


async def test_a_caller_with_a_control_identity_is_known_by_it(
    url: str, authorities: Authorities, admission: Recording, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authorities.issue_control(key.public_key(), ControlName(authorities.cluster_id, "bookinfo", "r", "u"))
    async with client(authorities, issued.chain, key_pem(key), tmp_path) as agent:
        await agent.post(f"{url}/v1/challenge")
    peer = authorities.identify(admission.peers[0].certificate, datetime.now(UTC))
    assert peer
    assert (peer.name.uid, peer.key_hash) == ("u", issued.key_hash)


async def test_certificates_of_other_authorities_do_not_even_connect(
    url: str, authorities: Authorities, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    workload = authorities.issue_workload(key.public_key(), ("spiffe://x/a",), by=await make_authority(MemoryStore()))
    async with client(authorities, workload.chain, key_pem(key), tmp_path) as agent:
        with pytest.raises(ssl.SSLError, match="unknown ca"):
            await agent.post(f"{url}/v1/challenge")


async def test_a_fault_is_a_refusal_with_a_reference_and_no_traceback(
    url: str, authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(authorities) as agent:
        answer = await agent.post(f"{url}/v1/join", content=encode(REQUEST))
    refusal = decode(Refusal, answer.text)
    assert (answer.status_code, refusal.code) == (500, "OUT199")
    assert refusal.reference in caplog.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_who_asks_too_often_is_told_when_to_come_back(url: str, authorities: Authorities) -> None:
    async with client(authorities) as agent:
        answers = [await agent.post(f"{url}/v1/challenge") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "7"


async def test_other_paths_and_methods_do_nothing(url: str, authorities: Authorities, admission: Recording) -> None:
    async with client(authorities) as agent:
        assert (await agent.get(f"{url}/v1/join")).status_code == 405
        assert (await agent.get(f"{url}/v1/challenge")).status_code == 405
        assert (await agent.post(f"{url}/v2/join")).status_code == 404
    assert admission.peers == []


async def test_a_caller_that_leaves_in_the_middle_harms_nobody(url: str, authorities: Authorities) -> None:
    context = ssl.create_default_context(cadata=authorities.control_roots)
    host, _, port = url.removeprefix("https://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(b"POST /v1/join HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()
    async with client(authorities) as agent:
        assert (await agent.post(f"{url}/v1/challenge")).status_code == 200
