"""A host that is no ECS task: its token from a file, its address, and what is said where either is missing."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent.configuration import Endpoint, Onboarding
from outrig.agent.control_plane import ControlPlane
from outrig.agent.identity import HostIdentity, TaskIdentity, identity_of, read_token
from outrig.agent.joining import Joiner
from outrig.agent.problems import InvalidConfiguration, NotInTask, TokenUnreadable, Unreachable
from outrig.agent.setup import Flags, Host, read_setup
from outrig.wire.join import HostAddress
from tests.unit.agent_server import ONBOARDING, Ca, FakeControlPlane, control_plane

TOKEN = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[FakeControlPlane]:
    async with control_plane(Ca(), tmp_path) as found:
        yield found


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token.jwt"
    file.write_text(f"{TOKEN}\n")
    return file


def joiner(plane: FakeControlPlane, host: Host, **onboarding: Any) -> Joiner:
    at = Endpoint("127.0.0.1", plane.port)
    wanted = Onboarding(at, "bookinfo", "ratings", **onboarding)
    key = ec.generate_private_key(ec.SECP256R1())
    identity = HostIdentity(host, at)
    return Joiner(ControlPlane(at, plane.ca.pem), wanted, key=key, identity=identity, envoy_version="1")


def setup_of(**environment: str) -> Any:
    configuration = {"ONBOARDING_CONFIG": ONBOARDING.format(port=1), "ONBOARDING_AGENT_ROOT_CERTS": Ca().pem}
    return read_setup(Flags(), configuration | environment)


async def test_a_host_sends_its_token_and_its_address_and_nothing_of_a_task(
    plane: FakeControlPlane, token: Path
) -> None:
    await joiner(plane, Host(str(token), "192.168.7.9")).join()
    (request,) = plane.requests
    assert request.jwt is not None
    assert request.jwt.token == TOKEN
    assert (request.aws, request.ecs) == (None, None)
    assert request.addresses == (HostAddress("192.168.7.9", "VPC"),)
    assert base64.b64decode(request.csr)


async def test_the_token_is_read_anew_for_every_join(plane: FakeControlPlane, token: Path) -> None:
    joins = joiner(plane, Host(str(token), "192.168.7.9"))
    await joins.join()
    token.write_text("a.b.c")
    await joins.join()
    assert [request.jwt.token for request in plane.requests if request.jwt] == [TOKEN, "a.b.c"]


async def test_an_address_is_of_the_kind_the_host_is_connected_over(plane: FakeControlPlane, token: Path) -> None:
    await joiner(plane, Host(str(token), "8.8.8.8"), connected_over="INTERNET").join()
    assert plane.requests[0].addresses == (HostAddress("8.8.8.8", "INTERNET"), HostAddress("127.0.0.1", "VPC"))


async def test_auto_is_the_address_towards_the_control_plane(plane: FakeControlPlane, token: Path) -> None:
    await joiner(plane, Host(str(token))).join()
    assert [address.ip for address in plane.requests[0].addresses] == ["127.0.0.1"]
    with pytest.raises(Unreachable, match="does not resolve"):
        await HostIdentity(Host(str(token)), Endpoint("no-such-host.invalid")).describe()


@pytest.mark.parametrize(
    "text", ["", "\n", "a.b", "a.b.c.d", "a.b.c\na.b.c", "a\x00.b.c", "é.b.c", "a" * 20_000 + ".b.c"]
)
def test_what_is_no_token_is_said_with_the_files_name(text: str, token: Path) -> None:
    token.write_text(text, encoding="utf-8")
    with pytest.raises(TokenUnreadable, match=r"token\.jwt") as caught:
        read_token(str(token))
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_a_file_that_is_not_there_yet_is_waited_for(plane: FakeControlPlane, token: Path) -> None:
    token.unlink()
    joins = joiner(plane, Host(str(token), "192.168.7.9"))
    with pytest.raises(TokenUnreadable, match="No such file"):
        await joins.join()
    token.write_text(TOKEN)
    await joins.join()


def test_a_file_makes_a_host_of_it_even_within_a_task() -> None:
    ecs = {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/c"}
    setup = setup_of(OUTRIG_JWT_FILE="/t", OUTRIG_HOST_ADDRESS="2001:db8:0::1", **ecs)
    assert (setup.task, setup.host) == (None, Host("/t", "2001:db8::1"))
    assert isinstance(identity_of(setup), HostIdentity)
    assert setup_of(OUTRIG_JWT_FILE="/t").host == Host("/t", "auto")


def test_without_a_file_it_is_a_task() -> None:
    ecs = {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/c",
           "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/creds"}  # fmt: skip
    assert isinstance(identity_of(setup_of(**ecs)), TaskIdentity)


def test_an_instance_of_ec2_is_told_how_it_can_join() -> None:
    with pytest.raises(NotInTask, match="OUTRIG_JWT_FILE, as identities of EC2 instances are not supported yet"):
        setup_of()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="OUTRIG_HOST_ADDRESS: expected an IP address or auto, got 'here'"):
        setup_of(OUTRIG_JWT_FILE="/t", OUTRIG_HOST_ADDRESS="here")
