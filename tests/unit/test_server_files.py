"""The data directory: what is secret is for its owner, what still serves is kept, what does not is made anew."""

import asyncio
import base64
import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.applications import Starlette

from outrig.admission.meshes import Meshes
from outrig.api.access.gate import Gate
from outrig.api.kube.app import kube_app
from outrig.ca.authorities import Authorities, open_authorities
from outrig.ca.meshes import TrustDomainChanged, find_authority
from outrig.ca.settings import CaSettings
from outrig.dialects.kuma.mesh import mesh_key
from outrig.resources import Resource
from outrig.server.admin_token import keep_shared_token
from outrig.server.callers import authenticator, user_verifier
from outrig.server.files import ADMIN_LIFETIME, BadDataDir, DataDir, api_url, kubeconfig, read_given, server_hosts
from outrig.server.first_start import Defaults, write_defaults
from outrig.server.kinds import KINDS
from outrig.server.ports import Apps, ports_of
from outrig.server.settings import Settings
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query
from outrig.tokens.keys import USER, secret_body, secret_text
from outrig.tokens.settings import TokenSettings
from outrig.tokens.tokens import ADMIN_TOKEN, Tokens

NOW = datetime.now(UTC)
SERVER = "https://127.0.0.1:5682"
DEFAULTS = Defaults(Meshes(CaSettings()), Tokens())


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path / "data")
    data.prepare()
    return data


@pytest.fixture
async def authorities() -> Authorities:
    return await open_authorities(MemoryStore())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_for_their_owner_and_the_rest_can_be_read(data: DataDir, authorities: Authorities) -> None:
    for _ in range(2):
        data.write_roots(authorities)
        data.write_server(authorities.issue_server(["localhost"]))
        data.write_ports({"xds": 1})
        data.write_admin_token("token")
        data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    modes = {str(path.relative_to(data.path)): mode(path) for path in data.path.rglob("*") if path.is_file()}
    assert modes == {
        "admin-token": 0o600,
        "kubeconfig": 0o600,
        "onboarding-root.pem": 0o644,
        "ports.json": 0o644,
        "tls/clients-ca.pem": 0o644,
        "tls/control-ca.pem": 0o644,
        "tls/server-key.pem": 0o600,
        "tls/server.pem": 0o644,
    }
    assert mode(data.path) == mode(data.path / "tls") == 0o700


def test_only_users_are_let_in_to_be_told_that_their_certificate_has_ended(data: DataDir) -> None:
    assert (data.api_tls.at_any_time, data.agents_tls.at_any_time) == (True, False)


def test_a_directory_that_cannot_be_made_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadDataDir, match="cannot be made"):
        DataDir(tmp_path / "file").prepare()
    with pytest.raises(BadDataDir, match=r"ports\.json: cannot be written"):
        DataDir(tmp_path / "nowhere").write_ports({})


def test_a_kubeconfig_that_serves_is_kept(data: DataDir, authorities: Authorities) -> None:
    data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    before = data.kubeconfig.read_bytes()
    data.write_kubeconfig(authorities, server=SERVER, now=NOW + ADMIN_LIFETIME / 2)
    assert data.kubeconfig.read_bytes() == before


@pytest.mark.parametrize("garbage", [b"", b"- 1", b"clusters: [", b"clusters: []\nusers: []\n", b"\xff\x00"])
def test_garbage_is_replaced(data: DataDir, authorities: Authorities, garbage: bytes) -> None:
    data.kubeconfig.write_bytes(garbage)
    data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    assert yaml.safe_load(data.kubeconfig.read_text())["current-context"] == "outrig"


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("client-certificate-data: L", "client-certificate-data: é"),
        ("client-certificate-data: ", "other: "),
        ("certificate-authority-data: L", "certificate-authority-data: M"),
        ("5682", "5683"),
    ],
)
def test_one_that_does_not_is_made_anew(data: DataDir, authorities: Authorities, part: str, other: str) -> None:
    data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    text = data.kubeconfig.read_text()
    data.kubeconfig.write_text(text.replace(part, other))
    data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    assert part in text
    assert data.kubeconfig.read_text() not in (text, text.replace(part, other))


async def test_a_kubeconfig_of_other_authorities_or_near_its_end_is_replaced(
    data: DataDir, authorities: Authorities
) -> None:
    data.write_kubeconfig(await open_authorities(MemoryStore()), server=SERVER, now=NOW)
    foreign = data.kubeconfig.read_text()
    data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    own = data.kubeconfig.read_text()
    data.write_kubeconfig(authorities, server=SERVER, now=NOW + ADMIN_LIFETIME - timedelta(days=1))
    assert len({foreign, own, data.kubeconfig.read_text()}) == 3


async def test_one_whose_user_is_of_another_authority_is_replaced(data: DataDir, authorities: Authorities) -> None:
    foreign = await open_authorities(MemoryStore())
    stranger = foreign.issue_client("admin", group="outrig:admins", lifetime=ADMIN_LIFETIME)
    data.kubeconfig.write_text(kubeconfig(authorities.control.pem, stranger, SERVER))
    data.write_kubeconfig(authorities, server=SERVER, now=NOW)
    assert data.kubeconfig.read_text() != kubeconfig(authorities.control.pem, stranger, SERVER)


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "https://127.0.0.1:1"),
        ("0.0.0.0", "https://127.0.0.1:1"),
        ("::", "https://[::1]:1"),
        ("10.0.0.5", "https://10.0.0.5:1"),
        ("fd00::5", "https://[fd00::5]:1"),
    ],
)
def test_the_kubeconfig_names_an_address_that_is_served_and_in_the_certificate(bind: str, url: str) -> None:
    settings = Settings(api_bind=bind)
    assert api_url(settings, 1) == url
    assert httpx.URL(url).host in server_hosts(settings)


async def allowed(app: Starlette, token: str) -> int:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/api/v1/namespaces", headers={"authorization": f"Bearer {token}"})
    return answer.status_code


async def test_the_administrators_token_is_made_once_and_is_a_bearer_token(data: DataDir) -> None:
    store = MemoryStore()
    await write_defaults(store, DEFAULTS, NOW)
    app = kube_app(store, KINDS, Gate(authenticator(Settings(), data)))
    token = data.read_admin_token()
    assert len(token) >= 32
    assert mode(data.admin_token) == 0o600
    assert await allowed(app, token) == 200
    assert await allowed(app, token[:-1]) == 401
    again = kube_app(store, KINDS, Gate(authenticator(Settings(), data)))
    assert data.read_admin_token() == token
    assert await allowed(again, token) == 200


async def test_an_empty_token_file_opens_nothing(data: DataDir) -> None:
    data.admin_token.write_text("\n")
    app = kube_app(MemoryStore(), KINDS, Gate(authenticator(Settings(), data)))
    assert await allowed(app, "") == 401
    assert data.read_admin_token() != ""


def claims(token: str) -> dict[str, str]:
    part = token.split(".")[1]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def test_the_token_of_a_replica_is_good_on_all_until_it_is_revoked_and_kept_while_it_is_good(
    data: DataDir, tmp_path: Path
) -> None:
    store, tokens, other = MemoryStore(), Tokens(), DataDir(tmp_path / "other")
    other.prepare()
    await write_defaults(store, DEFAULTS, NOW)
    apps = []
    for place in (data, other):
        assert await keep_shared_token(place, store, tokens, now=NOW)
        caller = authenticator(Settings(), place, user_verifier(store, tokens), shared_token=True)
        apps.append(kube_app(store, KINDS, Gate(caller)))
    token = data.read_admin_token()
    assert [await allowed(app, token) for app in apps] == [200, 200]
    assert token not in str(await store.list(Query()))
    assert await keep_shared_token(data, store, tokens, now=NOW + ADMIN_LIFETIME / 2)
    assert data.read_admin_token() == token
    async with store.transaction() as tx:
        await tx.create(Resource(USER.revocations[0], body=secret_body(claims(token)["jti"])))
    assert [await allowed(app, token) for app in apps] == [401, 401]
    assert await keep_shared_token(data, store, tokens, now=NOW)
    assert await allowed(apps[1], data.read_admin_token()) == 200


async def test_a_replica_that_issues_no_user_tokens_has_a_token_of_its_own(data: DataDir) -> None:
    store = MemoryStore()
    await write_defaults(store, DEFAULTS, NOW)
    assert await keep_shared_token(data, store, Tokens(), now=NOW - 2 * ADMIN_LIFETIME)
    expired, off = data.read_admin_token(), Tokens(TokenSettings(not_issued=frozenset({"user"})))
    assert not await keep_shared_token(data, store, off, now=NOW)
    app = kube_app(store, KINDS, Gate(authenticator(Settings(), data, user_verifier(store, off))))
    assert await allowed(app, expired) == 401
    assert await allowed(app, data.read_admin_token()) == 200


def test_a_token_file_that_is_no_text_is_named(data: DataDir) -> None:
    data.admin_token.write_bytes(b"\xff")
    with pytest.raises(BadDataDir, match="admin-token: cannot be read"):
        authenticator(Settings(), data)


async def test_the_defaults_are_written_once() -> None:
    store = MemoryStore()
    await write_defaults(store, DEFAULTS, NOW)
    revision = await store.revision()
    await write_defaults(store, DEFAULTS, NOW)
    assert await store.revision() == revision > 0


async def test_the_mesh_default_is_there_from_the_start_unless_it_is_not_wanted() -> None:
    for wanted in (True, False):
        store = MemoryStore()
        await write_defaults(store, replace(DEFAULTS, mesh=wanted), NOW)
        assert bool(await store.get(mesh_key("default"))) is wanted
        assert bool(await find_authority(store, "default")) is wanted
        token = await store.get(ADMIN_TOKEN)
        assert token
        user = await Tokens().verify_user(store, secret_text(token), now=NOW)
        assert (user.name, user.groups) == ("mesh-system:admin", ("mesh-system:admin",))


async def test_the_trust_domain_of_certificates_in_use_cannot_be_set_to_another() -> None:
    store = MemoryStore()
    await write_defaults(store, DEFAULTS, NOW)
    other = Meshes(CaSettings(trust_domain="other.example"))
    with pytest.raises(TrustDomainChanged, match=r"is cluster\.local, not other\.example"):
        await write_defaults(store, replace(DEFAULTS, meshes=other), NOW)


async def test_replicas_that_start_at_once_agree_on_what_there_is() -> None:
    store = MemoryStore()
    await asyncio.gather(*(write_defaults(store, DEFAULTS, NOW) for _ in range(4)))
    before = await store.revision()
    await write_defaults(store, DEFAULTS, NOW)
    assert await store.revision() == before


def test_a_certificate_of_ones_own_stands_in_the_kubeconfig_with_its_name(
    data: DataDir, authorities: Authorities, tmp_path: Path
) -> None:
    pair = authorities.issue_server(["mesh.example"])
    (tmp_path / "own.pem").write_text(pair.certificate.chain)
    given = read_given(str(tmp_path / "own.pem"))
    for _ in range(2):
        data.write_kubeconfig(authorities, server=SERVER, now=NOW, given=given)
        cluster = yaml.safe_load(data.kubeconfig.read_text())["clusters"][0]["cluster"]
        assert cluster["tls-server-name"] == "mesh.example"
        assert base64.b64decode(cluster["certificate-authority-data"]).decode() == pair.certificate.chain
    ports = ports_of(Settings(tls_cert_file="/own.pem", tls_key_file="/key.pem"), Apps(*[Starlette()] * 3), data)
    served = {port.name: (port.tls.chain.name, port.tls.key.name) for port in ports if port.tls}
    assert served == dict.fromkeys(("agents", "onboarding", "apiHttps"), ("own.pem", "key.pem"))


@pytest.mark.parametrize("content", [None, "junk"])
def test_a_certificate_of_ones_own_that_cannot_be_read_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "own.pem").write_text(content)
    with pytest.raises(BadDataDir, match=r"own\.pem"):
        read_given(str(tmp_path / "own.pem"))
