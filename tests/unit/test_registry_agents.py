"""What an agent's coming, reporting and going does to its registration and its workload's entry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from outrig.control.connections import Connection
from outrig.control.following import follow
from outrig.control.hub import Hub
from outrig.control.proxies import entry_key
from outrig.control.reaper import Graces, Reaper, TaskStates
from outrig.control.registry import Place, Registry
from outrig.control.replicas import present
from outrig.control.whereabouts import Whereabouts
from outrig.control.world import World
from outrig.dialects.conditions import AGENT_CONNECTED, READY, condition_of
from outrig.errors import OutrigError
from outrig.snapshot import ProxyId
from outrig.store.cascade import delete_with_dependents
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query
from outrig.wire.codec import WireError
from outrig.wire.stream import Ban, Bye, Message, Rejoin, Report, Welcome, Withdrawn
from outrig.xds.session import Session
from tests.unit.control_making import BOUND, LONG, SOON, delete, register, running, wait_condition, wait_resource

PATIENT = Graces(noticed=SOON, disconnected=LONG, removed=LONG, restarted=LONG)
ENTRY = entry_key("shop", "web")


@dataclass
class Plane:
    """A control plane's registry over a store; `ended` are the proxies whose xDS streams it ended."""

    store: MemoryStore
    registry: Registry
    ended: asyncio.Queue[ProxyId]


@asynccontextmanager
async def control_plane(
    store: MemoryStore, graces: Graces = PATIENT, *, tasks: TaskStates | None = None
) -> AsyncIterator[Plane]:
    ended: asyncio.Queue[ProxyId] = asyncio.Queue()
    async with present(store, "cp-1") as replicas:
        hub, reaper = Hub(World(()), follow(store, Query())), Reaper(store, graces, tasks=tasks, others=replicas)
        registry = Registry(
            store, hub, reaper=reaper, place=Place("cp-1", BOUND), end_proxy=lambda proxy, _why: ended.put_nowait(proxy)
        )
        whereabouts = Whereabouts(replicas, reaper, hub, is_here=registry.has)
        replicas.listen(whereabouts.turned)
        async with running(hub.run(), reaper.run(), registry.run(whereabouts.heard), replicas.run()):
            yield Plane(store, registry, ended)


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


async def next_message(connection: Connection) -> Message:
    async with asyncio.timeout(BOUND):
        return await connection.next_message()


async def revision_of(store: MemoryStore, session: Session) -> tuple[int, int]:
    registration, entry = await store.get(session.registration), await store.get(ENTRY)
    assert registration is not None
    assert entry is not None
    return registration.revision, entry.revision


async def test_a_connected_agent_is_welcomed_and_shown(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        registration = await store.get(session.registration)
        assert registration is not None
        assert registration.status["activeAgentConnection"] == {"connectedTo": "cp-1"}
        condition = condition_of(registration.status, AGENT_CONNECTED)
        assert condition is not None
        assert (condition.status, condition.reason) == (True, "AgentEstablishedConnection")


@pytest.mark.parametrize(
    ("state", "reason", "ready"),
    [("starting", "Starting", False), ("ready", "Ready", True), ("unhealthy", "Unhealthy", False)],
)
async def test_a_report_becomes_the_entrys_readiness(store: MemoryStore, state: str, reason: str, ready: bool) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        await connection.report(Report(state, "because"))
        condition = await wait_condition(store, ENTRY, READY, reason)
        assert (condition.status, condition.message) == (ready, "because")


async def test_registration_and_entry_say_the_same_of_agent_and_readiness(store: MemoryStore) -> None:
    session = await register(store)
    graces = Graces(noticed=SOON, disconnected=SOON, removed=LONG, restarted=LONG)
    async with control_plane(store, graces) as plane:
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("unhealthy", "GET /: status 500"))
            for key in (session.registration, ENTRY):
                assert (await wait_condition(store, key, AGENT_CONNECTED, "AgentEstablishedConnection")).status
                condition = await wait_condition(store, key, READY, "Unhealthy")
                assert (condition.status, condition.message) == (False, "GET /: status 500")
        for key in (session.registration, ENTRY):
            assert not (await wait_condition(store, key, AGENT_CONNECTED, "AgentLostConnection")).status
            assert not (await wait_condition(store, key, READY, "Disconnected")).status
    entry = await store.get(ENTRY)
    assert entry is not None
    assert "activeAgentConnection" not in entry.status


async def test_what_changes_is_written_once_to_each_and_an_equal_report_not_at_all(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        before = await store.revision()
        for state in ("ready", "ready", "unhealthy", "unhealthy", "ready"):
            await connection.report(Report(state))
        assert await store.revision() - before == 3 * 3  # registration, entry, and the Event that tells of it


async def test_what_is_reported_again_is_not_written_again(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        await connection.report(Report("ready"))
        before = await revision_of(store, session)
        await connection.report(Report("ready"))
        assert await revision_of(store, session) == before


async def test_a_state_there_is_not_is_refused_and_changes_nothing(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        before = await revision_of(store, session)
        with pytest.raises(WireError, match="'asleep' is not one of starting"):
            await connection.report(Report("asleep"))
        assert await revision_of(store, session) == before


async def test_a_lost_agent_is_shown_and_its_workload_stays_ready_within_the_grace(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane:
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("ready"))
        await wait_condition(store, session.registration, AGENT_CONNECTED, "AgentLostConnection")
        entry = await store.get(ENTRY)
        assert entry is not None
        assert condition_of(entry.status, READY) is not None
        assert condition_of(entry.status, READY).status  # type: ignore[union-attr]


async def test_after_the_short_grace_the_workload_is_not_ready(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store, Graces(noticed=SOON, disconnected=SOON, removed=LONG, restarted=LONG)) as plane:
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("ready"))
        await wait_condition(store, ENTRY, READY, "Disconnected")
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("ready"))
            await wait_condition(store, ENTRY, READY, "Ready")


async def test_after_the_long_grace_registration_and_entry_are_removed(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store, Graces(noticed=SOON, disconnected=LONG, removed=SOON, restarted=LONG)) as plane:
        async with plane.registry.attended(session):
            pass
        await wait_resource(store, session.registration, lambda found: found is None)
        assert await store.get(ENTRY) is None


async def test_an_agent_that_is_back_in_time_keeps_everything(store: MemoryStore) -> None:
    """Its graces are over by the time another registration's, begun later, have removed that one."""
    session, other = await register(store), await register(store, "other")
    async with control_plane(store, Graces(noticed=SOON, disconnected=SOON, removed=SOON, restarted=LONG)) as plane:
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("ready"))
        async with plane.registry.attended(session):
            async with plane.registry.attended(other):
                pass
            await wait_resource(store, other.registration, lambda found: found is None)
            entry = await store.get(ENTRY)
            assert entry is not None
            assert condition_of(entry.status, READY).reason == "Ready"  # type: ignore[union-attr]


async def test_a_restart_withdraws_nobody_who_comes_back(store: MemoryStore) -> None:
    session, other = await register(store), await register(store, "other")
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        await connection.report(Report("ready"))
        connection.goodbye("restarting")
    before = await revision_of(store, session)
    graces = Graces(noticed=SOON, disconnected=LONG, removed=LONG, restarted=SOON)
    async with control_plane(store, graces) as plane, plane.registry.attended(session):
        await wait_condition(store, entry_key("shop", "other"), READY, "Disconnected")
        assert await revision_of(store, session) == before
    assert await store.get(other.registration) is not None


async def test_whoever_does_not_come_back_after_a_restart_is_removed_in_the_end(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store, Graces(noticed=SOON, disconnected=LONG, removed=SOON, restarted=SOON)):
        await wait_resource(store, session.registration, lambda found: found is None)
        assert await store.get(ENTRY) is None


async def test_who_drains_is_told_when_it_is_withdrawn_and_removed_when_it_goes(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane:
        async with plane.registry.attended(session) as connection:
            assert await next_message(connection) == Welcome("cp-1")
            await connection.report(Report("draining"))
            assert await next_message(connection) == Withdrawn(complete=True)
            await wait_condition(store, ENTRY, READY, "Draining")
        await wait_resource(store, session.registration, lambda found: found is None)
        assert await store.get(ENTRY) is None


async def test_deleting_a_registration_makes_its_agent_join_again_and_ends_its_proxys_streams(
    store: MemoryStore,
) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        await delete(store, session.registration)
        assert isinstance(await next_message(connection), Rejoin)
        async with asyncio.timeout(BOUND):
            assert await plane.ended.get() == session.proxy


async def test_deleting_an_entry_makes_its_agent_join_again_and_report_anew(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        entry = await store.get(ENTRY)
        assert entry is not None
        await delete(store, ENTRY)
        assert await next_message(connection) == Rejoin("WorkloadEntry shop/web is gone")
        async with store.transaction() as tx:
            await tx.create(replace(entry, uid="", revision=0))
        async with plane.registry.attended(session) as joined_again:
            await joined_again.report(Report("ready"))
            assert (await wait_condition(store, ENTRY, READY, "Ready")).status


async def test_an_agent_is_told_once_that_what_it_had_is_gone(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        async with store.transaction() as tx:
            await delete_with_dependents(tx, session.registration)
        assert isinstance(await next_message(connection), Rejoin)
        await connection.report(Report("ready"))
        connection.send(Bye("last"))
        assert await next_message(connection) == Bye("last")


async def test_an_entry_of_somebody_else_may_go_unheeded(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        entry = await store.get(ENTRY)
        assert entry is not None
        async with store.transaction() as tx:
            await tx.update(replace(entry, owners=()))
            await tx.delete(ENTRY)
        await delete(store, session.registration)  # which the registry hears of after the entry
        assert await next_message(connection) == Rejoin("WorkloadAutoRegistration shop/web is gone")


async def test_what_an_agent_says_is_one_short_line_without_control_characters(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        await connection.report(Report("unhealthy", "a\r\nb\x1b[2J\u202e\ud800" + "c" * 10_000))
        message = (await wait_condition(store, ENTRY, READY, "Unhealthy")).message
        assert message.startswith("a b\ufffd[2J\ufffd\ufffdccc")
        assert len(message) == 256


@dataclass
class Tasks:
    """Says of every task the same; remembers which it was asked about."""

    stopped: bool | OutrigError
    asked: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def is_stopped(self, task: str) -> bool:
        self.asked.put_nowait(task)
        if isinstance(self.stopped, OutrigError):
            raise self.stopped
        return self.stopped


async def register_task(store: MemoryStore, name: str = "web") -> Session:
    """A registration with the identity of an ECS task."""
    session = await register(store, name)
    ecs = {"cluster": "prod", "taskId": f"{1:032x}"}
    aws = {"partition": "aws", "account": "123456789012", "region": "us-east-1", "zone": "us-east-1a", "ecs": ecs}
    async with store.transaction() as tx:
        registration = await tx.get(session.registration)
        assert registration is not None
        await tx.update(replace(registration, body={"spec": {"identity": {"aws": aws}}}))
    return session


async def test_an_agent_whose_task_has_stopped_gets_no_grace(store: MemoryStore) -> None:
    session, tasks = await register_task(store), Tasks(stopped=True)
    async with control_plane(store, tasks=tasks) as plane:
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("ready"))
        await wait_resource(store, session.registration, lambda found: found is None)
        assert await store.get(ENTRY) is None
    assert tasks.asked.get_nowait() == f"arn:aws:ecs:us-east-1:123456789012:task/prod/{1:032x}"
    assert tasks.asked.empty()


async def test_ecs_that_learns_of_an_end_after_the_stream_did_is_asked_again_soon(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outrig.control.reaper.ASKED_AGAIN", (SOON,))
    session, tasks = await register_task(store), Tasks(stopped=False)
    async with control_plane(store, tasks=tasks) as plane:
        async with plane.registry.attended(session) as connection:
            await connection.report(Report("ready"))
        async with asyncio.timeout(BOUND):
            await tasks.asked.get()
        tasks.stopped = True
        await wait_resource(store, session.registration, lambda found: found is None)


@pytest.mark.parametrize("answer", [False, OutrigError("ecs", "cannot be asked")])
async def test_an_agent_whose_task_runs_or_is_not_known_keeps_its_grace(
    store: MemoryStore, answer: bool | OutrigError
) -> None:
    session, tasks = await register_task(store), Tasks(stopped=answer)
    graces = Graces(noticed=SOON, disconnected=SOON, removed=LONG, restarted=LONG)
    async with control_plane(store, graces, tasks=tasks) as plane:
        for _ in range(2):  # the second time shows that the first answer ended neither grace nor asking
            async with plane.registry.attended(session) as connection:
                await connection.report(Report("ready"))
            await wait_condition(store, ENTRY, READY, "Disconnected")
            async with asyncio.timeout(BOUND):
                await tasks.asked.get()
    assert await store.get(session.registration) is not None


async def test_a_task_that_stops_within_the_first_grace_gets_no_second_one(store: MemoryStore) -> None:
    session, tasks = await register_task(store), Tasks(stopped=False)
    async with control_plane(
        store, Graces(noticed=SOON, disconnected=1.0, removed=LONG, restarted=LONG), tasks=tasks
    ) as plane:
        async with plane.registry.attended(session):
            pass
        async with asyncio.timeout(BOUND):
            await tasks.asked.get()
        tasks.stopped = True
        await wait_resource(store, session.registration, lambda found: found is None)


async def test_who_drained_or_lives_through_a_restart_is_not_asked_about(store: MemoryStore) -> None:
    drained, restarted, tasks = await register_task(store), await register_task(store, "other"), Tasks(stopped=True)
    async with control_plane(store, tasks=tasks) as plane:
        async with plane.registry.attended(restarted) as connection:
            connection.goodbye("restarting")
        async with plane.registry.attended(drained) as connection:
            await connection.report(Report("draining"))
        await wait_resource(store, drained.registration, lambda found: found is None)
    assert tasks.asked.empty()
    assert await store.get(restarted.registration) is not None


async def test_an_agent_of_a_deleted_registration_is_told_to_join_again(store: MemoryStore) -> None:
    session = await register(store)
    await delete(store, session.registration)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert isinstance(await next_message(connection), Rejoin)


async def test_an_old_session_does_not_stand_for_a_registration_made_anew(store: MemoryStore) -> None:
    old = await register(store)
    async with store.transaction() as tx:
        await tx.delete(old.registration)
        await tx.delete(ENTRY)
    new = await register(store)
    graces = Graces(noticed=SOON, disconnected=SOON, removed=SOON, restarted=LONG)
    async with control_plane(store, graces) as plane, plane.registry.attended(new) as mine:
        assert await next_message(mine) == Welcome("cp-1")
        async with plane.registry.attended(old) as stale:
            assert isinstance(await next_message(stale), Rejoin)
            await mine.report(Report("ready"))
            await wait_condition(store, ENTRY, READY, "Ready")
    assert await store.get(new.registration) is not None


async def test_a_newer_stream_takes_over_and_the_older_one_has_no_say(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane:
        async with plane.registry.attended(session) as new_one:
            assert await next_message(new_one) == Welcome("cp-1")
        async with plane.registry.attended(session) as older:
            assert await next_message(older) == Welcome("cp-1")
            async with plane.registry.attended(session) as newer:
                await newer.report(Report("ready"))
                assert isinstance(await next_message(older), Bye)
                await older.report(Report("unhealthy"))
                await wait_condition(store, ENTRY, READY, "Ready")
                assert plane.registry.connected == 1


async def test_a_ban_reaches_the_agent_and_ends_its_proxys_streams(store: MemoryStore) -> None:
    session = await register(store)
    async with control_plane(store) as plane, plane.registry.attended(session) as connection:
        assert await next_message(connection) == Welcome("cp-1")
        assert plane.registry.ban(session.registration, Ban("stolen key"))
        assert await next_message(connection) == Ban("stolen key")
        assert plane.ended.get_nowait() == session.proxy
