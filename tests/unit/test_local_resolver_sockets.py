"""The resolver's two listeners, spoken to over real sockets."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import dns.message
import dns.name
import dns.query
import dns.rcode
import pytest

from outrig.local.resolver import Quota, Resolver
from outrig.local.zones import RecordText, Zone, parse_zone

ZONE = parse_zone(
    "z.",
    (
        RecordText("x.z", "A", 5, ("10.7.1.1",)),
        RecordText("long.z", "TXT", 5, tuple(f'"{n:0200d}"' for n in range(40))),
    ),
)
QUERY = dns.message.make_query("x.z.", "A")


def zones(name: dns.name.Name) -> list[Zone]:
    if name == dns.name.from_text("broken.z."):
        raise ValueError("a record that cannot be")
    return [ZONE]


def serving(clock: Callable[[], float] = time.monotonic) -> Resolver:
    found = Resolver(zones, address="127.0.0.1", port=0, clock=clock)
    for loop in found.loops:
        threading.Thread(target=loop, daemon=True).start()
    return found


@pytest.fixture
def resolver() -> Resolver:
    return serving()


def connect(resolver: Resolver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", resolver.port), timeout=5)


def send(connection: socket.socket, wire: bytes) -> None:
    connection.sendall(struct.pack("!H", len(wire)) + wire)


def receive(connection: socket.socket) -> dns.message.Message:
    stream = connection.makefile("rb")
    return dns.message.from_wire(stream.read(*struct.unpack("!H", stream.read(2))))


def datagram_socket(source: str = "127.0.0.1") -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((source, 0))
    found.settimeout(5)
    return found


def test_udp_and_tcp_give_the_same_answer(resolver: Resolver) -> None:
    over_udp = dns.query.udp(QUERY, "127.0.0.1", port=resolver.port, timeout=5)
    over_tcp = dns.query.tcp(QUERY, "127.0.0.1", port=resolver.port, timeout=5)
    assert over_udp.answer == over_tcp.answer
    assert over_udp.answer[0].to_text() == "x.z. 5 IN A 10.7.1.1"


def test_what_is_cut_over_udp_comes_whole_over_tcp(resolver: Resolver) -> None:
    query = dns.message.make_query("long.z.", "TXT")
    answer, fell_back = dns.query.udp_with_fallback(query, "127.0.0.1", port=resolver.port, timeout=5)
    assert (len(answer.answer[0]), fell_back) == (40, True)


def test_a_connection_carries_many_queries(resolver: Resolver) -> None:
    with connect(resolver) as connection:
        for _ in range(3):
            send(connection, QUERY.to_wire())
            assert receive(connection).answer


def test_noise_is_dropped_and_the_next_query_answered(resolver: Resolver) -> None:
    with datagram_socket() as asker, connect(resolver) as connection:
        for noise in (b"", b"\0", b"\xff" * 600, QUERY.to_wire()[:-3]):
            asker.sendto(noise, ("127.0.0.1", resolver.port))
        asker.sendto(QUERY.to_wire(), ("127.0.0.1", resolver.port))
        assert dns.message.from_wire(asker.recv(512)).id == QUERY.id
        send(connection, b"\xff" * 30)
        assert connection.recv(1) == b"", "a stream that is out of step is closed"


def test_a_failure_in_answering_is_servfail_and_no_more(resolver: Resolver) -> None:
    broken = dns.query.udp(dns.message.make_query("broken.z.", "A"), "127.0.0.1", port=resolver.port, timeout=5)
    assert broken.rcode() == dns.rcode.SERVFAIL
    assert dns.query.udp(QUERY, "127.0.0.1", port=resolver.port, timeout=5).answer


def test_a_flood_from_one_address_leaves_it_without_answers_and_the_others_with_theirs() -> None:
    resolver = serving(clock=lambda: 0.0)
    with datagram_socket("127.0.0.3") as flooder, datagram_socket("127.0.0.4") as asker:
        for _ in range(11):
            for _ in range(100):
                flooder.sendto(b"", ("127.0.0.1", resolver.port))
            asker.sendto(QUERY.to_wire(), ("127.0.0.1", resolver.port))
            assert dns.message.from_wire(asker.recv(512)).answer
        flooder.sendto(QUERY.to_wire(), ("127.0.0.1", resolver.port))
        asker.sendto(QUERY.to_wire(), ("127.0.0.1", resolver.port))
        assert dns.message.from_wire(asker.recv(512)).answer
        flooder.setblocking(False)
        with pytest.raises(BlockingIOError):
            flooder.recv(512)


def test_connections_are_bounded_and_their_places_come_back(resolver: Resolver) -> None:
    with ExitStack() as idle:
        held = [idle.enter_context(connect(resolver)) for _ in range(64)]
        for connection in held:
            send(connection, QUERY.to_wire())
            assert receive(connection).answer
        with connect(resolver) as surplus:
            assert surplus.recv(1) == b""
    for _ in range(1000):  # until the resolver has seen one of them end
        with connect(resolver) as connection, suppress(ConnectionError):
            send(connection, QUERY.to_wire())
            if connection.recv(1):
                return
    pytest.fail("no place came back")


def test_an_address_has_a_quota_of_packets_for_each_second() -> None:
    now = [0.0]
    quota = Quota(lambda: now[0])
    taken = [quota.take("10.7.1.1") for _ in range(1100)]
    assert taken.count(True) == 1024
    assert quota.take("10.7.1.2")
    now[0] = 1.0
    assert quota.take("10.7.1.1")
