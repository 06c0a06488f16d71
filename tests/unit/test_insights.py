"""What is counted of proxies is in the store for every replica, and costs it little however much there is to count."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from outrig.control.insights import Insights, Pace
from outrig.control.proxies import entry_key
from outrig.dialects.conditions import PROGRAMMED
from outrig.dialects.kuma.insight import insight_of
from outrig.dialects.kuma.overview import subscriptions_of
from outrig.dialects.onboarding.connection import proxy_at
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Unavailable
from tests.unit.control_making import register, wait_condition, wait_resource
from tests.unit.hub_making import EVERYBODY, put, reader, service
from tests.unit.replica_making import Plane, start, two_planes
from tests.unit.test_dataplane_agents import KV, register_dataplane

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Turn:
    """A replica's insights, whose looks are the test's; each is ten seconds after the one before."""

    def __init__(self, store: MemoryStore, plane: Plane, *, most: int = 50) -> None:
        self.now = START
        pace, name = Pace(most=most), plane.replicas.name
        self.insights = Insights(store, plane.hub, name=name, pace=pace, clock=lambda: self.now)

    async def take(self) -> None:
        self.now += timedelta(seconds=10)
        self.insights.look()
        await self.insights.write()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def status(store: MemoryStore, key: Key) -> dict[str, object]:
    found = await store.get(key)
    assert found is not None
    return dict(insight_of(found).get("status", {}))


def counts(sent: int, acknowledged: int) -> dict[str, str]:
    return {"responsesSent": str(sent), "responsesAcknowledged": str(acknowledged)}


async def test_what_one_replica_counts_all_tell_until_another_has_the_proxy(store: MemoryStore) -> None:
    session = await register_dataplane(store)
    await put(store, service("db", 1, session.proxy))
    async with two_planes(store) as (a, b):
        turns = [Turn(store, plane) for plane in (a, b)]
        with reader(a.hub, session.proxy, "db") as proxy:
            await wait_condition(store, KV, PROGRAMMED, "Programmed")
            await put(store, service("db", 2, session.proxy))
            await proxy.wait_marked()
            proxy.read()
            for turn in turns:
                await turn.take()
            told = await status(store, KV)
            assert (told["cds"], told["eds"], told["total"]) == (counts(1, 1), counts(2, 2), counts(4, 4))
            assert told["lastUpdateTime"] == "2026-11-22T12:00:10Z"
        with reader(b.hub, session.proxy, "db"):
            await wait_resource(store, KV, lambda found: found is not None and proxy_at(found) == "b")
            for turn in reversed(turns):
                await turn.take()
            assert (await status(store, KV))["eds"] == counts(1, 1)


async def test_many_changes_cost_one_write_a_look_and_none_where_nothing_is_new(store: MemoryStore) -> None:
    session = await register_dataplane(store)
    await put(store, service("db", 0, session.proxy))
    plane = await start(store, "a")
    turn = Turn(store, plane)
    with reader(plane.hub, session.proxy, "db") as proxy:
        await wait_condition(store, KV, PROGRAMMED, "Programmed")
        before = await store.revision()
        for version in range(1, 201):
            await put(store, service("db", version, session.proxy))
            await proxy.wait_marked()
            proxy.read()
            if version % 20 == 0:
                await turn.take()
        assert await store.revision() - before == 200 + 10
        for _ in range(5):
            await turn.take()
        assert await store.revision() - before == 200 + 10
        assert (await status(store, KV))["eds"] == counts(201, 201)
    await plane.stop()


async def test_of_many_with_news_so_many_are_written_at_a_look_the_oldest_first(store: MemoryStore) -> None:
    sessions = [await register_dataplane(store, name=f"kv-{number}") for number in range(7)]
    await put(store, service("db", 1, EVERYBODY))
    plane = await start(store, "a")
    turn = Turn(store, plane, most=3)
    with ExitStack() as stack:
        for session in sessions:
            stack.enter_context(reader(plane.hub, session.proxy, "db"))
            await wait_condition(store, session.registration, PROGRAMMED, "Programmed")
        written = []
        for _ in range(4):
            before = await store.revision()
            await turn.take()
            written.append(await store.revision() - before)
        assert written == [3, 3, 1, 0]
        times = [(await status(store, session.registration))["lastUpdateTime"] for session in sessions]
        assert times == ["2026-11-22T12:00:10Z"] * 7, "when it was seen, not when it was written"
    await plane.stop()


async def test_a_tasks_counts_are_on_its_entry_alone_and_kumas_tools_see_them(store: MemoryStore) -> None:
    session = await register(store)
    await put(store, service("db", 1, session.proxy))
    plane = await start(store, "a")
    await plane.agent(session)
    with reader(plane.hub, session.proxy, "db"):
        await wait_condition(store, session.registration, PROGRAMMED, "Programmed")
        before = await store.revision()
        await Turn(store, plane).take()
        assert await store.revision() - before == 1
    entry = await store.get(entry_key("shop", "web"))
    assert entry is not None
    (subscription,) = subscriptions_of(entry)
    assert subscription["status"]["total"] == counts(3, 3)
    await plane.stop()


async def test_what_could_not_be_written_is_still_due(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await register_dataplane(store)
    await put(store, service("db", 1, session.proxy))
    plane = await start(store, "a")
    turn = Turn(store, plane)
    with reader(plane.hub, session.proxy, "db"):
        await wait_condition(store, KV, PROGRAMMED, "Programmed")
        with monkeypatch.context() as patch:
            patch.setattr(store, "get", _away)
            with pytest.raises(Unavailable):
                await turn.take()
        await turn.take()
        assert (await status(store, KV))["eds"] == counts(1, 1)
    await plane.stop()


async def _away(_key: Key) -> Resource | None:
    raise Unavailable("store", "is away")
