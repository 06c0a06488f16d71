"""What proxies refuse becomes a condition of their entry and an Event, once."""

import asyncio
from dataclasses import replace

import pytest

from outrig.control.proxies import entry_key, registration_key
from outrig.control.status import change_workload
from outrig.control.verdicts import Verdicts
from outrig.dialects.conditions import PARTIALLY_INVALID, PROGRAMMED, Condition, condition_of
from outrig.errors import Finding
from outrig.resources import Key, Resource
from outrig.snapshot import LISTENER, ProxyId
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Conflict, Query, Unavailable
from outrig.xds.subscription import Rejection
from tests.unit.control_making import BOUND, SOON, delete, register, running, wait_condition

WEB, ENTRY = ProxyId("shop/web"), entry_key("shop", "web")
TAKEN = (Rejection(LISTENER, "inbound|9080", "1", "cannot bind '10.0.0.1:9080': Address already in use"),)


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await register(store)
    return store


async def told(store: MemoryStore, count: int) -> list[Resource]:
    """The Events, once there are that many, repetitions counted."""
    query = Query(kinds=(("", "Event"),))
    async with asyncio.timeout(BOUND):
        async for _ in store.watch(query, 0):
            found = (await store.list(query)).items
            if sum(event.body["count"] for event in found) >= count:
                return list(found)
    raise AssertionError("the watch ended")


async def test_a_refusal_is_a_condition_and_an_event_about_the_entry(store: MemoryStore) -> None:
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note(WEB, TAKEN)
        condition = await wait_condition(store, ENTRY, PROGRAMMED, "ConfigRejected")
        message = "Listener inbound|9080: cannot bind '10.0.0.1:9080': Address already in use"
        assert (condition.status, condition.message) == (False, message)
        (event,) = await told(store, 1)
        assert (event.body["reason"], event.body["type"]) == ("ConfigRejected", "Warning")
        assert event.body["message"] == message
        assert event.body["involvedObject"]["name"] == "web"


async def test_the_same_refusal_again_is_counted_when_it_came_back_and_else_not_written(store: MemoryStore) -> None:
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        for _ in range(2):
            verdicts.note(WEB, TAKEN)
            await wait_condition(store, ENTRY, PROGRAMMED, "ConfigRejected")
        verdicts.note(WEB, ())
        assert (await wait_condition(store, ENTRY, PROGRAMMED, "Programmed")).status
        verdicts.note(WEB, TAKEN)
        await wait_condition(store, ENTRY, PROGRAMMED, "ConfigRejected")
        (event,) = await told(store, 2)
        assert event.body["count"] == 2


async def test_a_proxy_that_accepts_everything_is_programmed_and_nothing_is_said_to_be_invalid(
    store: MemoryStore,
) -> None:
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note_findings(WEB, ())
        verdicts.note(WEB, ())
        for key in (ENTRY, registration_key("shop", "web")):
            condition = await wait_condition(store, key, PROGRAMMED, "Programmed")
            assert (condition.status, condition.message) == (True, "")
            assert await condition_in(store, key, PARTIALLY_INVALID) is None
    assert not (await store.list(Query(kinds=(("", "Event"),)))).items


async def condition_in(store: MemoryStore, key: Key, type_: str) -> Condition | None:
    resource = await store.get(key)
    assert resource is not None
    return condition_of(resource.status, type_)


async def test_a_verdict_is_written_once_for_each_transition_whatever_is_said_again(store: MemoryStore) -> None:
    other = await register(store, "other")
    verdicts = Verdicts(store)
    before = await store.revision()
    async with running(verdicts.run()):
        for rejections, reason in (((), "Programmed"), (TAKEN, "ConfigRejected"), ((), "Programmed")):
            for _ in range(3):
                verdicts.note(WEB, rejections)
                await wait_condition(store, ENTRY, PROGRAMMED, reason)
            verdicts.note(other.proxy, rejections)  # once this is written, so is what was said before
            await wait_condition(store, entry_key("shop", "other"), PROGRAMMED, reason)
        await told(store, 2)
    # Two workloads, two resources each, three transitions; and an Event for each refusal.
    assert await store.revision() - before == 2 * 2 * 3 + 2


async def test_a_proxy_that_stays_away_is_unknown_until_it_is_judged_again(store: MemoryStore) -> None:
    verdicts = Verdicts(store, away=SOON)
    async with running(verdicts.run()):
        verdicts.note(WEB, TAKEN)
        await wait_condition(store, ENTRY, PROGRAMMED, "ConfigRejected")
        verdicts.note_presence(WEB, False)
        assert (await wait_condition(store, ENTRY, PROGRAMMED, "ProxyDisconnected")).status is None
        entry = await store.get(ENTRY)
        assert entry is not None
        assert next(one["status"] for one in entry.status["conditions"] if one["type"] == PROGRAMMED) == "Unknown"
        verdicts.note_presence(WEB, True)
        verdicts.note(WEB, TAKEN)
        assert (await wait_condition(store, ENTRY, PROGRAMMED, "ConfigRejected")).status is False


async def test_a_reconnect_in_time_writes_nothing(store: MemoryStore) -> None:
    other = await register(store, "other")
    verdicts = Verdicts(store, away=0.2)
    async with running(verdicts.run()):
        verdicts.note(WEB, ())
        await wait_condition(store, ENTRY, PROGRAMMED, "Programmed")
        before = await revision_of_entry(store)
        for here in (False, True, False, True):
            verdicts.note_presence(WEB, here)
        verdicts.note_presence(other.proxy, False)  # begins later, so is told later
        await wait_condition(store, entry_key("shop", "other"), PROGRAMMED, "ProxyDisconnected")
        assert await revision_of_entry(store) == before


async def revision_of_entry(store: MemoryStore) -> int:
    entry = await store.get(ENTRY)
    assert entry is not None
    return entry.revision


async def test_a_workload_that_is_gone_is_left_alone(store: MemoryStore) -> None:
    await delete(store, ENTRY)
    other = await register(store, "other")
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note(WEB, TAKEN)
        verdicts.note(other.proxy, TAKEN)
        await wait_condition(store, entry_key("shop", "other"), PROGRAMMED, "ConfigRejected")
    assert await store.get(ENTRY) is None


class Away(MemoryStore):
    """A store that cannot be reached the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 1

    async def get(self, key: Key) -> Resource | None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the store", "is away")
        return await super().get(key)


async def test_while_the_store_is_away_a_verdict_waits() -> None:
    store = Away()
    await register(store)
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note(WEB, TAKEN)
        await told(store, 1)
        store.failures = 0
        await wait_condition(store, ENTRY, PROGRAMMED, "ConfigRejected")


REGISTRATION = registration_key("shop", "web")


async def test_a_change_that_changes_nothing_is_not_written(store: MemoryStore) -> None:
    before = await store.revision()
    stored = await change_workload(store, REGISTRATION, lambda resource: resource)
    assert stored is not None
    assert not stored.changed
    assert await store.revision() == before


async def test_a_change_of_another_registration_of_that_name_is_none(store: MemoryStore) -> None:
    before = await store.revision()
    assert await change_workload(store, REGISTRATION, _labelled, uid="another") is None
    assert await store.revision() == before


async def test_an_entry_that_is_gone_leaves_its_registration_to_be_changed(store: MemoryStore) -> None:
    await delete(store, ENTRY)
    stored = await change_workload(store, REGISTRATION, _labelled)
    assert stored is not None
    assert (stored.entry, dict(stored.registration.labels)) == (None, {"seen": "yes"})


async def test_a_change_is_made_to_what_is_there_when_it_is_written(store: MemoryStore) -> None:
    """Somebody else writes between the first look and the write."""
    looks: list[int] = []

    def alter(resource: Resource) -> Resource:
        looks.append(resource.revision)
        return _labelled(resource)

    async with store.transaction() as tx:
        changing = asyncio.create_task(change_workload(store, REGISTRATION, alter))
        while not looks:
            await asyncio.sleep(0)
        stored = await tx.get(ENTRY)
        assert stored is not None
        await tx.update(replace(stored, body={"spec": {"address": "10.0.0.2"}}))
    changed = await changing
    assert changed is not None
    assert changed.entry is not None
    assert (changed.entry.spec["address"], dict(changed.entry.labels)) == ("10.0.0.2", {"seen": "yes"})


def _labelled(resource: Resource) -> Resource:
    return replace(resource, labels={"seen": "yes"})


async def test_a_change_that_keeps_conflicting_is_given_up(store: MemoryStore) -> None:
    tries: list[int] = []

    def alter(entry: Resource) -> Resource:
        tries.append(entry.revision)
        return Resource(entry.key, uid=entry.uid, revision=entry.revision + 1000)

    with pytest.raises(Conflict):
        await change_workload(store, REGISTRATION, alter)
    assert 2 < len(tries) < 20


async def test_a_finding_about_a_proxy_is_told_as_a_refusal_is_and_taken_back(store: MemoryStore) -> None:
    sidecar = Key("networking.istio.io", "Sidecar", "", "shop", "web")
    finding = Finding("OUT601", sidecar, "spec.egress[0].hosts[0]", "there is no service 'nobody'", "create it")
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note_findings(WEB, (finding,))
        condition = await wait_condition(store, ENTRY, PARTIALLY_INVALID, "ConfigIncomplete")
        assert (condition.status, condition.message) == (True, str(finding))
        (event,) = await told(store, 1)
        assert (event.body["reason"], event.body["message"]) == ("ConfigIncomplete", str(finding))
        verdicts.note_findings(WEB, ())
        assert (await wait_condition(store, ENTRY, PARTIALLY_INVALID, "ConfigComplete")).status is False
