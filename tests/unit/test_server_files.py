"""The data directory: what is secret is for its owner, what still serves is kept, what does not is made anew."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.applications import Starlette

from outrig.api.kube.app import kube_app
from outrig.ca.authorities import Authorities, open_authorities
from outrig.server.callers import authenticator
from outrig.server.files import ADMIN_LIFETIME, BadDataDir, DataDir, api_url, kubeconfig, server_hosts
from outrig.server.first_start import write_defaults
from outrig.server.kinds import KINDS
from outrig.server.settings import Settings
from outrig.store.memory import MemoryStore

NOW = datetime.now(UTC)
SERVER = "https://127.0.0.1:5682"


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
    await write_defaults(store)
    app = kube_app(store, KINDS, authenticator(Settings(), data))
    token = data.read_admin_token()
    assert len(token) >= 32
    assert mode(data.admin_token) == 0o600
    assert await allowed(app, token) == 200
    assert await allowed(app, token[:-1]) == 401
    again = kube_app(store, KINDS, authenticator(Settings(), data))
    assert data.read_admin_token() == token
    assert await allowed(again, token) == 200


async def test_an_empty_token_file_opens_nothing(data: DataDir) -> None:
    data.admin_token.write_text("\n")
    app = kube_app(MemoryStore(), KINDS, authenticator(Settings(), data))
    assert await allowed(app, "") == 401
    assert data.read_admin_token() != ""


def test_a_token_file_that_is_no_text_is_named(data: DataDir) -> None:
    data.admin_token.write_bytes(b"\xff")
    with pytest.raises(BadDataDir, match="admin-token: cannot be read"):
        authenticator(Settings(), data)


async def test_the_defaults_are_written_once() -> None:
    store = MemoryStore()
    await write_defaults(store)
    revision = await store.revision()
    await write_defaults(store)
    assert await store.revision() == revision > 0
