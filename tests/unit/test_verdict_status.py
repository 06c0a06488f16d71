"""What proxies refuse becomes a condition of their entry and an Event, once."""

import asyncio

import pytest

from outrig.control.status import ACCEPTED, COMPLETE, Verdicts, change, entry_key
from outrig.dialects.conditions import condition_of
from outrig.errors import Finding
from outrig.resources import Key, Resource
from outrig.snapshot import LISTENER, ProxyId
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Conflict, Query, Transaction, Unavailable
from outrig.xds.subscription import Rejection
from tests.unit.control_making import BOUND, delete, register, running, wait_condition

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
        condition = await wait_condition(store, ENTRY, ACCEPTED.condition, "ProxyConfigRejected")
        message = "Listener inbound|9080: cannot bind '10.0.0.1:9080': Address already in use"
        assert (condition.status, condition.message) == (False, message)
        (event,) = await told(store, 1)
        assert (event.body["reason"], event.body["type"]) == ("ProxyConfigRejected", "Warning")
        assert event.body["message"] == message
        assert event.body["involvedObject"]["name"] == "web"


async def test_the_same_refusal_again_is_counted_when_it_came_back_and_else_not_written(store: MemoryStore) -> None:
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        for _ in range(2):
            verdicts.note(WEB, TAKEN)
            await wait_condition(store, ENTRY, ACCEPTED.condition, "ProxyConfigRejected")
        verdicts.note(WEB, ())
        assert (await wait_condition(store, ENTRY, ACCEPTED.condition, "Accepted")).status
        verdicts.note(WEB, TAKEN)
        await wait_condition(store, ENTRY, ACCEPTED.condition, "ProxyConfigRejected")
        (event,) = await told(store, 2)
        assert event.body["count"] == 2


async def test_a_proxy_that_refuses_nothing_is_not_written_about(store: MemoryStore) -> None:
    before = await store.revision()
    other = await register(store, "other")
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note(WEB, ())
        verdicts.note(other.proxy, TAKEN)
        await wait_condition(store, entry_key("shop", "other"), ACCEPTED.condition, "ProxyConfigRejected")
    entry = await store.get(ENTRY)
    assert entry is not None
    assert condition_of(entry.status, ACCEPTED.condition) is None
    assert entry.revision <= before


async def test_a_workload_that_is_gone_is_left_alone(store: MemoryStore) -> None:
    await delete(store, ENTRY)
    other = await register(store, "other")
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note(WEB, TAKEN)
        verdicts.note(other.proxy, TAKEN)
        await wait_condition(store, entry_key("shop", "other"), ACCEPTED.condition, "ProxyConfigRejected")
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
        await wait_condition(store, ENTRY, ACCEPTED.condition, "ProxyConfigRejected")


async def test_a_change_that_changes_nothing_is_not_written(store: MemoryStore) -> None:
    before = await store.revision()
    assert await change(store, ENTRY, lambda entry: entry) is not None
    assert await store.revision() == before


async def test_a_change_of_another_resource_of_that_name_is_none(store: MemoryStore) -> None:
    before = await store.revision()
    assert await change(store, ENTRY, lambda entry: Resource(entry.key, uid=entry.uid), uid="another") is None
    assert await store.revision() == before


async def test_a_change_is_made_to_what_is_there_when_it_is_written(store: MemoryStore) -> None:
    """Somebody else writes between the first look and the write."""
    looks: list[int] = []

    async def meddle(tx: Transaction) -> None:
        stored = await tx.get(ENTRY)
        assert stored is not None
        await tx.update(Resource(ENTRY, body={"spec": {"address": "10.0.0.2"}}, uid=stored.uid, owners=stored.owners))

    async with store.transaction() as tx:
        changing = asyncio.create_task(change(store, ENTRY, lambda entry: _labelled(entry, looks)))
        while not looks:
            await asyncio.sleep(0)
        await meddle(tx)
    changed = await changing
    assert changed is not None
    assert (changed.spec["address"], dict(changed.labels)) == ("10.0.0.2", {"seen": "yes"})
    assert len(looks) == 2


def _labelled(entry: Resource, looks: list[int]) -> Resource:
    looks.append(entry.revision)
    return Resource(
        entry.key, entry.body, labels={"seen": "yes"}, owners=entry.owners, uid=entry.uid, revision=entry.revision
    )


async def test_a_change_that_keeps_conflicting_is_given_up(store: MemoryStore) -> None:
    tries: list[int] = []

    def alter(entry: Resource) -> Resource:
        tries.append(entry.revision)
        return Resource(entry.key, uid=entry.uid, revision=entry.revision + 1000)

    with pytest.raises(Conflict):
        await change(store, ENTRY, alter)
    assert 2 < len(tries) < 20


async def test_a_finding_about_a_proxy_is_told_as_a_refusal_is_and_taken_back(store: MemoryStore) -> None:
    sidecar = Key("networking.istio.io", "Sidecar", "", "shop", "web")
    finding = Finding("OUT601", sidecar, "spec.egress[0].hosts[0]", "there is no service 'nobody'", "create it")
    verdicts = Verdicts(store)
    async with running(verdicts.run()):
        verdicts.note_findings(WEB, (finding,))
        condition = await wait_condition(store, ENTRY, COMPLETE.condition, "ProxyConfigIncomplete")
        assert (condition.status, condition.message) == (False, str(finding))
        (event,) = await told(store, 1)
        assert (event.body["reason"], event.body["message"]) == ("ProxyConfigIncomplete", str(finding))
        verdicts.note_findings(WEB, ())
        assert (await wait_condition(store, ENTRY, COMPLETE.condition, "Complete")).status
