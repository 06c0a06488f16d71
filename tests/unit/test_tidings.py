"""Events of the control plane about workloads: which there are, and that they stay few."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from outrig.control.status import change_workload
from outrig.control.tidings import tell_left
from outrig.dialects.onboarding.connection import with_agent
from outrig.dialects.readiness import ReadyReason, with_readiness
from outrig.resources import Key, Owner, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GROUP = Key("networking.istio.io", "WorkloadGroup", "", "shop", "ratings")
REGISTRATION = Key("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", "shop", "ratings-1")
ENTRY = Key("networking.istio.io", "WorkloadEntry", "", "shop", "ratings-1")
DATAPLANE = Key("kuma.io", "Dataplane", "default", "", "web-1")


async def _stored(*resources: Resource) -> MemoryStore:
    store = MemoryStore()
    async with store.transaction() as tx:
        for resource in resources:
            await tx.create(resource)
    return store


@pytest.fixture
async def store() -> MemoryStore:
    owner = Owner(GROUP, "the uid of the group", "networking.istio.io/v1")
    return await _stored(Resource(REGISTRATION, owners=(owner,)), Resource(ENTRY))


async def _events(store: MemoryStore) -> dict[tuple[str, str], dict[str, Any]]:
    """By kind and reason."""
    found = await store.list(Query(kinds=(("", "Event"),)))
    return {(event.body["involvedObject"]["kind"], event.body["reason"]): dict(event.body) for event in found.items}


async def _become(store: MemoryStore, registration: Key, *reasons: ReadyReason, message: str = "") -> None:
    for reason in reasons:
        await change_workload(store, registration, partial(with_readiness, reason=reason, now=NOW, message=message))


async def test_a_workload_that_becomes_ready_and_unhealthy_again_and_again_has_two_events(store: MemoryStore) -> None:
    await _become(store, REGISTRATION, *(ReadyReason.READY, ReadyReason.UNHEALTHY) * 5)
    events = await _events(store)
    assert {kind: (event["type"], event["count"]) for kind, event in events.items()} == {
        ("WorkloadEntry", "Ready"): ("Normal", 5),
        ("WorkloadEntry", "Unhealthy"): ("Warning", 5),
    }


async def test_what_is_said_again_or_in_other_words_is_no_news(store: MemoryStore) -> None:
    await _become(store, REGISTRATION, ReadyReason.UNHEALTHY, message="HTTP 500")
    before = await _events(store)
    await _become(store, REGISTRATION, ReadyReason.UNHEALTHY, message="HTTP 503")
    assert await _events(store) == before
    assert "HTTP 500" in before["WorkloadEntry", "Unhealthy"]["message"]


async def test_a_workload_that_only_starts_has_nothing_to_tell(store: MemoryStore) -> None:
    await _become(store, REGISTRATION, ReadyReason.STARTING)
    assert await _events(store) == {}


async def test_the_group_is_told_once_who_joined_and_who_left(store: MemoryStore) -> None:
    for _ in range(2):
        await change_workload(store, REGISTRATION, lambda found: with_agent(found, control_plane="cp", now=NOW))
    registration = await store.get(REGISTRATION)
    assert registration is not None
    async with store.transaction() as tx:
        await tell_left(tx, registration, well=False, now=NOW + timedelta(minutes=5))
    events = await _events(store)
    assert events["WorkloadGroup", "Joined"]["count"] == 1
    assert events["WorkloadGroup", "Joined"]["involvedObject"]["uid"] == "the uid of the group"
    assert events["WorkloadGroup", "Left"]["message"] == "ratings-1 was removed: its agent did not come back"


async def test_a_dataplane_is_told_of_where_kubectl_shows_it() -> None:
    store = await _stored(Resource(DATAPLANE))
    await _become(store, DATAPLANE, ReadyReason.READY, ReadyReason.DRAINING)
    events = await _events(store)
    assert set(events) == {("WorkloadEntry", "Ready"), ("WorkloadEntry", "Draining")}
    assert {event["involvedObject"]["namespace"] for event in events.values()} == {"kuma-default"}
