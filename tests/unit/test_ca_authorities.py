"""Authorities: made once, apart from each other, and signing only from fixed templates."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from outrig.ca.authorities import Authorities, open_authorities
from outrig.ca.authority import CLIENT, SERVER, Issued, Leaf, new_authority, read_authority
from outrig.ca.meshes import INTERNAL, MeshAuthority
from outrig.ca.names import ControlName, NameRefused, control_name, workload_uri
from outrig.ca.settings import CaSettings
from outrig.dialects.istio.identity import spiffe_id
from outrig.resources import Key
from outrig.store.memory import MemoryStore
from tests.mesh_keeping import make_authority

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def leaf(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificates(issued.chain.encode())[0]


def key() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


MESH = MeshAuthority("default", new_authority("mesh", now=NOW, lifetime=timedelta(days=9999)), "cluster.local")


def workload(found: Authorities, namespace: str, account: str) -> Issued:
    uri = workload_uri("cluster.local", namespace, account)
    return found.issue_workload(key(), (uri,), by=MESH)


def purposes(certificate: x509.Certificate) -> list[str]:
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return sorted(purpose._name for purpose in usage)


async def test_a_second_start_finds_what_the_first_made() -> None:
    store = MemoryStore()
    first, second = await open_authorities(store), await open_authorities(store)
    assert first.cluster_id == second.cluster_id
    assert (first.control.pem, first.clients.pem) == (second.control.pem, second.clients.pem)


async def test_replicas_that_start_at_once_agree() -> None:
    store = MemoryStore()
    opened = await asyncio.gather(*(open_authorities(store) for _ in range(5)))
    assert len({one.cluster_id for one in opened}) == 1
    assert len({one.control.pem for one in opened}) == 1


async def test_the_authorities_are_three_and_share_no_key() -> None:
    store = MemoryStore()
    found, mesh = await open_authorities(store), await make_authority(store)
    hashes = {one.key_hash for one in (found.control, found.clients)}
    assert len(hashes | {mesh.authority.key_hash}) == 3
    assert all(found.owns_key(one) for one in hashes)
    assert not found.owns_key("0" * 64)


async def test_a_damaged_authority_is_noticed() -> None:
    store = MemoryStore()
    await open_authorities(store)
    control = await store.get(Key(INTERNAL, "Authority", "", "", "control"))
    clients = await store.get(Key(INTERNAL, "Authority", "", "", "clients"))
    assert control
    assert clients
    with pytest.raises(ValueError, match="not that of its certificate"):
        read_authority({**control.body, "key": clients.body["key"]})


async def test_a_workload_identity_is_one_uri_and_serves_both_ways() -> None:
    found = await open_authorities(MemoryStore(), clock=lambda: NOW)
    issued = workload(found, "bookinfo", "bookinfo-ratings")
    certificate = leaf(issued)
    assert issued.subject == spiffe_id(
        trust_domain="cluster.local", namespace="bookinfo", service_account="bookinfo-ratings"
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.UniformResourceIdentifier(issued.subject)]
    assert names.critical  # the subject is empty (RFC 5280, 4.2.1.6)
    assert purposes(certificate) == ["clientAuth", "serverAuth"]
    assert (issued.not_after, certificate.not_valid_before_utc) == (NOW + HOUR, NOW - timedelta(minutes=2))
    assert certificate.serial_number == int(issued.serial, 16)


async def test_a_leaf_can_sign_nothing() -> None:
    found = await open_authorities(MemoryStore())
    made = (
        workload(found, "a", "b"),
        found.issue_control(key(), ControlName(found.cluster_id, "a", "b", "c")),
        found.issue_server(["localhost", "127.0.0.1", "::1"]).certificate,
        found.issue_client("me", group="outrig:admin", lifetime=HOUR).certificate,
    )
    for issued in made:
        basic = leaf(issued).extensions.get_extension_for_class(x509.BasicConstraints)
        usage = leaf(issued).extensions.get_extension_for_class(x509.KeyUsage)
        assert (basic.critical, basic.value.ca, usage.critical) == (True, False, True)
        assert (usage.value.digital_signature, usage.value.key_cert_sign) == (True, False)


async def test_certificates_are_accepted_only_by_who_should() -> None:
    found = await open_authorities(MemoryStore())
    worker = workload(found, "a", "b")
    control = found.issue_control(key(), ControlName(found.cluster_id, "a", "b", "c"))
    server = found.issue_server(["localhost"]).certificate
    roots = {"control": found.control, "clients": found.clients, "mesh": MESH.authority}
    accepted = set()
    for root, authority in roots.items():
        verifier = PolicyBuilder().store(Store([authority.certificate])).build_client_verifier()
        for name, issued in (("workload", worker), ("control", control), ("server", server)):
            try:
                verifier.verify(leaf(issued), [])
                accepted.add((root, name))
            except VerificationError:
                pass
    assert accepted == {("control", "control"), ("mesh", "workload")}


async def test_a_server_certificate_names_hosts_addresses_and_the_control_plane() -> None:
    found = await open_authorities(MemoryStore())
    names = leaf(found.issue_server(["localhost", "10.0.0.1"]).certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.value.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [found.control_plane]


async def test_nothing_outlives_its_authority() -> None:
    settings = CaSettings(authority_lifetime=timedelta(minutes=10))
    found = await open_authorities(MemoryStore(), settings, clock=lambda: NOW)
    issued = found.issue_control(key(), ControlName(found.cluster_id, "a", "b", "c"))
    assert issued.not_after == NOW + timedelta(minutes=10)


async def test_a_control_identity_is_known_by_its_uri_its_authority_its_purpose_and_its_time() -> None:
    found = await open_authorities(MemoryStore(), clock=lambda: NOW)
    other = await open_authorities(MemoryStore(), clock=lambda: NOW)
    issued = found.issue_control(key(), ControlName(found.cluster_id, "bookinfo", "ratings-1", "u-1"))
    peer = found.identify(issued.chain, NOW)
    assert peer
    assert (peer.name.namespace, peer.name.registration, peer.name.uid) == ("bookinfo", "ratings-1", "u-1")
    assert peer.key_hash == issued.key_hash
    assert found.identify(issued.chain, NOW + HOUR) is None
    assert found.identify(issued.chain, NOW - HOUR) is None
    assert other.identify(issued.chain, NOW) is None
    assert found.identify(found.issue_server(["x"]).certificate.chain, NOW) is None
    assert found.identify("junk", NOW) is None


async def test_a_control_identity_that_only_looks_right_is_none() -> None:
    found = await open_authorities(MemoryStore(), clock=lambda: NOW)
    uri = x509.UniformResourceIdentifier(ControlName(found.cluster_id, "bookinfo", "ratings-1", "u-1").uri)
    good, end = Leaf(key(), (CLIENT,), (uri,)), NOW + HOUR
    forger = new_authority("Outrig control", now=NOW, lifetime=HOUR)
    assert found.identify(found.control.sign(good, start=NOW, end=end).chain, NOW)
    looks_right = (
        forger.sign(good, start=NOW, end=end),
        MESH.authority.sign(good, start=NOW, end=end),
        found.clients.sign(good, start=NOW, end=end),
        found.control.sign(replace(good, purposes=(CLIENT, SERVER)), start=NOW, end=end),
        found.control.sign(replace(good, purposes=(SERVER,)), start=NOW, end=end),
        found.control.sign(replace(good, names=(uri, uri)), start=NOW, end=end),
        found.control.sign(replace(good, names=(), common_name=uri.value), start=NOW, end=end),
    )
    assert [found.identify(issued.chain, NOW) for issued in looks_right] == [None] * len(looks_right)


@pytest.mark.parametrize("odd", ["a/b", "a%2fb", "../x", "a b", "ä", "a:b@c?d#e"])
def test_odd_registration_names_stand_in_a_control_name_unharmed(odd: str) -> None:
    name = ControlName("c1", odd, odd, odd)
    assert control_name(name.uri) == name
    assert name.uri.count("/") == 6


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://c1/registration/a/b",
        "spiffe://c1/registration/a/b/c/d",
        "spiffe://c1/ns/a/sa/b",
        "https://c1/registration/a/b/c",
        "spiffe://c1/registration/a/b/c\n",
        "spiffe://c1/registration///",
    ],
)
def test_other_uris_name_no_registration(uri: str) -> None:
    assert control_name(uri) is None


@pytest.mark.parametrize("account", ["", "a/b", "../x", "a%2fb", "A", "a..b", "a b", "-a", "a" * 254, "a\n"])
def test_what_cannot_be_part_of_an_identity_is_refused(account: str) -> None:
    with pytest.raises(NameRefused):
        workload_uri("cluster.local", "bookinfo", account)
    with pytest.raises(NameRefused):
        workload_uri("cluster.local", account, "ratings")


@pytest.mark.parametrize("field", ["workload_lifetime", "control_lifetime", "server_lifetime", "authority_lifetime"])
def test_lifetimes_under_a_minute_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        CaSettings(**{field: timedelta(seconds=59)})  # type: ignore[arg-type]
