"""Bad input at the xDS port: it is turned away there, and a proxy that behaves is served all the while."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from tests.attacks.scene import AwsServer
from tests.e2e.bad_input import (
    GUIDE,
    ControlPlane,
    Member,
    control_plane,
    eventually,
    exchange,
    foreign_client,
    joined,
    unhurt,
)

SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = f"{SERVICE}/DeltaAggregatedResources"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A control plane that one task has joined."""
    directory = tmp_path_factory.mktemp("xds")
    aws = AwsServer()
    try:
        with control_plane(directory / "cp", aws) as plane:
            assert plane.kubectl("apply", "-f", "-", stdin=GUIDE).returncode == 0
            yield joined(plane, aws.task(aws.role("ratings")), directory)
    finally:
        aws.close()


def channel(plane: ControlPlane, chain: Path, key: Path) -> grpc.Channel:
    """A connection with that certificate."""
    credentials = grpc.ssl_channel_credentials(plane.root.read_bytes(), key.read_bytes(), chain.read_bytes())
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(f"127.0.0.1:{plane.ports['xds']}", credentials, options)


def call(member: Member, *messages: bytes, method: str = METHOD) -> grpc.RpcError:
    """How a stream with these messages ends."""
    with channel(member.plane, *member.identity.files) as open_channel:
        stream = open_channel.stream_stream(method)(iter(messages), timeout=60)
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
        return error.value


def request(node: str, **fields: object) -> bytes:
    """A first request."""
    message = DeltaDiscoveryRequest(type_url=CLUSTERS, **fields)
    message.node.id = node
    encoded: bytes = message.SerializeToString()
    return encoded


def exchange_bare(plane: ControlPlane, sent: bytes) -> bytes:
    """What a client without a certificate gets back."""
    context = ssl.create_default_context(cafile=str(plane.root))
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", plane.ports["xds"]))
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as bare:
        return exchange(bare, sent)


def assert_served(member: Member) -> None:
    """A proxy that does everything right gets its clusters."""
    with channel(member.plane, *member.identity.files) as open_channel:
        stream = open_channel.stream_stream(METHOD)(iter([request(member.response["nodeId"])]), timeout=60)
        assert next(iter(stream))


@pytest.mark.slow
@pytest.mark.parametrize("garbage", [b"", b"\0" * 5000, b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_bytes_that_are_no_tls_are_turned_away(member: Member, garbage: bytes) -> None:
    with unhurt(member.plane):
        with socket.create_connection(("127.0.0.1", member.plane.ports["xds"])) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            assert b"200" not in exchange(connection, b"")
        assert_served(member)


@pytest.mark.slow
def test_no_certificate_and_a_certificate_of_others_get_no_stream(member: Member, tmp_path: Path) -> None:
    foreign = foreign_client(tmp_path)
    with unhurt(member.plane):
        for chain, key in (member.plane.admin, foreign.files):
            with channel(member.plane, chain, key) as open_channel:
                stream = open_channel.stream_stream(METHOD)(iter([request(member.response["nodeId"])]), timeout=60)
                with pytest.raises(grpc.RpcError) as error:
                    list(stream)
                assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert exchange_bare(member.plane, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0") == b""
        assert_served(member)


@pytest.mark.slow
def test_a_node_id_that_is_not_the_certificates_is_refused(member: Member) -> None:
    with unhurt(member.plane):
        for node in ("", "bookinfo/other", member.response["nodeId"] + "x", "\0", "a" * 100_000):
            error = call(member, request(node))
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED, error
        assert "cannot speak for node" in member.plane.log.read_text()
        assert_served(member)


@pytest.mark.slow
def test_other_methods_and_messages_that_are_none_are_refused(member: Member) -> None:
    with unhurt(member.plane):
        for method in (f"{SERVICE}/StreamAggregatedResources", "/x/y", f"{SERVICE}/"):
            assert call(member, request("x"), method=method).code() is grpc.StatusCode.UNIMPLEMENTED
        for garbage in (b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f"):
            assert call(member, garbage).code() is grpc.StatusCode.INVALID_ARGUMENT
        right = request(member.response["nodeId"])
        assert call(member, right, b"\xff" * 50).code() is grpc.StatusCode.INVALID_ARGUMENT
        assert_served(member)


@pytest.mark.slow
def test_a_message_of_a_hundred_megabytes_ends_its_own_stream_only(member: Member) -> None:
    with unhurt(member.plane):
        assert call(member, b"\0" * 100_000_000).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert_served(member)


@pytest.mark.slow
def test_a_stream_cannot_make_the_server_remember_without_bound(member: Member) -> None:
    node = member.response["nodeId"]
    names = [[f"{part}-{number}" for number in range(60_000)] for part in range(2)]
    with unhurt(member.plane):
        ended = call(member, *(request(node, resource_names_subscribe=some) for some in names))
        assert ended.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert_served(member)


@pytest.mark.slow
def test_silent_streams_make_room_for_one_that_speaks(member: Member) -> None:
    with unhurt(member.plane):
        done = threading.Event()

        def nothing() -> Iterator[bytes]:
            done.wait()
            yield from ()

        with ExitStack() as stack:
            for _ in range(8):
                silent = stack.enter_context(channel(member.plane, *member.identity.files))
                silent.stream_stream(METHOD)(nothing(), timeout=60)
            assert_served(member)
            done.set()


@pytest.mark.slow
def test_a_type_that_is_not_served_is_passed_over(member: Member) -> None:
    node = member.response["nodeId"]
    other = DeltaDiscoveryRequest(type_url="type.googleapis.com/what.is.This")
    other.node.id = node
    with unhurt(member.plane), channel(member.plane, *member.identity.files) as open_channel:
        both = iter([other.SerializeToString(), request(node)])
        assert next(iter(open_channel.stream_stream(METHOD)(both, timeout=60)))


@pytest.mark.slow
def test_a_client_that_reads_nothing_holds_up_nobody(member: Member) -> None:
    node = member.response["nodeId"]
    done = threading.Event()

    def two() -> Iterator[bytes]:
        for part in range(2):
            yield request(node, resource_names_subscribe=[f"{part}-{number}" for number in range(60_000)])
        done.wait()

    with unhurt(member.plane), channel(member.plane, *member.identity.files) as open_channel:
        stream = open_channel.stream_stream(METHOD)(two(), timeout=60)
        eventually(lambda: "more than 100000 resource names" in member.plane.log.read_text(), "the stream is ended")
        assert_served(member)
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        done.set()
