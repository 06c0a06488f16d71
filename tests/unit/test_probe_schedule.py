"""When a probe is tried, what its tries add up to, and what a workload's application is known to be."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from outrig.agent.admin import Upstream
from outrig.agent.application import Application, Pace
from outrig.agent.containers import Containers, unhealthy
from outrig.agent.probing import Prober, Tally
from outrig.agent.readiness import Fitness
from outrig.agent.setup import TaskAddress
from outrig.wire.codec import WireError, decode, encode
from outrig.wire.probe import Exec, Grpc, Header, HttpGet, Probe, TcpSocket
from tests.unit.agent_server import Ecs, ecs_endpoint
from tests.unit.control_making import BOUND, running
from tests.unit.probed_apps import answering, app

OK, BROKEN = answering(b"HTTP/1.1 200 OK\r\n\r\n"), answering(b"HTTP/1.1 500 No\r\n\r\n")
RARE = 3600  # seconds between tries, so that only what is due at once happens


def probe(port: int, *, success: int = 1, failure: int = 1, delay: int = 0) -> Probe:
    return Probe(delay, RARE, 5, success, failure, http_get=HttpGet(port, "/"))


class News:
    """Counts news, and waits for what is wanted to be so."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    async def until(self, wanted) -> None:  # type: ignore[no-untyped-def]
        async with asyncio.timeout(BOUND):
            while not wanted():
                self._event.clear()
                await self._event.wait()


# -- thresholds


def counted(outcomes: str, *, success: int = 1, failure: int = 1) -> list[bool | None]:
    tally = Tally(probe(1, success=success, failure=failure))
    states = []
    for outcome in outcomes:
        tally.count("" if outcome == "+" else "bad")
        states.append(tally.healthy)
    return states


def test_with_thresholds_of_one_every_try_decides() -> None:
    assert counted("-+-+") == [False, True, False, True]


def test_only_so_many_in_a_row_count() -> None:
    nothing = [None] * 3
    assert counted("+-++-+--+--++++", success=3, failure=3) == [
        *nothing,
        *nothing,
        *nothing,
        *nothing,
        None,
        True,
        True,
    ]
    assert counted("+++--+---+++", success=3, failure=3)[2:] == [
        True,
        True,
        True,
        True,
        True,
        True,
        False,
        False,
        False,
        True,
    ]


def test_a_probe_has_exactly_one_method_and_numbers_that_mean_something() -> None:
    for bad in (
        {},
        {"tcpSocket": {"port": 1}, "exec": {"command": ["a"]}},
        {"exec": {"command": []}},
        {"tcpSocket": {"port": 1}, "period": 0},
        {"tcpSocket": {"port": 1}, "initialDelay": -1},
    ):
        times = {"initialDelay": 0, "period": 1, "timeout": 1, "successThreshold": 1, "failureThreshold": 1}
        with pytest.raises(WireError, match="probe: expected"):
            decode(Probe, json.dumps({**times, **bad}))


@pytest.mark.parametrize(
    "method",
    [
        {"http_get": HttpGet(80, "/x", "h", tls=True, headers=(Header("a", "b"),))},
        {"tcp_socket": TcpSocket(80)},
        {"exec": Exec(("sh", "-c", "exit"))},
        {"grpc": Grpc(80, "shop")},
    ],
)
def test_a_probe_travels_whole(method) -> None:  # type: ignore[no-untyped-def]
    made = Probe(1, 2, 3, 4, 5, **method)
    assert decode(Probe, encode(made)) == made


# -- the schedule


async def test_the_first_try_is_at_once_and_what_it_finds_is_known() -> None:
    news = News()
    prober = Prober(news)
    async with app(OK) as port, running(prober.run()):
        prober.use(probe(port))
        assert prober.unproven.endswith("not tried yet")
        await news.until(lambda: not prober.unproven)
        assert prober.failing == ""


async def test_an_application_that_is_not_there_yet_is_tried_again_before_the_period_is_over() -> None:
    news = News()
    prober = Prober(news)
    async with app(BROKEN) as port, running(prober.run()):
        prober.use(probe(port, failure=2))
        await news.until(lambda: "status 500" in prober.unproven)
        await news.until(lambda: "status 500" in prober.failing)
    async with app(OK, port=port), running(prober.run()):
        await news.until(lambda: not prober.failing)


async def test_a_healthy_application_in_doubt_is_tried_at_once_and_a_failing_one_is_not_hurried() -> None:
    news, heads = News(), []
    prober = Prober(news)
    async with running(prober.run()):
        async with app(OK) as port:
            prober.use(probe(port))
            await news.until(lambda: not prober.unproven)
        async with app(answering(b"HTTP/1.1 500 No\r\n\r\n", heads), port=port):
            prober.hurry()
            await news.until(lambda: "status 500" in prober.failing)
            before = news.count
            prober.hurry()
            prober.use(probe(port))  # the same probe again
            await asyncio.sleep(0)
            assert (len(heads), news.count) == (1, before)


async def test_another_probe_takes_over_and_its_first_outcome_counts() -> None:
    news = News()
    prober = Prober(news)
    async with app(OK) as good, app(BROKEN) as bad, running(prober.run()):
        prober.use(probe(good))
        await news.until(lambda: not prober.unproven)
        prober.use(probe(bad))
        await news.until(lambda: "status 500" in prober.failing)
        prober.use(None)
        assert (prober.failing, prober.unproven, prober.has_probe) == ("", "", False)
        prober.use(probe(good))
        await news.until(lambda: not prober.unproven)


async def test_nothing_is_tried_before_the_initial_delay_is_over() -> None:
    news, heads = News(), []
    prober = Prober(news)
    async with app(answering(b"HTTP/1.1 200 OK\r\n\r\n", heads)) as port, running(prober.run()):
        prober.use(probe(port, delay=RARE))
        prober.hurry()
        async with app(OK) as other:
            second = Prober(news)
            async with running(second.run()):
                second.use(probe(other))
                await news.until(lambda: not second.unproven)
        assert (heads, prober.unproven) == ([], f"GET http://127.0.0.1:{port}/: not tried yet")


# -- ports and containers


@asynccontextmanager
async def application(news: News, ecs: Ecs | None = None) -> AsyncIterator[Application]:
    address = TaskAddress(f"{ecs.url}/v4/c1", "") if ecs else None
    made = Application(address, Pace(containers=0.01), news)
    async with running(made.run()):
        yield made


async def test_without_a_probe_closed_ports_are_the_problem() -> None:
    async with application(News()) as made, app(OK) as port:
        await made.look((Upstream("127.0.0.1", port),))
        assert made.fitness == Fitness()
        await made.look((Upstream("127.0.0.1", port), Upstream("/no/such.sock", 0)))
        assert made.fitness.problem == "the application does not accept connections on /no/such.sock"


async def test_a_probe_decides_in_place_of_the_ports_and_a_closed_one_makes_it_look() -> None:
    news = News()
    async with application(news) as made:
        async with app(OK) as port:
            made.use(probe(port))
            await made.look((Upstream("/no/such.sock", 0),))
            await news.until(lambda: made.fitness == Fitness())
        await made.look((Upstream("127.0.0.1", port),))
        await news.until(lambda: made.fitness.problem.endswith("Connection refused"))


def container(name: str, status: str | None) -> dict[str, object]:
    return {"DockerId": f"id-{name}", "Name": name, **({"Health": {"status": status}} if status else {})}


def test_every_unhealthy_container_counts_but_the_agents_own() -> None:
    own = container("agent", "UNHEALTHY")
    others = [
        container("web", "UNHEALTHY"),
        container("db", "HEALTHY"),
        container("log", None),
        container("a", "UNKNOWN"),
    ]
    stopped = {**container("init", "UNHEALTHY"), "KnownStatus": "STOPPED"}
    assert unhealthy({"Containers": [own, *others, stopped]}, own) == ("web",)
    for odd in ({}, {"Containers": None}, {"Containers": ["x", {"Health": "UNHEALTHY"}]}):
        assert unhealthy(odd, own) == ()


async def test_a_container_is_heeded_when_ecs_calls_it_unhealthy_and_when_healthy_again() -> None:
    news = News()
    async with ecs_endpoint() as ecs:
        tell(ecs, "UNHEALTHY")
        async with application(news, ecs) as made:
            await news.until(lambda: made.fitness.problem == "ECS says UNHEALTHY of container web")
            tell(ecs, "HEALTHY")
            await news.until(lambda: made.fitness == Fitness())


async def test_while_ecs_does_not_answer_what_was_known_holds_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    news = News()
    async with ecs_endpoint() as ecs:
        tell(ecs, "UNHEALTHY")
        containers = Containers(TaskAddress(f"{ecs.url}/v4/c1", ""), news, every=0.001)
        with caplog.at_level(logging.WARNING):
            async with running(containers.run()):
                await news.until(lambda: containers.unhealthy == ("web",))
                good = dict(ecs.answers)
                ecs.answers["/v4/c1/task"] = (500, b"")
                before = len(ecs.asked)
                async with asyncio.timeout(BOUND):
                    while len(ecs.asked) < before + 5:
                        await asyncio.sleep(0.001)
                assert containers.unhealthy == ("web",)
                ecs.answers = good
                tell(ecs, "HEALTHY")
                await news.until(lambda: containers.unhealthy == ())
    assert len(caplog.records) == 1
    assert "stays as it was last known" in caplog.text


def tell(ecs: Ecs, status: str) -> None:
    """ECS says this of container `web` from now on; the agent's own is unhealthy all the time."""
    own = container("agent", "UNHEALTHY")
    ecs.answers["/v4/c1"] = (200, json.dumps(own).encode())
    ecs.answers["/v4/c1/task"] = (200, json.dumps({"Containers": [own, container("web", status)]}).encode())
