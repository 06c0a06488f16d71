"""Two replicas over one store: agents and proxies that move, replicas that die, duties that one of them has."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outrig.control.proxies import entry_key
from outrig.control.reaper import Graces, Reaper
from outrig.control.verdicts import Verdicts
from outrig.dialects.conditions import AGENT_CONNECTED, PROGRAMMED, READY, condition_of
from outrig.dialects.onboarding.connection import agent_at, proxy_at, with_agent, with_proxy
from outrig.resources import Key
from outrig.store.memory import MemoryStore
from outrig.store.protocol import ChangeType, Query, Unavailable
from outrig.store.protocol import Replica as Sign
from outrig.wire.stream import Bye, Rejoin, Report, Welcome, Withdrawn
from outrig.xds.session import Session
from tests.unit.control_making import BOUND, LONG, SOON, delete, register, running, wait_condition, wait_resource
from tests.unit.hub_making import put, reader, service
from tests.unit.replica_making import PATIENT, QUICK, Agent, start, turns, two_planes, until

ENTRY = entry_key("shop", "web")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


async def register_called(store: MemoryStore, callers: str) -> Session:
    """A registration whose entry those proxies call."""
    session = await register(store)
    async with store.transaction() as tx:
        entry = await tx.get(ENTRY)
        assert entry is not None
        await tx.update(replace(entry, labels={"callers": callers}))
    return session


async def test_a_newer_stream_on_another_replica_ends_the_older_one(store: MemoryStore) -> None:
    session = await register(store)
    async with two_planes(store) as (a, b):
        older = await a.agent(session)
        assert await older.heard() == Welcome("a")
        newer = await b.agent(session)
        assert await newer.heard() == Welcome("b")
        assert isinstance(await older.heard(), Bye)
        await newer.open.report(Report("ready"))
        await older.open.report(Report("unhealthy"))
        await older.close()
        assert (await wait_condition(store, ENTRY, READY, "Ready")).status
        assert await where_agent(store, session) == "b"


async def where_agent(store: MemoryStore, session: Session) -> str:
    registration = await store.get(session.registration)
    assert registration is not None
    return agent_at(registration)


async def test_an_agent_that_goes_to_another_replica_and_back_stays_ready_all_along(store: MemoryStore) -> None:
    session = await register(store)
    graces = Graces(noticed=SOON, disconnected=0.2, removed=LONG, restarted=LONG)
    async with two_planes(store, graces) as planes:
        agent = await planes[0].agent(session)
        await agent.open.report(Report("ready"))
        for turn in range(1, 7):
            await agent.close()
            agent = await planes[turn % 2].agent(session)
            await agent.open.report(Report("ready"))
        other = await register(store, "other")  # whose grace, begun later, is over last
        lost = await planes[0].agent(other)
        await lost.open.report(Report("ready"))
        await lost.close()
        await wait_condition(store, entry_key("shop", "other"), READY, "Disconnected")
        entry = await store.get(ENTRY)
        assert entry is not None
        assert condition_of(entry.status, READY).status  # type: ignore[union-attr]
        assert "False" not in await readiness_of_web(store)


async def readiness_of_web(store: MemoryStore) -> list[str]:
    """Every state that `Ready` of the entry has been in, in order."""
    seen: list[str] = []
    entry = await store.get(ENTRY)
    assert entry is not None
    async with asyncio.timeout(BOUND):
        async for changes in store.watch(Query(kinds=((ENTRY.group, ENTRY.kind),)), 0):
            for change in changes:
                condition = condition_of(change.resource.status, READY)
                if change.resource.key == ENTRY and condition:
                    seen.append(condition.text)
                if change.resource == entry:
                    return seen
    raise AssertionError("the watch ended")


async def test_the_end_of_a_replica_withdraws_nobody_who_comes_to_the_other(store: MemoryStore) -> None:
    session, other = await register(store), await register(store, "other")
    graces = Graces(noticed=SOON, disconnected=SOON, removed=LONG, restarted=0.3)
    async with two_planes(store, graces) as (a, b):
        for each in (session, other):
            agent = await a.agent(each)
            await agent.open.report(Report("ready"))
        await a.kill()
        await b.agent(session)
        await wait_condition(store, entry_key("shop", "other"), READY, "Disconnected")
        assert await readiness_of_web(store) == ["True"] * len(await readiness_of_web(store))
        assert b.replicas.on_duty


async def test_who_was_lost_by_a_replica_that_then_died_is_removed_by_another(store: MemoryStore) -> None:
    session = await register(store)
    async with two_planes(store, Graces(noticed=SOON, disconnected=LONG, removed=0.2, restarted=LONG)) as (a, b):
        agent = await a.agent(session)
        await agent.close()
        await wait_condition(store, session.registration, AGENT_CONNECTED, "AgentLostConnection")
        await a.kill()
        await wait_resource(store, session.registration, lambda found: found is None)
        assert b.replicas.on_duty


async def test_a_lapsed_replica_that_lives_on_keeps_its_agents(store: MemoryStore) -> None:
    """Cut off for a while, it is taken for dead; when it is heard of again, what was written meanwhile is put right."""
    session = await register(store)
    async with two_planes(store, Graces(noticed=SOON, disconnected=LONG, removed=LONG, restarted=SOON)) as (a, b):
        agent = await a.agent(session)
        await agent.open.report(Report("ready"))
        silent = asyncio.Event()
        beat, a.replicas._store = a.replicas._store, _Silent(store, silent)  # type: ignore[assignment]
        await wait_condition(store, ENTRY, READY, "Disconnected")
        assert (await wait_condition(store, ENTRY, READY, "Ready")).status
        a.replicas._store = beat
        await until(lambda: "a" in b.replicas.others)
        assert await where_agent(store, session) == "a"


class _Silent:
    """The store, for a replica whose signs of life get lost."""

    def __init__(self, store: MemoryStore, silent: asyncio.Event) -> None:
        self._inner, self._silent = store, silent

    async def beat(self, _replica: object) -> None:
        return

    async def hold(self, *_anything: object) -> bool:
        return False

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_one_replica_at_a_time_has_the_duty_and_the_end_of_one_hands_it_over(store: MemoryStore) -> None:
    async with two_planes(store) as (a, b):
        await until(lambda: a.replicas.on_duty or b.replicas.on_duty)
        for _ in range(20):
            assert a.replicas.on_duty is not b.replicas.on_duty
            await asyncio.sleep(0.01)
        first, second = (a, b) if a.replicas.on_duty else (b, a)
        await first.stop()
        await until(lambda: second.replicas.on_duty)
        assert second.replicas.others == frozenset()


async def held_up(store: MemoryStore, agent: Agent) -> asyncio.Task[None]:
    """The drain of an agent's workload, begun and not complete: whatever could be done about it has been done."""
    draining = asyncio.create_task(agent.open.report(Report("draining")))
    await wait_condition(store, ENTRY, READY, "Draining")
    await turns(200)
    assert not draining.done()
    return draining


async def test_a_drain_is_complete_once_the_proxies_of_all_replicas_have_accepted_it(store: MemoryStore) -> None:
    session = await register_called(store, "*")
    async with two_planes(store, away=0.0) as (a, b):
        agent = await a.agent(session)
        assert await agent.heard() == Welcome("a")
        with reader(a.hub, "shop/1", "web") as near, reader(b.hub, "shop/2", "web") as far:
            async with running(near.keep_reading()):
                draining = await held_up(store, agent)
                async with running(far.keep_reading()):
                    await draining
                    assert await agent.heard() == Withdrawn(complete=True)


async def test_a_drain_does_not_wait_for_a_replica_that_is_dead(store: MemoryStore) -> None:
    session = await register_called(store, "*")
    async with two_planes(store, away=0.0) as (a, b):
        agent = await a.agent(session)
        assert await agent.heard() == Welcome("a")
        await b.kill()
        await agent.open.report(Report("draining"))
        assert await agent.heard() == Withdrawn(complete=True)
        assert a.replicas.others == frozenset()


async def test_an_authority_is_trusted_once_the_proxies_of_all_replicas_have_accepted_it(store: MemoryStore) -> None:
    await put(store, service("web", 1, "*"))
    async with two_planes(store, away=0.0) as planes:
        a, b = planes
        with reader(a.hub, "shop/1", "web") as near, reader(b.hub, "shop/2", "web") as far:
            revision = await put(store, service("web", 2, "*"))
            waits = [asyncio.create_task(one.withdrawals.wait_trusted(revision, bound=BOUND)) for one in planes]
            async with running(near.keep_reading()):
                said = Key("outrig.internal", "Replica", "", "", "a")
                await wait_resource(
                    store, said, lambda one: one is not None and one.body == {"acknowledged": [revision]}
                )
                assert not any(wait.done() for wait in waits)
                async with running(far.keep_reading()):
                    assert await asyncio.gather(*waits) == [True, True]
            assert not await a.withdrawals.wait_trusted(await put(store, service("web", 3, "*")), bound=0.01)


async def test_a_replica_that_is_alone_acknowledges_nothing(store: MemoryStore) -> None:
    session = await register_called(store, "*")
    plane = await start(store, "a", away=0.0)
    agent = await plane.agent(session)
    before = await store.revision()
    await agent.open.report(Report("draining"))
    assert await store.revision() == before + 3  # registration, entry, and the Event that says so
    await plane.stop()


async def placed(store: MemoryStore, session: Session, replica: str) -> None:
    """Once the registration says that this replica has the proxy."""
    await wait_resource(store, session.registration, lambda found: found is not None and proxy_at(found) == replica)


async def test_a_proxy_that_went_to_another_replica_is_waited_for_there_only(store: MemoryStore) -> None:
    caller, session = await register(store, "caller"), await register_called(store, "shop/caller")
    async with two_planes(store) as (a, b):
        agent = await a.agent(session)
        assert await agent.heard() == Welcome("a")
        with reader(a.hub, "shop/caller", "web"):
            await placed(store, caller, "a")
        with reader(b.hub, "shop/caller", "web") as moved:
            await placed(store, caller, "b")
            draining = await held_up(store, agent)
            async with running(moved.keep_reading()):
                await draining
                assert await agent.heard() == Withdrawn(complete=True)


async def test_a_stream_that_a_proxy_has_left_behind_holds_up_no_drain(store: MemoryStore) -> None:
    caller, session = await register(store, "caller"), await register_called(store, "shop/caller")
    async with two_planes(store) as (a, b):
        agent = await a.agent(session)
        assert await agent.heard() == Welcome("a")
        with reader(a.hub, "shop/caller", "web"):
            await placed(store, caller, "a")
            with reader(b.hub, "shop/caller", "web") as moved:
                await placed(store, caller, "b")
                async with running(moved.keep_reading()):
                    await agent.open.report(Report("draining"))
                    assert await agent.heard() == Withdrawn(complete=True)


async def test_a_proxy_on_its_way_to_another_replica_is_waited_for(store: MemoryStore) -> None:
    """It still uses what it was sent; the drain ends when it has accepted better, wherever."""
    caller, session = await register(store, "caller"), await register_called(store, "shop/caller")
    async with two_planes(store) as (a, b):
        agent = await a.agent(session)
        assert await agent.heard() == Welcome("a")
        with reader(a.hub, "shop/caller", "web"):
            await placed(store, caller, "a")
        draining = await held_up(store, agent)
        with reader(b.hub, "shop/caller", "web"):
            await draining
            assert await agent.heard() == Withdrawn(complete=True)


async def test_the_proxies_of_a_replica_that_died_are_waited_for_until_they_are_elsewhere(store: MemoryStore) -> None:
    caller, session = await register(store, "caller"), await register_called(store, "shop/caller")
    async with two_planes(store) as (a, b):
        agent = await b.agent(session)
        assert await agent.heard() == Welcome("b")
        with reader(a.hub, "shop/caller", "web"):
            await placed(store, caller, "a")
            await a.kill()
        await until(lambda: b.replicas.others == frozenset())
        draining = await held_up(store, agent)
        with reader(b.hub, "shop/caller", "web"):
            await draining
            assert await agent.heard() == Withdrawn(complete=True)


async def test_a_drain_that_a_replica_dies_in_waits_for_its_proxies(store: MemoryStore) -> None:
    caller, session = await register(store, "caller"), await register_called(store, "shop/caller")
    async with two_planes(store) as (a, b):
        agent = await b.agent(session)
        assert await agent.heard() == Welcome("b")
        with reader(a.hub, "shop/caller", "web"):
            await placed(store, caller, "a")
            draining = asyncio.create_task(agent.open.report(Report("draining")))
            await wait_condition(store, ENTRY, READY, "Draining")
            await a.kill()
        await until(lambda: b.replicas.others == frozenset())
        await turns()
        assert not draining.done()
        with reader(b.hub, "shop/caller", "web"):
            await draining
            assert await agent.heard() == Withdrawn(complete=True)


async def test_a_proxy_that_went_to_another_replica_stays_programmed(store: MemoryStore) -> None:
    caller = await register(store, "caller")
    async with two_planes(store) as (a, b):
        with reader(a.hub, "shop/caller"):
            await placed(store, caller, "a")
        with reader(b.hub, "shop/caller"):
            await placed(store, caller, "b")
            assert (await wait_condition(store, caller.registration, PROGRAMMED, "Programmed")).status


async def test_a_deletion_reaches_the_replica_that_has_the_stream(store: MemoryStore) -> None:
    session = await register(store)
    async with two_planes(store) as (a, _):
        agent = await a.agent(session)
        assert await agent.heard() == Welcome("a")
        await delete(store, session.registration)
        assert isinstance(await agent.heard(), Rejoin)
        async with asyncio.timeout(BOUND):
            assert await a.ended.get() == session.proxy


async def test_a_stream_that_is_opened_anew_costs_no_change_and_elsewhere_one(store: MemoryStore) -> None:
    """The older stream ends first, as agents do it."""
    session = await register(store)
    async with two_planes(store, replace(PATIENT, noticed=LONG)) as (a, b):
        # At first: connected, and ready, on both resources, and the Event that says it is ready.
        for plane, changes in ((a, 5), (a, 0), (b, 1), (b, 0)):
            before = await store.revision()
            agent = await plane.agent(session)
            await agent.open.report(Report("ready"))
            assert await store.revision() == before + changes
            await agent.close()
            await turns()


async def test_a_dead_replica_is_forgotten_in_the_end(store: MemoryStore) -> None:
    query = Query(kinds=(("outrig.internal", "Replica"),))
    async with two_planes(store) as (a, b):
        await a.kill()
        async with asyncio.timeout(BOUND):
            async for changes in store.watch(query, 0):
                if any(c.type is ChangeType.DELETED and c.resource.key.name == "a" for c in changes):
                    break
        assert b.replicas.on_duty


async def test_a_replica_whose_announcement_is_lost_announces_itself_again(store: MemoryStore) -> None:
    query = Query(kinds=(("outrig.internal", "Replica"),))
    async with two_planes(store) as (a, b):
        announced = (await store.list(query)).items
        for resource in announced:
            await delete(store, resource.key)
        for resource in announced:
            await wait_resource(store, resource.key, lambda found: found is not None)
        await until(lambda: b.replicas.others == {"a"} and a.replicas.others == {"b"})


class Others:
    """There is nobody else; the store has answered for long, or has only just come back."""

    steady = True
    asked = 0

    def is_other(self, _name: str) -> bool:
        return False

    def is_steady(self, _seconds: float) -> bool:
        self.asked += 1
        return self.steady


async def test_no_grace_ends_before_the_store_has_answered_for_as_long(store: MemoryStore) -> None:
    session, others = await register(store), Others()
    others.steady = False
    reaper = Reaper(store, Graces(noticed=LONG, disconnected=SOON, removed=LONG), others=others)
    async with running(reaper.run()):
        reaper.lost(session.registration, session.uid)
        await until(lambda: others.asked > 3)
        entry = await store.get(ENTRY)
        assert entry is not None
        assert condition_of(entry.status, READY) is None
        others.steady = True
        assert not (await wait_condition(store, ENTRY, READY, "Disconnected")).status


async def test_who_left_well_is_not_waited_for_though_the_store_was_away(store: MemoryStore) -> None:
    session, others = await register(store), Others()
    others.steady = False
    reaper = Reaper(store, PATIENT, others=others)
    async with running(reaper.run()):
        reaper.left(session.registration, session.uid)
        await wait_resource(store, session.registration, lambda found: found is None)


class Away(MemoryStore):
    """A store that can be out of reach."""

    away = False
    refused = 0

    async def beat(self, replica: Sign) -> None:
        if self.away:
            self.refused += 1
            raise Unavailable("store", "is away")
        await super().beat(replica)


async def test_while_the_store_is_away_nobody_dies_and_nothing_counts_as_steady() -> None:
    store = Away()
    async with two_planes(store) as (a, b):
        assert a.replicas.is_steady(LONG)
        store.away = True
        await until(lambda: not a.replicas.is_steady(0.0) and not b.replicas.is_steady(0.0))
        await until(lambda: store.refused > 4 * QUICK.missed)  # of both
        assert (a.replicas.others, b.replicas.others) == ({"b"}, {"a"})
        store.away = False
        await until(lambda: a.replicas.is_steady(0.0) and b.replicas.is_steady(0.0))
        assert not a.replicas.is_steady(LONG)
        assert (a.replicas.others, b.replicas.others) == ({"b"}, {"a"})


async def test_an_agent_that_has_moved_gets_its_graces_anew_when_its_new_replica_dies(store: MemoryStore) -> None:
    session = await register(store)
    async with two_planes(store, Graces(noticed=SOON, disconnected=SOON, removed=LONG, restarted=SOON)) as (a, b):
        lost = await a.agent(session)
        await lost.close()
        await wait_condition(store, ENTRY, READY, "Disconnected")
        moved = await b.agent(session)
        await moved.open.report(Report("ready"))
        assert (await wait_condition(store, ENTRY, READY, "Ready")).status
        await b.kill()
        assert not (await wait_condition(store, ENTRY, READY, "Disconnected")).status
        assert a.replicas.others == frozenset()


class Elsewhere(Others):
    """Replica `b` lives."""

    def is_other(self, name: str) -> bool:
        return name == "b"


@pytest.mark.parametrize("left", [True, False])
async def test_who_is_stored_as_connected_elsewhere_is_not_touched(store: MemoryStore, left: bool) -> None:
    """However old what this replica knows of it is."""
    session, other = await register(store), await register(store, "other")
    async with store.transaction() as tx:
        held = await tx.get(session.registration)
        assert held is not None
        stored = await tx.update(with_agent(held, control_plane="b", now=NOON))
    reaper = Reaper(store, Graces(noticed=0.0, disconnected=0.0, removed=0.0), others=Elsewhere())
    async with running(reaper.run()):
        for each in (session, other):
            (reaper.left if left else reaper.lost)(each.registration, each.uid)
        await wait_resource(store, other.registration, lambda found: found is None)
        assert await store.get(session.registration) == stored


async def test_a_proxy_that_is_stored_as_connected_elsewhere_is_not_said_to_be_away(store: MemoryStore) -> None:
    session, other = await register(store), await register(store, "other")
    async with store.transaction() as tx:
        held = await tx.get(session.registration)
        assert held is not None
        stored = await tx.update(with_proxy(held, "b"))
    verdicts = Verdicts(store, name="a", others=Elsewhere(), away=0.0)
    async with running(verdicts.run()):
        for each in (session, other):
            verdicts.note_presence(each.proxy, False)
        await wait_condition(store, other.registration, PROGRAMMED, "ProxyDisconnected")
        assert await store.get(session.registration) == stored
