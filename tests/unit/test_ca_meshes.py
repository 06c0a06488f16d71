"""The authority of a mesh follows the Mesh, and what the one before has signed stays good until it ends."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from outrig.admission.meshes import Meshes, TrustDomainTaken
from outrig.ca.authorities import open_authorities
from outrig.ca.authority import Authority, Issued, key_pem
from outrig.ca.meshes import MeshAuthority, authority_key, find_authority
from outrig.ca.names import ControlName, NameRefused, control_name, peer_uris
from outrig.ca.provided import AuthorityRefused
from outrig.ca.settings import CaSettings
from outrig.dialects.core import AUTHORITY
from outrig.dialects.kind import Scope
from outrig.dialects.kuma.mesh import mesh_key
from outrig.model import Trust
from outrig.resources import Key, Resource
from outrig.server.reissuing import Reissuing, sweep_once, warn_once
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query
from outrig.tokens.keys import dataplane_ring
from tests.unit.control_making import running

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANYWHERE = Scope(mesh_of=lambda _: "", trust_domain=lambda _: "")


@dataclass
class Scene:
    """A store in which Meshes come and go, at a time that is set."""

    store: MemoryStore = field(default_factory=MemoryStore)
    now: datetime = NOW

    async def put(self, name: str = "default", **mtls: Any) -> Resource:
        """The Mesh of that name is now this."""
        body = {"mtls": mtls} if mtls else {}
        async with self.store.transaction() as tx:
            held = await tx.get(mesh_key(name))
            wanted = replace(held, body=body) if held else Resource(mesh_key(name), body=body)
            mesh = await (tx.update(wanted) if held else tx.create(wanted))
            await Meshes(CaSettings(), clock=lambda: self.now)(tx, name, mesh)
        return mesh

    async def drop(self, name: str = "default") -> None:
        async with self.store.transaction() as tx:
            await tx.delete(mesh_key(name))
            await Meshes(CaSettings())(tx, name, None)

    async def secret(self, name: str, content: bytes) -> None:
        key = Key("kuma.io", "Secret", "default", "", name)
        body = {"data": base64.b64encode(content).decode()}
        async with self.store.transaction() as tx:
            held = await tx.get(key)
            await (tx.update(replace(held, body=body)) if held else tx.create(Resource(key, body=body)))

    async def authority(self, name: str = "default") -> MeshAuthority:
        found = await find_authority(self.store, name)
        assert found
        return found

    async def trusted(self) -> tuple[str, ...]:
        """The roots that members of the mesh `default` accept."""
        stored = await self.store.get(authority_key("default"))
        assert stored
        (fact,) = AUTHORITY.compile(stored, ANYWHERE)
        assert isinstance(fact, Trust)
        return fact.authorities

    async def issue(self) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        authorities = await open_authorities(self.store, clock=lambda: self.now)
        return authorities.issue_workload(key, ("spiffe://default/kv",), by=await self.authority())


def backend(name: str = "ca-1", kind: str = "builtin", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


PROVIDED = {"cert": {"secret": "ca"}, "key": {"secret": "ca-key"}}


def made(
    key: Any = None, *, ca: bool = True, signs: bool = True, agrees: bool = False, life: timedelta = HOUR * 24
) -> Authority:
    """An authority as users make them."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corp")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=True, key_agreement=agrees, content_commitment=False,
        key_encipherment=False, data_encipherment=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - HOUR * 48)
        .not_valid_after(NOW + life)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def verifies(roots: tuple[str, ...], issued: Issued, when: datetime) -> bool:
    """Whether a peer that accepts those roots accepts the certificate."""
    anchors = Store([x509.load_pem_x509_certificate(root.encode()) for root in roots])
    leaf, *rest = x509.load_pem_x509_certificates(issued.chain.encode())
    try:
        PolicyBuilder().store(anchors).time(when).build_client_verifier().verify(leaf, rest)
    except VerificationError:
        return False
    return True


async def test_a_mesh_of_the_longest_name_there_is_has_an_authority() -> None:
    name, scene = "m" * 63, Scene()
    await scene.put(name)
    assert (await scene.authority(name)).authority.certificate.subject.rfc4514_string() == f"CN={name}"


async def test_a_mesh_comes_with_an_authority_and_a_signing_key() -> None:
    scene = Scene()
    await scene.put()
    await scene.put("payments")
    one, other = await scene.authority(), await scene.authority("payments")
    assert (one.domain, other.domain) == ("cluster.local", "payments")
    assert one.authority.key_hash != other.authority.key_hash
    for mesh in ("default", "payments"):
        assert await scene.store.get(dataplane_ring(mesh).key_of(1))
    before = await scene.store.revision()
    await scene.put()
    assert await scene.store.revision() == before, "writing the same Mesh again changes nothing"


async def test_an_authority_goes_with_its_mesh() -> None:
    scene = Scene()
    await scene.put()
    await scene.drop()
    assert await find_authority(scene.store, "default") is None


async def test_trust_domains_are_unique() -> None:
    scene = Scene()
    await scene.put()
    with pytest.raises(TrustDomainTaken, match="is that of mesh default"):
        await scene.put("cluster.local")
    assert await scene.store.get(mesh_key("cluster.local")) is None


@pytest.mark.parametrize("key", [ec.SECP256R1, ec.SECP384R1, rsa])
async def test_a_provided_authority_signs_from_then_on_and_nothing_breaks(key: Any) -> None:
    scene = Scene()
    await scene.put()
    old = await scene.issue()
    private = rsa.generate_private_key(65537, 2048) if key is rsa else ec.generate_private_key(key())
    given = made(private)
    await scene.secret("ca", given.pem.encode())
    await scene.secret("ca-key", key_pem(given.key).encode())
    await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
    new = await scene.issue()
    roots = await scene.trusted()
    assert roots[0] == given.pem
    assert verifies((given.pem,), new, NOW)
    assert not verifies((given.pem,), old, NOW)
    assert verifies(roots, old, NOW), "what the old one has signed is accepted"
    assert verifies(roots, new, NOW)
    assert (await scene.authority()).domain == "cluster.local"


async def test_the_old_authority_is_dropped_when_all_that_it_signed_has_ended() -> None:
    scene = Scene()
    await scene.put(enabledBackend="a", backends=[backend("a", dpCert={"rotation": {"expiration": "6h"}})])
    old = await scene.issue()
    assert old.not_after == NOW + timedelta(hours=6), "dpCert.rotation.expiration is the lifetime of certificates"
    given = made()
    await scene.secret("ca", given.pem.encode())
    await scene.secret("ca-key", key_pem(given.key).encode())
    await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
    await sweep_once(scene.store, NOW + timedelta(hours=6))
    assert len(await scene.trusted()) == 2
    await sweep_once(scene.store, NOW + timedelta(hours=6, minutes=6))
    assert await scene.trusted() == (given.pem,)


async def test_a_builtin_authority_lasts_as_long_as_its_backend_says() -> None:
    scene = Scene()
    await scene.put()
    first = (await scene.authority()).authority
    for expiration, lasting, changed in (("24h", HOUR * 24, True), ("24h", HOUR * 24, False), ("2d", HOUR * 48, True)):
        before = (await scene.authority()).authority
        kept = backend("a", conf={"caCert": {"expiration": expiration}})
        await scene.put(enabledBackend="a", backends=[kept])
        after = (await scene.authority()).authority
        assert after.certificate.not_valid_after_utc == NOW + lasting
        assert (after.pem != before.pem) is changed
    await scene.put(backends=[kept])
    assert (await scene.authority()).authority.pem == after.pem, "mutual TLS that is off renews nothing"
    assert first.pem in await scene.trusted(), "what it has signed is accepted until it ends"


async def test_a_builtin_backend_of_another_name_is_another_authority() -> None:
    scene = Scene()
    await scene.put()
    first = (await scene.authority()).authority.pem
    for name, changed in (("a", False), ("a", False), ("b", True), ("a", True)):
        before = (await scene.authority()).authority.pem
        await scene.put(enabledBackend=name, backends=[backend(name)])
        assert ((await scene.authority()).authority.pem != before) is changed
        assert first in await scene.trusted()
    await scene.put(backends=[backend("a")])
    before = (await scene.authority()).authority.pem
    await scene.put(enabledBackend="a", backends=[backend("a")])
    assert (await scene.authority()).authority.pem == before, "it was off in between"


async def test_a_renewed_secret_is_a_renewed_authority() -> None:
    scene = Scene()
    for number in range(3):
        given = made()
        await scene.secret("ca", given.pem.encode())
        await scene.secret("ca-key", key_pem(given.key).encode())
        await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
        assert len(await scene.trusted()) == number + 1
        assert (await scene.trusted())[0] == given.pem


async def test_while_mutual_tls_is_off_the_authority_stays() -> None:
    scene = Scene()
    await scene.put(enabledBackend="a", backends=[backend("a")])
    before = (await scene.authority()).authority.pem
    await scene.put(backends=[backend("a")])
    assert (await scene.authority()).authority.pem == before


def other_key(given: Authority) -> bytes:
    del given
    return key_pem(ec.generate_private_key(ec.SECP256R1())).encode()


def locked(given: Authority) -> bytes:
    locking = serialization.BestAvailableEncryption(b"secret")
    return given.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locking)


@pytest.mark.parametrize(
    ("certificate", "key", "field", "problem"),
    [
        (b"junk", None, "cert", "holds 0 certificates"),
        (made().pem.encode() + made().pem.encode(), None, "cert", "holds 2 certificates"),
        (made(ca=False, signs=False).pem.encode(), None, "cert", "CA is not TRUE"),
        (made(signs=False).pem.encode(), None, "cert", "keyCertSign"),
        (made(agrees=True).pem.encode(), None, "cert", "keyAgreement"),
        (made(life=-HOUR).pem.encode(), None, "cert", "valid from"),
        (made(ec.generate_private_key(ec.SECP521R1())).pem.encode(), None, "key", "is not the key"),
        (None, b"junk", "key", "no private key"),
        (None, other_key, "key", "not the key of the certificate"),
        (None, locked, "key", "no private key"),
        (None, key_pem(rsa.generate_private_key(65537, 1024)).encode(), "key", "not accepted"),  # noqa: S505
    ],
)
async def test_what_cannot_sign_is_refused_with_the_field_and_nothing_changes(
    certificate: bytes | None, key: Any, field: str, problem: str
) -> None:
    scene, given = Scene(), made()
    await scene.put()
    before = (await scene.authority()).authority.pem
    await scene.secret("ca", certificate or given.pem.encode())
    await scene.secret("ca-key", key(given) if callable(key) else key or key_pem(given.key).encode())
    with pytest.raises(AuthorityRefused, match=problem) as refused:
        await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
    assert refused.value.place == f"mtls.backends[0].conf.{field}"
    assert (await scene.authority()).authority.pem == before
    stored = await scene.store.get(mesh_key("default"))
    assert stored
    assert stored.body == {}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"secret": "nowhere"}, "there is no Secret 'nowhere'"),
        ({"inline": "%%%"}, "is not base64"),
        ({"inlineString": "junk"}, "holds 0 certificates"),
        ({}, "data source has to be chosen"),
    ],
)
async def test_a_source_that_holds_nothing_is_refused(source: Mapping[str, str], problem: str) -> None:
    scene = Scene()
    conf = {**PROVIDED, "cert": source}
    await scene.secret("ca-key", key_pem(made().key).encode())
    with pytest.raises(AuthorityRefused, match=problem):
        await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=conf)])


async def test_a_certificate_in_the_mesh_may_have_lines() -> None:
    scene, given = Scene(), made()
    await scene.secret("ca-key", key_pem(given.key).encode())
    lines = base64.encodebytes(given.pem.encode()).decode().replace("\n", "\r\n")
    await scene.put(
        enabledBackend="corp", backends=[backend("corp", "provided", conf={**PROVIDED, "cert": {"inline": lines}})]
    )
    assert (await scene.authority()).authority.pem == given.pem


async def test_secrets_that_are_not_there_are_all_named() -> None:
    with pytest.raises(ExceptionGroup) as refused:
        await Scene().put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
    assert [str(error).partition(":")[0] for error in refused.value.exceptions] == [
        f"OUT143 mtls.backends[0].conf.{part}.secret" for part in ("cert", "key")
    ]


class Agents:
    """Remembers who is to renew."""

    def __init__(self, *here: Key) -> None:
        self.here = here
        self.told: list[Key] = []

    def renew(self, registration: Key, reason: str) -> None:
        del reason
        self.told.append(registration)


class Peers:
    """Trust what they are told to once they are let."""

    def __init__(self) -> None:
        self.asked, self.trusting = False, asyncio.Event()

    async def wait_trusted(self, revision: int, *, bound: float) -> bool:
        del revision, bound
        self.asked = True
        await self.trusting.wait()
        return True


async def test_members_renew_once_the_new_authority_of_their_mesh_is_trusted_and_others_do_not() -> None:
    scene = Scene()
    mine = (
        Key("kuma.io", "Dataplane", "default", "", "kv-1"),
        Key("onboarding.tetrate.io", "WorkloadAutoRegistration", "", "shop", "web-1"),
    )
    others = (
        Key("kuma.io", "Dataplane", "payments", "", "kv-1"),
        Key("onboarding.tetrate.io", "WorkloadAutoRegistration", "", "bank", "web-1"),
    )
    async with scene.store.transaction() as tx:
        for name, labels in (("shop", {}), ("bank", {"kuma.io/mesh": "payments"})):
            await tx.create(Resource(Key("", "Namespace", "", "", name), labels=labels))
    for mesh in ("default", "payments"):
        await scene.put(mesh, enabledBackend="a", backends=[backend("a")])
    agents = Agents(*mine, *others)
    given = made()
    await scene.secret("ca", given.pem.encode())
    await scene.secret("ca-key", key_pem(given.key).encode())
    peers = Peers()
    async with running(Reissuing(scene.store, agents, peers, lambda: NOW).run()):
        async with asyncio.timeout(20):
            while not peers.asked:  # whether it follows already or not: it has seen both meshes when it asks
                await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
                given = made()
                await scene.secret("ca", given.pem.encode())
                await scene.secret("ca-key", key_pem(given.key).encode())
                await asyncio.sleep(0.02)
            assert not agents.told
            peers.trusting.set()
            while len(agents.told) < 2:
                await asyncio.sleep(0.01)
    assert set(agents.told) == set(mine)


async def test_an_authority_in_the_last_tenth_of_its_life_is_told_of_in_an_event_of_its_mesh_now_and_then() -> None:
    scene = Scene()
    given = made(life=HOUR * 12)  # of 60, of which it has lived 48
    await scene.put("long")
    await scene.secret("ca", given.pem.encode())
    await scene.secret("ca-key", key_pem(given.key).encode())
    await scene.put(enabledBackend="corp", backends=[backend("corp", "provided", conf=PROVIDED)])
    counts = []
    for later in (HOUR * 5, HOUR * 6, HOUR * 6.5, HOUR * 7, HOUR * 13):
        await warn_once(scene.store, NOW + later)
        events = [one.body for one in (await scene.store.list(Query())).items if one.key.kind == "Event"]
        counts.append([(one["involvedObject"]["name"], one["type"], one["count"]) for one in events])
    assert counts == [[], *([("default", "Warning", count)] for count in (1, 1, 2, 3))]
    assert "OUT145 the authority of mesh default ended at 2026-11-02 00:00 UTC" in events[0]["message"]


@pytest.mark.parametrize("odd", ["kv-1", "a/b", "a%2fb", "../x", "ä"])
@pytest.mark.parametrize("kind", ["dataplane", "zoneingress", "zoneegress"])
def test_a_control_identity_names_a_proxy_of_each_kind(kind: str, odd: str) -> None:
    name = ControlName("c1", "", odd, "u-1", kind=kind, mesh="default" if kind == "dataplane" else "")
    assert control_name(name.uri) == name
    assert f"/{kind}/" in name.uri


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://c1/dataplane/a/b",
        "spiffe://c1/dataplane/a/b/c/d",
        "spiffe://c1/zoneingress/a",
        "spiffe://c1/zoneingress/a/b/c",
        "spiffe://c1/mesh/a/b/c",
        "spiffe://c1/dataplane/a/b/c\n",
    ],
)
def test_other_uris_name_no_proxy(uri: str) -> None:
    assert control_name(uri) is None


@pytest.mark.parametrize(
    "uris", [(), ("https://a/b",), ("spiffe://a/b c",), ("spiffe://a/b/c",), ("spiffe:///b",), ("kuma://t",)]
)
def test_what_is_no_identity_of_a_dataplane_stands_in_no_certificate(uris: tuple[str, ...]) -> None:
    with pytest.raises(NameRefused):
        peer_uris(uris)


def test_identities_stand_in_order_the_services_first() -> None:
    said = ("kuma://kuma.io/service/kv", "spiffe://default/kv", "kuma://team/a", "spiffe://default/admin")
    assert peer_uris(said) == (
        "spiffe://default/admin",
        "spiffe://default/kv",
        "kuma://kuma.io/service/kv",
        "kuma://team/a",
    )
