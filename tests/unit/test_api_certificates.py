"""Client certificates of users over TLS: issued for a key that stays where it is, listed, and revoked for good."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from structlog.testing import capture_logs

from outrig.api.access.certificates import ended
from outrig.api.access.gate import WATCHED, Gate
from outrig.api.callers import ADMINS, VIEWERS, Authenticator
from outrig.api.kube.app import kube_app
from outrig.api.serving import Serving, Tls, serve
from outrig.ca.authorities import Authorities, open_authorities, utc_now
from outrig.cli.users import _pem, _request
from outrig.control.following import follow
from outrig.kit.tasks import running
from outrig.resources import Key, Resource
from outrig.server.access import desk_of, forget_revoked, record_own
from outrig.server.callers import user_verifier
from outrig.server.files import DataDir
from outrig.server.kinds import KINDS
from outrig.store.memory import MemoryStore
from outrig.tokens.claims import UserClaims
from outrig.tokens.keys import USER, secret_body
from outrig.tokens.tokens import Tokens, ensure_signing_key

pytestmark = pytest.mark.slow

PATH = "/outrig/v1/certificates"
SERVICES = "/api/v1/services"


@dataclass(frozen=True, slots=True)
class Plane:
    """Two replicas on one store, and a directory for keys."""

    home: Path
    store: MemoryStore
    authorities: Authorities
    replicas: tuple[Serving, Serving]

    def client(self, user: str, pem: str, *, replica: int = 0) -> httpx.AsyncClient:
        """A client with that certificate and key."""
        file = self.home / f"{user}.pem"
        file.write_text(pem)
        context = ssl.create_default_context(cafile=self.home / "roots.pem")
        context.load_cert_chain(file)
        url = f"https://127.0.0.1:{self.replicas[replica].port}"
        return httpx.AsyncClient(base_url=url, verify=context, timeout=30)

    def known(self, user: str, group: str, *, replica: int = 0) -> httpx.AsyncClient:
        """The client of somebody whose certificate was signed without being recorded."""
        pair = self.authorities.issue_client(user, group=group, lifetime=timedelta(hours=1))
        return self.client(user, pair.certificate.chain + pair.key, replica=replica)

    def of_then(self, user: str, begun: timedelta, *, lifetime: timedelta = timedelta(hours=1)) -> tuple[str, str]:
        """The serial of a certificate that begins so long from now, and the same with its key."""
        then = replace(self.authorities, clock=lambda: datetime.now(UTC) + begun)
        pair = then.issue_client(user, group=VIEWERS, lifetime=lifetime)
        return pair.certificate.serial, pair.certificate.chain + pair.key

    def bearing(self, token: str, *, replica: int = 0) -> httpx.AsyncClient:
        """The client of somebody with a token."""
        context = ssl.create_default_context(cafile=self.home / "roots.pem")
        url, headers = f"https://127.0.0.1:{self.replicas[replica].port}", {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=url, verify=context, timeout=30, headers=headers)

    async def issued(self, user: str, *groups: str, **more: str) -> tuple[str, str]:
        """The serial of a new certificate, and the same with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        asked = {"csr": _request(key), "user": user, "groups": list(groups), **more}
        async with self.known("admin", ADMINS) as admin:
            answer = await admin.post(PATH, json=asked)
            assert answer.status_code == 201, answer.text
            made: dict[str, Any] = answer.json()
        return made["serial"], made["certificate"] + _pem(key)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    store = MemoryStore()
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "default"), body={"spec": {}}))
    authorities = replace(
        await open_authorities(store, clock=lambda: datetime.now(UTC) - timedelta(days=1)), clock=utc_now
    )
    pair = authorities.issue_server(["127.0.0.1"])
    files = {"server.pem": pair.certificate.chain, "key.pem": pair.key, "clients.pem": authorities.clients.pem}
    for name, text in {**files, "roots.pem": authorities.control_roots}.items():
        (tmp_path / name).write_text(text)
    chain, key, clients = (tmp_path / name for name in files)
    tls = Tls(chain, key, clients, at_any_time=True)
    async with replica(store, authorities, tls) as one, replica(store, authorities, tls) as other:
        yield Plane(tmp_path, store, authorities, (one, other))


@asynccontextmanager
async def replica(store: MemoryStore, authorities: Authorities, tls: Tls) -> AsyncIterator[Serving]:
    tokens = Tokens()
    gate = Gate(Authenticator(now=lambda: datetime.now(UTC), verify_user=user_verifier(store, tokens)))
    app = Starlette(routes=[*desk_of(store, gate, authorities).routes(), *kube_app(store, KINDS, gate).routes])
    async with running(gate.follow(follow(store, WATCHED))), serve(app, host="127.0.0.1", port=0, tls=tls) as serving:
        await gate.ready()
        yield serving


async def test_a_certificate_says_what_was_asked_and_lets_its_user_in(plane: Plane) -> None:
    with capture_logs() as told:
        serial, pem = await plane.issued("alice", VIEWERS, "dev", validFor="30m")
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert f"{certificate.serial_number:x}" == serial
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    async with plane.client("alice", pem) as alice:
        who = await alice.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=asked)
        assert who.json()["status"]["userInfo"] == {
            "username": "alice",
            "groups": [VIEWERS, "dev", "system:authenticated"],
        }
        assert (await alice.get(SERVICES)).status_code == 200
        assert (await alice.get(PATH)).status_code == 403
    line = next(one for one in told if one.get("issued"))
    assert (line["issued"]["user"], line["issued"]["serial"], line["user"]) == ("alice", serial, "admin")
    assert "BEGIN" not in str(told)


async def test_what_was_issued_is_listed(plane: Plane) -> None:
    first, _ = await plane.issued("alice", "dev")
    second, _ = await plane.issued("bob")
    async with plane.known("admin", ADMINS, replica=1) as admin:
        rows = (await admin.get(PATH)).json()["items"]
    assert {(row["serial"], row["user"], *row["groups"]) for row in rows} == {(first, "alice", "dev"), (second, "bob")}
    assert {row["issuedBy"] for row in rows} == {"admin"}
    assert not any(row["revoked"] for row in rows)


async def test_revoking_bites_open_connections_and_watches_on_every_replica(plane: Plane) -> None:
    serial, pem = await plane.issued("alice", VIEWERS)
    async with (
        plane.client("alice", pem) as here,
        plane.client("alice", pem, replica=1) as there,
        plane.known("other", VIEWERS) as other,
        plane.known("admin", ADMINS) as admin,
        other.stream("GET", f"{SERVICES}?watch=true") as spared,
        there.stream("GET", f"{SERVICES}?watch=true&allowWatchBookmarks=true") as watch,
    ):
        assert (await here.get(SERVICES)).status_code == 200
        revoked = (await admin.delete(f"{PATH}/{serial}")).json()["items"]
        assert [(row["serial"], row["revokedBy"]) for row in revoked] == [(serial, "admin")]
        async with asyncio.timeout(20):
            assert await watch.aread() is not None, "its stream ends in good form"
        for client in (here, there):
            refused = await client.get(SERVICES)
            assert (refused.status_code, refused.json()["reason"]) == (401, "Unauthorized")
            assert refused.json()["message"] == f"the client certificate {serial} of 'alice' is revoked"
        assert (await other.get(SERVICES)).status_code == 200
        assert not spared.is_closed


async def test_a_watch_of_a_revoked_user_token_ends_at_once(plane: Plane) -> None:
    now = datetime.now(UTC)
    async with plane.store.transaction() as tx:
        await ensure_signing_key(tx, USER)
        claims = UserClaims("alice", ())
        token = await Tokens().issue_user(tx, claims, now=now, lifetime=timedelta(hours=1))
    jti = (await Tokens()._verify(plane.store, USER, token, now)).jti
    async with (
        plane.known("nobody", "others", replica=1) as other,
        plane.bearing(token, replica=1) as alice,
        alice.stream("GET", f"{SERVICES}?watch=true") as watch,
    ):
        assert watch.status_code == 200
        async with plane.store.transaction() as tx:
            await tx.create(Resource(USER.revocations[0], body=secret_body(jti)))
        async with asyncio.timeout(20):
            await watch.aread()
        assert (await alice.get(SERVICES)).status_code == 401
        assert (await other.get("/version")).status_code == 200


@pytest.mark.slow
async def test_a_watch_ends_with_the_certificate_it_was_opened_with(plane: Plane) -> None:
    pair = plane.authorities.issue_client("alice", group=VIEWERS, lifetime=timedelta(seconds=3))
    async with (
        plane.client("alice", pair.certificate.chain + pair.key) as alice,
        alice.stream("GET", f"{SERVICES}?watch=true") as watch,
    ):
        async with asyncio.timeout(20):
            await watch.aread()
        assert (await alice.get(SERVICES)).status_code == 401


async def test_a_certificate_that_has_ended_is_told_at_once_and_how_to_get_another(plane: Plane) -> None:
    serial, pem = plane.of_then("alice", timedelta(hours=-2))
    ends = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    async with plane.client("alice", pem) as alice:
        with capture_logs() as lines:
            told = (await alice.post("/api/v1/namespaces/default/services", json={})).json()
        read = await alice.get(SERVICES)
    assert (told["code"], told["reason"]) == (401, "Unauthorized")
    assert told["message"] == (
        f"the client certificate of 'alice' ended at {ends:%Y-%m-%d %H:%M:%S} UTC: `outrig kubeconfig` makes another"
    )
    assert read.status_code == 401
    (line,) = lines
    assert (line["user"], line["certificate"], line["code"]) == ("alice", serial, 401)
    assert (line["verb"], line["resource"]) == ("create", "services")


async def test_a_certificate_that_has_not_begun_is_told_so(plane: Plane) -> None:
    _, pem = plane.of_then("alice", timedelta(hours=2))
    async with plane.client("alice", pem) as alice:
        told = (await alice.get(SERVICES)).json()
    assert told["code"] == 401
    assert told["message"].startswith("the client certificate of 'alice' begins at ")
    assert told["message"].endswith(" UTC: compare the clocks")


async def test_an_ended_certificate_is_no_way_in_beside_a_token_nor_as_somebody_else(plane: Plane) -> None:
    _, pem = plane.of_then("admin", timedelta(hours=-2))
    async with plane.client("admin", pem) as admin:
        for headers in ({"authorization": "Bearer x"}, {"impersonate-user": "joe"}):
            assert (await admin.get(SERVICES, headers=headers)).status_code == 401
        for path in (PATH, "/version", "/api", "/openapi/v3"):
            assert (await admin.get(path)).status_code == 401


async def test_a_certificate_that_is_revoked_and_has_ended_is_refused(plane: Plane) -> None:
    serial, pem = plane.of_then("alice", timedelta(hours=-2))
    async with plane.known("admin", ADMINS) as admin, plane.client("alice", pem) as alice:
        assert (await admin.delete(f"{PATH}/{serial}")).status_code == 200
        assert (await alice.get(SERVICES)).status_code == 401


async def test_a_revoked_certificate_that_is_tried_again_is_told_with_its_user_and_serial(plane: Plane) -> None:
    serial, pem = await plane.issued("alice", VIEWERS, "dev")
    async with plane.known("admin", ADMINS) as admin, plane.client("alice", pem) as alice:
        await admin.delete(f"{PATH}/{serial}")
        with capture_logs() as lines:
            await alice.delete("/api/v1/namespaces/default/services/cart")
    (line,) = lines
    assert (line["user"], line["certificate"], line["by"], line["code"]) == ("alice", serial, "certificate", 401)
    assert line["groups"] == [VIEWERS, "dev", "system:authenticated"]


async def test_who_signs_for_himself_is_turned_away_before_he_says_anything(plane: Plane) -> None:
    foreign = await open_authorities(MemoryStore())
    pair = foreign.issue_client("admin", group=ADMINS, lifetime=timedelta(hours=1))
    async with plane.client("admin", pair.certificate.chain + pair.key) as admin:
        with pytest.raises(ssl.SSLError, match="unknown ca"):
            await admin.get(SERVICES)


async def test_all_certificates_of_a_user_go_together_and_new_ones_come(plane: Plane) -> None:
    old = [await plane.issued("alice", VIEWERS) for _ in range(2)]
    _, spared = await plane.issued("bob", VIEWERS)
    async with plane.known("admin", ADMINS) as admin:
        told = (await admin.delete(f"{PATH}?user=alice")).json()["items"]
        assert {row["serial"] for row in told} == {serial for serial, _ in old}
        again = (await admin.delete(f"{PATH}?user=alice")).json()["items"]
        assert again == told, "revoked once, with the time of the first"
        assert (await admin.delete(f"{PATH}?user=nobody")).status_code == 404
    _, new = await plane.issued("alice", VIEWERS)
    for pem, code in ((old[0][1], 401), (old[1][1], 401), (spared, 200), (new, 200)):
        async with plane.client("somebody", pem, replica=1) as client:
            async with asyncio.timeout(20):
                while (answer := await client.get(SERVICES)).status_code != code:
                    await asyncio.sleep(0)
            assert answer.status_code == code


async def test_a_certificate_that_nobody_recorded_can_be_revoked_by_its_serial(plane: Plane) -> None:
    pair = plane.authorities.issue_client("old", group=VIEWERS, lifetime=timedelta(hours=1))
    async with plane.client("old", pair.certificate.chain + pair.key) as old, plane.known("admin", ADMINS) as admin:
        assert (await old.get(SERVICES)).status_code == 200
        assert (await admin.delete(f"{PATH}/{pair.certificate.serial}")).status_code == 200
        assert (await old.get(SERVICES)).status_code == 401


WRONG: dict[str, dict[str, Any]] = {
    "user: ''": {"user": ""},
    "user: 'xxx": {"user": "x" * 65},
    "user: 'a": {"user": "a\nb"},
    "groups:": {"groups": ["ok", "\u00e9"]},
    "validFor: '366d'": {"validFor": "366d"},
    "validFor: '59s' must be a duration from 1m to 365d": {"validFor": "59s"},
    "validFor: 'soon'": {"validFor": "soon"},
    "csr: OUT106": {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
    "ca:": {"ca": True},
}


async def test_what_cannot_be_issued_is_refused_with_its_field(plane: Plane) -> None:
    asked = {"csr": _request(ec.generate_private_key(ec.SECP256R1())), "user": "alice", "groups": [], "validFor": "1h"}
    async with plane.known("admin", ADMINS) as admin:
        for said, change in WRONG.items():
            answer = await admin.post(PATH, json={**asked, **change})
            assert (answer.status_code, answer.json()["message"][: len(said)]) == (400, said)
        assert (await admin.get(PATH)).json()["items"] == []


async def test_other_requests_are_refused(plane: Plane) -> None:
    wrong = (
        ("PUT", PATH, 405),
        ("GET", f"{PATH}/ab", 405),
        ("DELETE", PATH, 400),
        ("DELETE", f"{PATH}/ab?user=alice", 400),
        ("DELETE", f"{PATH}/..%2f", 404),
        ("DELETE", f"{PATH}/AB", 404),
    )
    async with plane.known("admin", ADMINS) as admin:
        told = [(method, path, (await admin.request(method, path)).status_code) for method, path, _ in wrong]
    assert told == [*wrong]


async def test_the_administrators_own_certificate_has_a_row_and_rows_end(plane: Plane, tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    await record_own(plane.store, data, datetime.now(UTC))
    data.write_kubeconfig(plane.authorities, server="https://127.0.0.1:1", now=datetime.now(UTC))
    for _ in range(2):
        await record_own(plane.store, data, datetime.now(UTC))
    async with plane.known("admin", ADMINS) as admin:
        rows = (await admin.get(PATH)).json()["items"]
        assert [(row["user"], row["issuedBy"]) for row in rows] == [("admin", "outrig")]
        await forget_revoked(plane.store, data)
        assert data.kubeconfig.exists()
        await admin.delete(f"{PATH}?user=admin")
        await forget_revoked(plane.store, data)
        assert not data.kubeconfig.exists(), "the next start makes another"
    assert await ended(plane.store, datetime.now(UTC)) == []
    keys = await ended(plane.store, datetime.now(UTC) + timedelta(days=366))
    assert [key.name for key in keys] == [rows[0]["serial"]]
