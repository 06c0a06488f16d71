"""The callers: one constant-rate client for each way to call, all in one task, each with an account of its calls."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from bench.zero_drop.scene import Bookinfo
from tests.e2e.guide import BIN, ROOT

PAGE = "http://productpage.bookinfo:9080/productpage"
STREAM = "http://echo.bookinfo:9090/echo.Echo/Both"


@dataclass(frozen=True, slots=True)
class Client:
    """A way to call. `rate`: calls a second. `port`: of the sidecar's egress listener."""

    title: str
    protocol: str
    rate: float
    port: int
    url: str


CLIENTS: Mapping[str, Client] = {
    client.protocol: client
    for client in (
        Client("HTTP/1.1, kept alive", "h1", 6, 9080, PAGE),
        Client("HTTP/1.1, new connections", "h1-close", 3, 9080, PAGE),
        Client("HTTP/2", "h2", 4, 9080, PAGE),
        Client("gRPC streams of 1 s", "grpc", 6, 9090, STREAM),
        Client("TCP connections of 1 s", "tcp", 6, 9000, "tcp://echo.bookinfo:9000/"),
    )
}


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a client's calls. `pause`: the longest time without a good one; `late`: how long after it was due
    the latest call was begun; both in ms."""

    client: Client
    sent: int
    failed: int
    failures: Mapping[str, int]
    pause: int
    late: int


class Load:
    """Clients at work. `account()` ends them."""

    def __init__(self, bookinfo: Bookinfo, protocols: tuple[str, ...]) -> None:
        self._running = {CLIENTS[protocol]: _start(bookinfo, CLIENTS[protocol]) for protocol in protocols}
        for client, process in self._running.items():
            said = process.stdout.readline() if process.stdout else ""
            if said.strip() != "calling":
                raise RuntimeError(f"the {client.protocol} client does not begin: {said}")

    def account(self) -> list[Account]:
        """Have them finish what they have begun. Raises RuntimeError if one of them broke down."""
        for process in self._running.values():
            if process.stdin:
                process.stdin.close()
        return [_account(client, process) for client, process in self._running.items()]


def _start(bookinfo: Bookinfo, client: Client) -> "subprocess.Popen[str]":
    script = [str(BIN / "python"), str(ROOT / "examples/apps/load.py"), "--until-stdin-ends", "--seconds", "300"]
    options = ["--protocol", client.protocol, "--rate", f"{client.rate:g}", "--reject", "unavailable"]
    return bookinfo.start_inside("client", *script, *options, "--connect", f"127.0.0.2:{client.port}", client.url)


def _account(client: Client, process: "subprocess.Popen[str]") -> Account:
    with process:  # closes its pipes
        printed = process.stdout.read() if process.stdout else ""
    if process.returncode != 0:
        raise RuntimeError(f"the {client.protocol} client broke down: {printed}")
    found = json.loads(printed.splitlines()[-1])
    return Account(
        client, found["sent"], found["failed"], found["failures"], found["longestPauseMs"], found["latestStartMs"]
    )
