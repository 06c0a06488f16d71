"""AWS once for all tests, a control plane for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.attacks.scene import AwsServer, Plane, RunningTask, lay_out, open_plane


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
