"""How `load.py` calls: a client for each protocol, for one thread. A call returns, or raises Failed with a reason."""

import argparse
import http.client
import socket
import time
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

PATIENCE = 10.0  # seconds
EVERY = 0.1  # seconds between two messages of a stream


class Failed(Exception):
    """A call did not go as it should; the text is what the account says of it."""


class Client(Protocol):
    """Makes one call at a time."""

    def call(self) -> None:
        """Make one call. Raises Failed."""
        ...


class Http1:
    """HTTP/1.1 on one kept-alive connection; another is opened only where the last one was closed."""

    keep_alive = True

    def __init__(self, options: argparse.Namespace) -> None:
        self.url, self.reject = urlsplit(options.url), options.reject.encode()
        self.host, _, self.port = options.connect.rpartition(":")
        self.connection: http.client.HTTPConnection | None = None

    def call(self) -> None:
        """One GET."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, int(self.port), timeout=PATIENCE)
            headers = {"Host": self.url.netloc} if self.keep_alive else {"Host": self.url.netloc, "Connection": "close"}
            self.connection.request("GET", self.url.path, headers=headers)
            answer = self.connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            raise Failed(type(error).__name__) from error
        if answer.will_close or not self.keep_alive:
            self.connection.close()
            self.connection = None
        judge(answer.status, body, self.reject)


class Http1Close(Http1):
    """HTTP/1.1 on a new connection each time."""

    keep_alive = False


class Http2:
    """HTTP/2 with prior knowledge on one connection."""

    def __init__(self, options: argparse.Namespace) -> None:
        import httpx

        url = urlsplit(options.url)
        self.url, self.host, self.reject = f"http://{options.connect}{url.path}", url.netloc, options.reject.encode()
        self.errors = httpx.HTTPError
        self.client = httpx.Client(http1=False, http2=True, timeout=PATIENCE, trust_env=False)

    def call(self) -> None:
        """One GET."""
        try:
            answer = self.client.get(self.url, headers={"Host": self.host})
        except self.errors as error:
            raise Failed(type(error).__name__) from error
        judge(answer.status_code, answer.content, self.reject)


class GrpcStream:
    """A gRPC stream both ways: messages go out for a while, and each must come back."""

    def __init__(self, options: argparse.Namespace) -> None:
        import grpc

        url = urlsplit(options.url)
        self.hold, self.errors = options.hold, grpc.RpcError
        self.channel = grpc.insecure_channel(
            options.connect,
            options=[("grpc.default_authority", url.netloc), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)],
        )
        self.stream = self.channel.stream_stream(url.path)  # messages are plain bytes

    def call(self) -> None:
        """One stream."""
        sent: list[bytes] = []
        try:
            back = list(self.stream(messages(self.hold, sent), timeout=self.hold + PATIENCE))
        except self.errors as error:
            raise Failed(f"grpc {error.code().name}") from error
        if back != sent:
            raise Failed(f"{len(sent) - len(back)} messages lost")


class TcpEcho:
    """A TCP connection: lines go out for a while, and each must come back before the next."""

    def __init__(self, options: argparse.Namespace) -> None:
        host, _, port = options.connect.rpartition(":")
        self.address, self.hold = (host, int(port)), options.hold

    def call(self) -> None:
        """One connection."""
        try:
            with (
                socket.create_connection(self.address, timeout=PATIENCE) as connection,
                connection.makefile("rb") as back,
            ):
                for line in messages(self.hold, []):
                    connection.sendall(line)
                    if back.readline() != line:
                        raise Failed("connection ended early")
        except OSError as error:
            raise Failed(type(error).__name__) from error


def messages(hold: float, sent: list[bytes]) -> Iterator[bytes]:
    """Lines for so many seconds; each is noted as sent."""
    until = time.monotonic() + hold
    while not sent or time.monotonic() < until:
        line = b"%d\n" % len(sent)
        sent.append(line)
        yield line
        time.sleep(EVERY)


def judge(status: int, body: bytes, reject: bytes) -> None:
    """Raises Failed for an answer that is not good."""
    if status != 200:
        raise Failed(f"status {status}")
    if reject and reject in body:
        raise Failed(f"answer with {reject.decode()!r}")


CLIENTS: dict[str, Callable[[argparse.Namespace], Client]] = {
    "h1": Http1,
    "h1-close": Http1Close,
    "h2": Http2,
    "grpc": GrpcStream,
    "tcp": TcpEcho,
}
