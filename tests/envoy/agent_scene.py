"""A whole agent with a real Envoy: its own process, between stand-ins for ECS and the control plane and real xDS."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from outrig.snapshot import CLUSTER, LISTENER, ProxyId
from outrig.wire.stream import Hello, Report, State
from outrig.xds.credentials import Material
from tests.envoy.xds_proxy import Board, encoded, serving
from tests.unit.agent_server import ONBOARDING, Ca, Ecs, FakeControlPlane, Stream, control_plane, ecs_endpoint, key_pem

NODE = ProxyId("bookinfo/ratings-x")
BOUND = 30.0
START = "import sys; from outrig.agent.main import main; sys.exit(main(sys.argv[2:], link_local=sys.argv[1]))"


class ServerPki:
    """What `xds_proxy.serving` wants of an authority."""

    def __init__(self, ca: Ca) -> None:
        self._ca = ca

    def server(self) -> Material:
        key = ec.generate_private_key(ec.SECP256R1())
        chain = self._ca.issue(key.public_key(), "spiffe://test/control-plane")
        return Material(key_pem(key).encode(), chain.encode(), self._ca.pem.encode())


class Agent:
    """A running agent."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path, log: Path, out: Path) -> None:
        self.process, self.directory, self._log, self._out = process, directory, log, out

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def out(self) -> str:
        return self._out.read_text()

    async def wait_log(self, text: str, times: int = 1) -> None:
        await until(lambda: self.log.count(text) >= times, lambda: f"no {text!r} in:\n{self.log}")

    async def probe(self, path: str = "/ready") -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.readiness_port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split(" ")[1]), answer.rpartition("\r\n\r\n")[2].strip()

    @property
    def readiness_port(self) -> int:
        return int(self.log.partition("readiness on 127.0.0.1:")[2].partition(",")[0])

    async def wait_probe(self, status: int, *words: str) -> None:
        """Until `/ready` answers that, with those words."""
        told = (0, "")
        try:
            async with asyncio.timeout(30):
                while told[0] != status or not all(word in told[1] for word in words):
                    await asyncio.sleep(0.05)
                    told = await self.probe()
        except TimeoutError:
            raise AssertionError(f"{told}\n{self.log}") from None

    async def wait_ready(self) -> None:
        await self.wait_log("workload is ready")

    def envoys(self) -> list[int]:
        return envoys_in(self.directory)

    async def ended(self) -> int:
        async with asyncio.timeout(BOUND):
            return await self.process.wait()


class Scene:
    """Everything around the agent."""

    def __init__(self, ecs: Ecs, plane: FakeControlPlane, board: Board, tmp: Path) -> None:
        self.ecs, self.plane, self.board, self.tmp = ecs, plane, board, tmp

    @asynccontextmanager
    async def agent(self, *arguments: str, name: str = "run", **environment: str) -> AsyncIterator[Agent]:
        directory, log, out = self.tmp / name, self.tmp / f"{name}.log", self.tmp / f"{name}.out"
        environment = {
            "PATH": os.environ["PATH"],
            "ONBOARDING_CONFIG": ONBOARDING.format(port=self.plane.port),
            "ONBOARDING_AGENT_ROOT_CERTS": self.plane.ca.pem,
            "OUTRIG_READINESS_PORT": "0",
            **self.ecs.environment,
            **environment,
        }
        with log.open("ab") as errors, out.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", START, self.ecs.url, "run", "--dir", str(directory), *arguments,
                env=environment, stdout=output, stderr=errors,
            )  # fmt: skip
        agent = Agent(process, directory, log, out)
        try:
            yield agent
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def stream(self) -> Stream:
        """The agent's next stream, after its Hello."""
        async with asyncio.timeout(BOUND):
            stream = await self.plane.streams.get()
        assert await stream.wait(lambda m: isinstance(m, Hello))
        return stream


async def reported(stream: Stream, state: State) -> Report:
    """The next report of that state."""
    report = await stream.wait(lambda m: isinstance(m, Report) and m.state == state)
    assert isinstance(report, Report)
    return report


@asynccontextmanager
async def scene(tmp: Path) -> AsyncIterator[Scene]:
    ca, board = Ca(), Board()
    async with AsyncExitStack() as stack:
        ecs = await stack.enter_async_context(ecs_endpoint())
        plane = await stack.enter_async_context(control_plane(ca, tmp))
        _, port = await stack.enter_async_context(serving(board, ServerPki(ca)))  # type: ignore[arg-type]
        plane.template["xds_port"] = port
        board.put(NODE)  # known to xDS, with nothing to listen on
        yield Scene(ecs, plane, board, tmp)


def inbound(board: Board, *, port: int, app: int) -> None:
    """An inbound listener on 127.0.0.1 with a plain HTTP route to the application."""
    name = f"inbound|{port}||"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": app}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    cluster = {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}
    board.put(NODE, encoded(CLUSTER, name, cluster), encoded(LISTENER, f"in:{port}", _listener(port, name)))


def _listener(port: int, cluster: str) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions."
    stdout = {"name": "out", "typed_config": {"@type": types + "access_loggers.stream.v3.StdoutAccessLog"}}
    router = {"name": "router", "typed_config": {"@type": types + "filters.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}
    host = {"name": "any", "domains": ["*"], "routes": [route]}
    manager = {
        "@type": types + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"inbound_{port}",
        "access_log": [stdout],
        "route_config": {"virtual_hosts": [host], "validate_clusters": False},
        "http_filters": [router],
    }
    return {
        "name": f"in:{port}",
        "traffic_direction": "INBOUND",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


class App:
    """A little HTTP application whose answers can be held back."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.release.set()
        self.waiting = asyncio.Event()
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.waiting.set()
                await self.release.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
                await writer.drain()
        writer.close()


@asynccontextmanager
async def app(port: int = 0) -> AsyncIterator[App]:
    serving = App()
    server = await asyncio.start_server(serving.handle, "127.0.0.1", port)
    serving.port = server.sockets[0].getsockname()[1]
    async with server:
        yield serving


async def get(port: int, host: str = "127.0.0.1") -> int:
    """The status of a request through Envoy."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
        return int((await reader.readline()).split(b" ")[1])
    finally:
        writer.transport.abort()


class Calls:
    """What a load got: a status each, or 0 for a call that failed otherwise."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.over = False

    async def call(self, port: int, host: str) -> None:
        while not self.over:
            try:
                self.answers.append(await get(port, host))
            except (OSError, ValueError, IndexError):
                self.answers.append(0)

    async def more(self, number: int) -> None:
        """Wait for that many answers from now on."""
        wanted = len(self.answers) + number
        await until(lambda: len(self.answers) >= wanted)


@asynccontextmanager
async def load(port: int, host: str = "127.0.0.1") -> AsyncIterator[Calls]:
    """Four callers, one new connection a call, until the end."""
    calls = Calls()
    async with asyncio.TaskGroup() as callers:
        for _ in range(4):
            callers.create_task(calls.call(port, host))
        yield calls
        calls.over = True


def envoys_in(directory: Path) -> list[int]:
    """Processes whose working directory is that one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").readlink() == directory:
                    found.append(int(entry.name))
    return found


async def until(true: Callable[[], bool], why: Callable[[], str] = lambda: "it never came") -> None:
    """Wait for what has no event: another process's files and its life."""
    try:
        async with asyncio.timeout(BOUND):
            while not true():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(why()) from None


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)
