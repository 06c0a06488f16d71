"""What Dataplanes offered is known for an hour after the last of them is gone."""

from datetime import UTC, datetime, timedelta

import pytest

from outrig.admission.offers import keep_offers
from outrig.dialects.kuma.offer import GRACE, OFFER
from outrig.resources import Key, Resource
from outrig.server.pruning import review_offers
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Listing, Query
from tests.mesh_making import added, dataplane, deleted, tagged, world_of
from tests.unit import kuma_making
from tests.unit.kuma_making import serving

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KV = Key("outrig.internal", "Offer", "default", "", "kv")
SECOND = timedelta(seconds=1)


class Kept:
    """A store and a world that know the same Dataplanes."""

    def __init__(self) -> None:
        self.store, self.world = MemoryStore(), world_of()

    async def come(self, one: Resource) -> None:
        async with self.store.transaction() as tx:
            await keep_offers(tx, one)
        self.world.apply(added(one))

    def go(self, one: Resource) -> None:
        self.world.apply(deleted(one))

    async def review(self, now: datetime = NOW) -> None:
        await review_offers(self.store, self.world, now)

    async def kv(self) -> Resource | None:
        return await self.store.get(KV)

    async def ports(self) -> list[tuple[int, str]]:
        stored = await self.kv()
        assert stored
        return [(one["port"], one["protocol"]) for one in stored.body["ports"]]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def kv(name: str = "kv-1", *inbounds: tuple[int, str]) -> Resource:
    return dataplane(name, "10.0.0.1", inbound=[tagged("kv", *one) for one in inbounds or ((6379, "http"),)])


async def test_a_dataplane_is_written_with_what_it_offers_and_the_next_of_its_kind_adds_nothing(kept: Kept) -> None:
    several = [tagged("kv", 6379), tagged("kv", 6380, "tcp"), {**tagged("off", 7000), "state": "Ignored"}]
    await kept.come(dataplane("kv-1", "10.0.0.1", inbound=[*several, tagged("lines", 9000, "kafka")]))
    assert {one.key.name for one in (await kept.store.list(Query())).items} == {"kv", "lines"}
    assert await kept.ports() == [(6379, "http"), (6380, "tcp")]
    revision = await kept.store.revision()
    await kept.come(kv("kv-2"))
    assert await kept.store.revision() == revision


async def test_who_offers_something_new_is_believed(kept: Kept) -> None:
    await kept.come(kv())
    await kept.come(kv("kv-2", (7000, "grpc")))
    assert await kept.ports() == [(7000, "grpc")]
    await kept.review()
    assert await kept.ports() == [(6379, "http"), (7000, "grpc")]  # both are there
    kept.go(kv())
    await kept.review()
    assert await kept.ports() == [(7000, "grpc")]


async def test_it_goes_an_hour_after_the_last_one_and_not_before(kept: Kept) -> None:
    await kept.come(kv())
    await kept.review(NOW - 9 * GRACE)
    revision = await kept.store.revision()
    await kept.review(NOW - 8 * GRACE)
    assert await kept.store.revision() == revision
    kept.go(kv())
    await kept.review(NOW)
    await kept.review(NOW + GRACE - SECOND)
    assert await kept.kv()
    await kept.review(NOW + GRACE)
    assert await kept.kv() is None


async def test_the_hour_begins_anew_for_one_that_was_back(kept: Kept) -> None:
    await kept.come(kv())
    kept.go(kv())
    await kept.review(NOW)
    await kept.come(kv())
    kept.go(kv())
    await kept.review(NOW + GRACE)
    assert await kept.kv()
    await kept.review(NOW + 2 * GRACE)
    assert await kept.kv() is None


async def test_one_that_comes_while_it_is_looked_at_is_not_forgotten(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.come(kv())
    kept.go(kv())
    await kept.review(NOW)
    listing = await kept.store.list(Query())
    await kept.come(kv())
    kept.go(kv())  # as the world sees it, which is behind

    async def before(_query: Query) -> Listing:
        return listing

    monkeypatch.setattr(kept.store, "list", before)
    await kept.review(NOW + GRACE)
    assert await kept.kv()


async def test_a_dataplane_that_is_written_keeps_what_it_offers_and_its_mesh_takes_that_along() -> None:
    async with serving() as api:
        await api.written("/meshes/bank", kuma_making.mesh("bank"))
        await api.written("/meshes/bank/dataplanes/kv-1", kuma_making.dataplane(mesh="bank"))
        await api.delete("/meshes/bank/dataplanes/kv-1")
        assert [one.key.name for one in (await api.store.list(Query(kinds=((OFFER.group, OFFER.name),)))).items] == [
            "kv"
        ]
        await api.delete("/meshes/bank")
        assert (await api.store.list(Query(mesh="bank"))).items == ()
