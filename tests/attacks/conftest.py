"""AWS once for all tests, a control plane for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from outrig.attest.issuers import attributes_path
from tests.attacks.scene import AwsServer, Plane, RunningTask, lay_out, open_plane
from tests.attacks.token_scene import Tokens, allow, trusted
from tests.fixtures.oidc.issuer import IssuerServer


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsServer]:
    server = AwsServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def role(aws: AwsServer) -> str:
    return aws.role("ratings-task", path="/mesh/")


@pytest.fixture
def task(aws: AwsServer, role: str) -> RunningTask:
    return aws.task(role)


@pytest.fixture(autouse=True)
def own_credentials(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control plane's own."""
    key, secret = aws.own
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def plane(aws: AwsServer) -> AsyncIterator[Plane]:
    opened = await open_plane(aws.url)
    await lay_out(opened.store)
    yield opened
    await opened.client.aclose()
    await opened.attestor.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IssuerServer]:
    server = IssuerServer()
    server.start(tmp_path_factory.mktemp("issuer"))
    yield server
    server.stop()


@pytest.fixture
async def tokens(aws: AwsServer, server: IssuerServer) -> AsyncIterator[Tokens]:
    plane = await open_plane(aws.url, issuers=[trusted(server, attributes=attributes_path("$.attributes"))])
    await lay_out(plane.store)
    await allow(plane, server.url)
    server.asked.clear()
    yield Tokens(plane, server)
    await plane.client.aclose()
    await plane.attestor.close()
