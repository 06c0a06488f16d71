"""What an agent's coming, reporting and going does to its Dataplane, which is registration and entry in one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outrig.ca.names import ControlName
from outrig.ca.peers import ControlPeer
from outrig.control.proxies import (
    dataplane_key,
    proxy_of,
    registration_key,
    registration_of,
    registration_of_peer,
)
from outrig.control.reaper import Graces, Reaper
from outrig.dialects.conditions import AGENT_CONNECTED, PROGRAMMED, READY, condition_of
from outrig.dialects.kuma.certified import with_certified
from outrig.dialects.kuma.dataplane import dataplane_identities
from outrig.dialects.kuma.insight import insight_of
from outrig.dialects.kuma.joined import JOINED, Holder
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.memory import MemoryStore
from outrig.wire.stream import Rejoin, Report, Welcome, Withdrawn
from outrig.xds.session import Session
from tests.unit.control_making import LONG, SOON, delete, running, wait_condition, wait_resource
from tests.unit.hub_making import reader
from tests.unit.kuma_making import dataplane
from tests.unit.replica_making import PATIENT, Plane, start, two_planes

KV = dataplane_key("default", "kv-1")
RETURNING = Graces(noticed=SOON, restarted=SOON, deregistered=SOON)


async def register_dataplane(store: MemoryStore, *, joined: bool = True, name: str = "kv-1") -> Session:
    """A Dataplane that joined, or one that somebody wrote, and the session of its certificate."""
    key = dataplane_key("default", name)
    async with store.transaction() as tx:
        made = await tx.create(Resource(key, annotations={JOINED: "true"} if joined else {}))
    return Session(proxy_of(key), key, made.uid, datetime.now(UTC) + timedelta(hours=1))


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def plane(store: MemoryStore, request: pytest.FixtureRequest) -> AsyncIterator[Plane]:
    made = await start(store, "a", getattr(request, "param", PATIENT))
    yield made
    await made.stop()


async def insight(store: MemoryStore) -> dict[str, dict[str, str]]:
    found = await store.get(KV)
    assert found is not None
    return dict(insight_of(found))


@pytest.mark.parametrize(
    "key",
    [KV, Key("kuma.io", "ZoneIngress", "", "", "in"), dataplane_key("m", "a.b")],
    ids=lambda key: f"{key.kind} {key.name}",
)
def test_a_proxys_id_leads_back_to_its_registration(key: Key) -> None:
    assert registration_of(proxy_of(key)) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (ControlName("c", "", "kv-1", "u", kind="dataplane", mesh="default"), KV),
        (ControlName("c", "", "in", "u", kind="zoneingress"), Key("kuma.io", "ZoneIngress", "", "", "in")),
        (ControlName("c", "shop", "web", "u"), registration_key("shop", "web")),
    ],
    ids=lambda part: str(getattr(part, "kind", part)),
)
def test_a_control_identity_names_a_registration(name: ControlName, key: Key) -> None:
    assert registration_of_peer(ControlPeer(name, "hash")) == key


def test_no_dataplane_has_the_id_of_a_workload_in_a_namespace() -> None:
    assert proxy_of(KV) == "dataplane/default/kv-1"
    assert registration_of(ProxyId("dataplane/kv-1")).namespace == "dataplane"


async def test_its_conditions_and_insight_follow_its_agent(store: MemoryStore, plane: Plane) -> None:
    session = await register_dataplane(store)
    agent = await plane.agent(session)
    assert await agent.heard() == Welcome("a")
    assert (await wait_condition(store, KV, AGENT_CONNECTED, "AgentEstablishedConnection")).status
    await agent.open.report(Report("ready", unready_ports=(8081, 8080)))
    found = await store.get(KV)
    assert found is not None
    assert condition_of(found.status, READY).status  # type: ignore[union-attr]
    assert found.status["unreadyPorts"] == [8080, 8081]
    connection = (await insight(store))["subscription"]
    assert connection["controlPlaneInstanceId"] == "a"
    assert "disconnectTime" not in connection
    await agent.close()
    await wait_condition(store, KV, AGENT_CONNECTED, "AgentLostConnection")
    assert (await insight(store))["subscription"].items() > connection.items()


async def test_a_report_writes_it_once_and_an_equal_one_not_at_all(store: MemoryStore, plane: Plane) -> None:
    session = await register_dataplane(store)
    agent = await plane.agent(session)
    before = await store.revision()
    for ports in ((8080,), (8080,), ()):
        await agent.open.report(Report("ready", unready_ports=ports))
    assert await store.revision() - before == 2 + 1  # and one Event: it became ready once


@pytest.mark.parametrize("plane", [Graces(noticed=SOON, disconnected=LONG, deregistered=SOON)], indirect=True)
async def test_one_that_joined_goes_with_its_agent_after_the_delay(store: MemoryStore, plane: Plane) -> None:
    agent = await plane.agent(await register_dataplane(store))
    await agent.close()
    await wait_resource(store, KV, lambda found: found is None)


async def test_one_that_joined_goes_at_once_when_its_agent_left_well(store: MemoryStore, plane: Plane) -> None:
    agent = await plane.agent(await register_dataplane(store))
    assert await agent.heard() == Welcome("a")
    await agent.open.report(Report("draining"))
    assert await agent.heard() == Withdrawn(complete=True)
    await agent.close()
    await wait_resource(store, KV, lambda found: found is None)


@pytest.mark.parametrize("plane", [Graces(noticed=SOON, disconnected=SOON, deregistered=SOON)], indirect=True)
@pytest.mark.parametrize("well", [True, False])
async def test_one_that_somebody_wrote_stays_and_is_not_ready(store: MemoryStore, plane: Plane, well: bool) -> None:
    session, other = await register_dataplane(store, joined=False), await register_dataplane(store, name="kv-2")
    agent = await plane.agent(session)
    await agent.open.report(Report("ready"))
    if well:
        await agent.open.report(Report("draining"))
    await agent.close()
    reason = "Draining" if well else "Disconnected"
    await wait_condition(store, KV, AGENT_CONNECTED, "AgentClosedConnection" if well else "AgentLostConnection")
    assert not (await wait_condition(store, KV, READY, reason)).status
    joined = await plane.agent(other)  # whose delay, begun later, is over later
    await joined.close()
    await wait_resource(store, other.registration, lambda found: found is None)
    assert await store.get(KV) is not None


@pytest.mark.parametrize("plane", [RETURNING], indirect=True)
async def test_one_that_somebody_wrote_and_no_agent_has_joined_as_is_not_taken_for_lost(
    store: MemoryStore, plane: Plane
) -> None:
    written = await register_dataplane(store, joined=False, name="written")
    joined = await register_dataplane(store)
    await wait_resource(store, joined.registration, lambda found: found is None)  # its agent did not come back
    found = await store.get(written.registration)
    assert found is not None
    assert found.status == {}


@pytest.mark.parametrize("plane", [RETURNING], indirect=True)
async def test_one_that_joined_and_whose_agent_never_came_goes_too(store: MemoryStore, plane: Plane) -> None:
    await register_dataplane(store)
    await wait_resource(store, KV, lambda found: found is None)
    assert plane.registry.connected == 0


class Stopped:
    """Every task has stopped; remembers which were asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def is_stopped(self, task: str) -> bool:
        self.asked.append(task)
        return True


async def test_one_whose_task_has_stopped_goes_at_once(store: MemoryStore) -> None:
    arn, tasks = "arn:aws:ecs:us-east-1:123456789012:task/prod/3a151358f03a4e32bf8cd401c1c74653", Stopped()
    async with store.transaction() as tx:
        made = await tx.create(Resource(KV, annotations=Holder(arn).annotations(came=True)))
        token = await tx.create(
            Resource(dataplane_key("m", "x"), annotations=Holder("kv", jti="1").annotations(came=True))
        )
    reaper = Reaper(store, PATIENT, tasks=tasks)
    async with running(reaper.run()):
        for each in (token, made):
            reaper.lost(each.key, each.uid)
        await wait_resource(store, KV, lambda found: found is None)
        assert tasks.asked == [arn]
        assert await store.get(token.key) is not None


async def test_one_that_was_deleted_is_made_again_by_its_agents_joining(store: MemoryStore, plane: Plane) -> None:
    session = await register_dataplane(store)
    agent = await plane.agent(session)
    assert await agent.heard() == Welcome("a")
    await delete(store, KV)
    assert isinstance(await agent.heard(), Rejoin)
    assert await plane.ended.get() == session.proxy


async def retag(store: MemoryStore, service: str, **labels: str) -> None:
    """The Dataplane is of that service now."""
    found = await store.get(KV)
    assert found is not None
    body = dict(dataplane(inbound=[{"port": 1, "tags": {"kuma.io/service": service, **labels}}]))
    async with store.transaction() as tx:
        await tx.update(replace(found, body={"networking": body["networking"]}))


async def test_one_whose_tags_change_joins_again_at_the_replica_it_is_connected_to_and_once(store: MemoryStore) -> None:
    async with two_planes(store, PATIENT) as (_, b):
        session, other = await register_dataplane(store), await register_dataplane(store, name="kv-2")
        await retag(store, "kv")
        await certify(store)
        agents = [await b.agent(other), await b.agent(session)]  # what one hears, the other could have heard
        for agent in agents:
            assert isinstance(await agent.heard(), Welcome)
        await agents[1].open.report(Report("ready"))
        for service in ("kv", "payments", "orders"):
            await retag(store, service)
        told = await agents[1].heard()
        assert isinstance(told, Rejoin)
        assert "tags of" in told.reason
        await delete(store, other.registration)
        assert "is gone" in (await agents[0].heard()).reason  # type: ignore[union-attr]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await agents[1].open.next_message()


async def test_one_whose_tags_changed_while_its_agent_was_away_joins_again_when_it_is_back(
    store: MemoryStore, plane: Plane
) -> None:
    session = await register_dataplane(store)
    await retag(store, "kv", version="1")
    await certify(store)
    await retag(store, "kv", version="2")
    agent = await plane.agent(session)
    assert await agent.heard() == Welcome("a")
    assert isinstance(await agent.heard(), Rejoin)


async def certify(store: MemoryStore) -> None:
    """It gets a certificate of what it is now."""
    found = await store.get(KV)
    assert found is not None
    async with store.transaction() as tx:
        await tx.update(with_certified(found, dataplane_identities(found)))


async def test_one_that_moves_to_another_replica_is_there_all_along(store: MemoryStore) -> None:
    graces = Graces(noticed=SOON, disconnected=0.2, deregistered=0.2)
    async with two_planes(store, graces) as (a, b):
        session, other = await register_dataplane(store), await register_dataplane(store, name="kv-2")
        agent = await a.agent(session)
        await agent.open.report(Report("ready"))
        await agent.close()
        agent = await b.agent(session)
        lost = await a.agent(other)
        await lost.close()
        await wait_resource(store, other.registration, lambda found: found is None)
        found = await store.get(KV)
        assert found is not None
        assert found.uid == session.uid
        assert condition_of(found.status, READY).status  # type: ignore[union-attr]


async def test_what_its_proxy_refuses_is_told_of_it(store: MemoryStore, plane: Plane) -> None:
    session = await register_dataplane(store)
    with reader(plane.hub, session.proxy):
        assert (await wait_condition(store, KV, PROGRAMMED, "Programmed")).status


async def test_a_dataplane_whose_probes_all_succeed_is_told_so(store: MemoryStore, plane: Plane) -> None:
    agent = await plane.agent(await register_dataplane(store))
    await agent.open.report(Report("ready"))
    found = await store.get(KV)
    assert found is not None
    assert found.status["unreadyPorts"] == []
