"""One try of a probe, against real servers and commands: what is healthy, what is not, and what can harm nobody."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from outrig.agent.attempts import attempt
from outrig.agent.grpc_health import request_of, status_of
from outrig.wire.probe import Exec, Grpc, Header, HttpGet, TcpSocket
from tests.ports import free_port
from tests.unit.agent_server import Ca
from tests.unit.probed_apps import NOT_SERVING, SERVING, answering, app, flooding, hanging, health_server

LONG, SHORT = 20.0, 0.2  # seconds: never reached, and reached on purpose


@pytest.mark.parametrize("status", [200, 204, 301, 302, 399])
async def test_an_answer_from_200_to_399_is_healthy_and_redirects_are_not_followed(status: int) -> None:
    heads: list[bytes] = []
    answer = f"HTTP/1.1 {status} Any\r\nLocation: http://127.0.0.1:1/elsewhere\r\n\r\n".encode()
    async with app(answering(answer, heads)) as port:
        assert await attempt(HttpGet(port, "/"), LONG) == ""
    assert len(heads) == 1


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_any_other_status_is_not_and_is_named(status: int) -> None:
    async with app(answering(f"HTTP/1.1 {status} Bad\r\n\r\n".encode())) as port:
        problem = await attempt(HttpGet(port, "/health"), LONG)
        assert problem == f"GET http://127.0.0.1:{port}/health: status {status}"


async def test_interim_answers_are_passed_over() -> None:
    async with app(answering(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\n\r\n")) as port:
        assert "status 503" in await attempt(HttpGet(port, "/"), LONG)


async def test_a_request_has_the_path_and_headers_that_were_written() -> None:
    heads: list[bytes] = []
    headers = (Header("Host", "shop.example"), Header("X-Token", "a b"), Header("X_Odd", "1"))
    async with app(answering(b"HTTP/1.1 200 OK\r\n\r\n", heads)) as port:
        assert await attempt(HttpGet(port, "/a b?c=%20d", headers=headers), LONG) == ""
        assert await attempt(HttpGet(port, "bare"), LONG) == ""
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?c=%20d HTTP/1.1"
    assert {"Host: shop.example", "X-Token: a b", "X_Odd: 1", "Connection: close"} <= set(lines)
    assert f"Host: 127.0.0.1:{port}" in heads[1].decode()
    assert heads[1].startswith(b"GET /bare ")


async def test_https_is_spoken_without_verifying_anything(tmp_path: Path) -> None:
    async with app(answering(b"HTTP/1.1 200 OK\r\n\r\n"), tls=Ca().server(tmp_path)) as port:
        assert await attempt(HttpGet(port, "/", tls=True), LONG) == ""
    async with app(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        assert await attempt(HttpGet(port, "/", tls=True), SHORT) != ""


async def test_an_application_that_hangs_is_given_up_when_the_time_is_over() -> None:
    async with app(hanging) as port:
        assert (await attempt(HttpGet(port, "/"), SHORT)).endswith("no answer within 0.2 s")
        assert (await attempt(Grpc(port), SHORT)).endswith("no answer within 0.2 s")
        assert await attempt(TcpSocket(port), LONG) == ""  # a connection says no more than this


async def test_an_endless_head_is_cut() -> None:
    async with app(flooding) as port:
        assert "longer than" in await attempt(HttpGet(port, "/"), LONG)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 200 OK"])
async def test_what_is_no_http_answer_is_not_healthy(answer: bytes) -> None:
    async with app(answering(answer)) as port:
        assert await attempt(HttpGet(port, "/"), LONG) != ""


@pytest.mark.parametrize("method", [HttpGet(0, "/"), TcpSocket(0), Grpc(0)])
async def test_a_closed_port_is_refused_at_once(method: HttpGet | TcpSocket | Grpc) -> None:
    port = free_port()
    closed = type(method)(port, "/") if isinstance(method, HttpGet) else type(method)(port)
    assert (await attempt(closed, LONG)).endswith("Connection refused")


async def test_a_host_can_be_a_name_and_one_that_there_is_not_is_named() -> None:
    async with app(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        assert await attempt(TcpSocket(port, "localhost"), LONG) == ""
        assert "connection to nowhere.invalid" in await attempt(TcpSocket(port, "nowhere.invalid"), LONG)


@pytest.mark.parametrize(
    "method",
    [
        TcpSocket(1, "x" * 70 + ".example"),
        HttpGet(1, "/\ud800", "a..b"),
        HttpGet(0, "/", headers=(Header("X", "\ud800"),)),
        Grpc(0, "\ud800"),
        Exec(("\ud800",)),
    ],
)
async def test_what_cannot_be_asked_is_a_problem_and_no_crash(method: HttpGet | TcpSocket | Grpc | Exec) -> None:
    async with app(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        asked = replace(method, port=port) if not isinstance(method, Exec) and not method.port else method
        assert await attempt(asked, LONG) != ""


# -- gRPC


async def test_grpc_is_healthy_when_the_service_is_serving_and_only_then() -> None:
    states = {b"": SERVING, b"\x0a\x04shop": SERVING, b"\x0a\x03bar": NOT_SERVING, b"\x0a\x03odd": b"\x08"}
    async with health_server(lambda request: states[request]) as port:
        assert await attempt(Grpc(port), LONG) == ""
        assert await attempt(Grpc(port, "shop"), LONG) == ""
        assert (await attempt(Grpc(port, "bar"), LONG)).endswith("NOT_SERVING")
        assert (await attempt(Grpc(port, "odd"), LONG)).endswith("not a health answer")
        assert (await attempt(Grpc(port, "foo"), LONG)).endswith("gRPC status 5: no such service")


async def test_grpc_against_what_speaks_no_http2_is_not_healthy() -> None:
    async with app(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert await attempt(Grpc(port), LONG) != ""


async def test_a_health_answer_without_end_is_cut() -> None:
    async with health_server(lambda _request: b"\x08\x01" + b"x" * 1_000_000) as port:
        assert await attempt(Grpc(port), LONG) != ""


def test_a_long_service_name_is_written_as_protobuf_wants_it() -> None:
    assert request_of("x" * 300) == b"\0\0\0\x01\x2f\x0a\xac\x02" + b"x" * 300
    assert request_of("") == b"\0\0\0\0\0"


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"\0\0\0\0\x02\x08\x01", 1), (b"\0\0\0\0\0", 0), (b"", None), (b"\x01\0\0\0\x02\x08\x01", None),
     (b"\0\0\0\0\x03\x08\x01", None), (b"\0\0\0\0\x02\x10\x01", None)],
)  # fmt: skip
def test_only_a_whole_health_answer_is_believed(body: bytes, status: int | None) -> None:
    assert status_of(body) == status


# -- commands


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 0", ""),
        ("exit 3", "command sh: ended with status 3"),
        ("echo no database >&2; exit 1", "command sh: ended with status 1: no database"),
        ("printf 'a\\033[2Jb\\nc'; exit 1", "command sh: ended with status 1: a [2Jb c"),
        ("kill -9 $$", "command sh: was killed by signal 9"),
        ("head -c 300000 /dev/zero; exit 0", ""),
        ("read line; exit 0", ""),  # there is nothing to read, and no waiting for it
    ],
)
async def test_a_command_is_healthy_when_it_ends_with_status_0(script: str, problem: str) -> None:
    assert await attempt(Exec(("sh", "-c", script)), LONG) == problem


async def test_a_command_that_cannot_be_run_is_named() -> None:
    assert await attempt(Exec(("no-such-program",)), LONG) == (
        "command no-such-program: cannot be run: No such file or directory"
    )
    assert await attempt(Exec(("a\0b",)), LONG) == "command a b: cannot be run: embedded null byte"


async def test_a_command_knows_nothing_of_the_agents_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/secret")
    assert await attempt(Exec(("sh", "-c", 'test -z "$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"')), LONG) == ""


@pytest.mark.parametrize("script", ["sleep 60", "sleep 60 & sleep 60 & wait", "yes", "trap '' TERM; sleep 60"])
async def test_a_command_that_takes_too_long_is_ended_with_all_it_started(script: str, tmp_path: Path) -> None:
    problem = await attempt(Exec(("sh", "-c", f"cd {tmp_path}; {script}")), SHORT)
    assert problem == "command sh: did not end within 0.2 s"
    await none_left_in(tmp_path)


async def test_what_a_command_leaves_behind_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    assert await attempt(Exec(("sh", "-c", f"cd {tmp_path}; sleep 60 & exit 0")), LONG) == ""
    await none_left_in(tmp_path)


async def test_what_leaves_the_group_with_the_output_in_its_hands_is_not_waited_for(tmp_path: Path) -> None:
    """Nor can it be ended: it is told to go by the file that it watches."""
    script = f"cd {tmp_path}; setsid sh -c 'touch up; while ! test -e go; do sleep 0.02; done' & exit 0"
    assert await attempt(Exec(("sh", "-c", script)), LONG) == ""
    (tmp_path / "go").touch()
    await none_left_in(tmp_path)


def test_where_the_agent_is_process_1_no_zombie_is_left(tmp_path: Path) -> None:
    """PR_SET_CHILD_SUBREAPER (36) makes a process inherit orphans as process 1 does."""
    script = (
        "import asyncio, ctypes, pathlib, sys\n"
        "from outrig.agent.attempts import attempt\n"
        "from outrig.wire.probe import Exec\n"
        "ctypes.CDLL(None).prctl(36, 1)\n"
        f"command = Exec(('sh', '-c', 'cd {tmp_path}; (sleep 60 & sleep 60 &) ; exit 0'))\n"
        "assert asyncio.run(attempt(command, 20.0)) == ''\n"
        "print(pathlib.Path('/proc/self/task', str(__import__('os').getpid()), 'children').read_text())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


async def test_cancelling_a_try_ends_its_command(tmp_path: Path) -> None:
    trying = asyncio.create_task(attempt(Exec(("sh", "-c", f"cd {tmp_path}; touch up; sleep 60")), LONG))
    while not (tmp_path / "up").exists():
        await asyncio.sleep(0.01)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    await none_left_in(tmp_path)


async def none_left_in(directory: Path) -> None:
    """Wait until no process has that working directory: a kill takes effect a moment after it was sent."""
    async with asyncio.timeout(LONG):
        while any(_is_in(entry, directory) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            await asyncio.sleep(0.01)


def _is_in(process: Path, directory: Path) -> bool:
    try:
        return (process / "cwd").readlink() == directory
    except OSError:
        return False
