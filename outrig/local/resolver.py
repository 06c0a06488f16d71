"""The VPC's resolver, 10.7.0.2 port 53, over UDP and TCP.

In: DNS messages of tasks and instances.  Out: what `answers` makes of them. Each address may send 1024 packets a
second, as on AWS; what is above that, and what is no query, gets no answer. A bug in answering is SERVFAIL and a
line in the emulator's log.
"""

import logging
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import dns.flags
import dns.rcode

from outrig.local.answers import Zones, reply

PORT = 53
_PACKETS_PER_SECOND = 1024
_CONNECTIONS = 64
_PATIENCE = 5.0
_LARGEST = 65535


class Resolver:
    """Both listeners; they exist once this is made. `loops` never return, and belong in a thread each."""

    def __init__(
        self, zones: Zones, *, address: str, port: int = PORT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._zones = zones
        self._quota = Quota(clock)
        self._dice = random.Random()  # noqa: S311 - spreads load
        self._streams = socket.create_server((address, port), backlog=128)
        self.port = int(self._streams.getsockname()[1])
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((address, self.port))
        self._places = threading.Semaphore(_CONNECTIONS)

    @property
    def loops(self) -> tuple[Callable[[], None], Callable[[], None]]:
        return self.serve_datagrams, self.serve_streams

    def serve_datagrams(self) -> None:
        while True:
            wire, peer = self._datagrams.recvfrom(_LARGEST)
            if not self._quota.take(peer[0]):
                continue
            answer = self._answer(wire, stream=False)
            if answer is not None:
                with suppress(OSError):  # the asker is gone, or does not read: it will ask again
                    self._datagrams.sendto(answer, socket.MSG_DONTWAIT, peer)

    def serve_streams(self) -> None:
        while True:
            try:
                connection, _ = self._streams.accept()
            except ConnectionError:  # the asker hung up while it waited
                continue
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()
            else:
                connection.close()

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError), connection.makefile("rb") as stream:
                connection.settimeout(_PATIENCE)
                while len(length := stream.read(2)) == 2:
                    answer = self._answer(stream.read(*struct.unpack("!H", length)), stream=True)
                    if answer is None:
                        return
                    connection.sendall(struct.pack("!H", len(answer)) + answer)
        finally:
            self._places.release()

    def _answer(self, wire: bytes, *, stream: bool) -> bytes | None:
        try:
            return reply(wire, self._zones, stream=stream, dice=self._dice)
        except Exception:
            logging.exception("the resolver could not answer")
            return _failure(wire)


class Quota:
    """How many packets each address has sent within the current second of `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._sent: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """Whether `address` may send one more."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._sent.clear()
        self._sent[address] += 1
        if self._sent[address] == _PACKETS_PER_SECOND + 1:
            logging.warning("%s asks the resolver too often: packets are dropped", address)
        return self._sent[address] <= _PACKETS_PER_SECOND


def _failure(wire: bytes) -> bytes | None:
    """SERVFAIL with nothing but the header, made without reading what was just seen to fail."""
    if len(wire) < 12:
        return None
    return wire[:2] + struct.pack("!HHHHH", dns.flags.QR | dns.flags.RA | dns.rcode.SERVFAIL, 0, 0, 0, 0)
