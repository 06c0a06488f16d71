"""A token that is revoked, or whose signing key is gone, ends the session that it was joined with; others live on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from outrig.control.bans import Bans, Revocations
from outrig.dialects.kuma.joined import Holder, holder_of
from outrig.resources import Key, Resource
from outrig.server.warrants import TokenWarrants
from outrig.store.memory import MemoryStore
from outrig.tokens.claims import DataplaneClaims, ZoneClaims
from outrig.tokens.jwt import kid_of
from outrig.tokens.keys import ZONE, dataplane_ring, secret_body
from outrig.tokens.tokens import Tokens, ensure_signing_key, rotate_signing_key
from outrig.wire.stream import Ban
from tests.unit.control_making import running, wait_resource

RING = dataplane_ring("default")
LISTS = {"Secret": RING.revocations[1], "GlobalSecret": RING.revocations[0]}


@dataclass
class Agents:
    """Remembers who was told."""

    told: list[str] = field(default_factory=list)

    def ban(self, registration: Key, message: Ban) -> bool:
        self.told.append(f"{registration.name}: {message.reason}")
        return True


@dataclass
class Scene:
    store: MemoryStore = field(default_factory=MemoryStore)
    tokens: Tokens = field(default_factory=Tokens)
    agents: Agents = field(default_factory=Agents)

    async def joined(self, name: str, *, mesh: str = "default", came: bool = True) -> Key:
        """A Dataplane that joined with a token whose id is its name; of no mesh: a ZoneIngress."""
        key = Key("kuma.io", "Dataplane" if mesh else "ZoneIngress", mesh, "", name)
        now = datetime.now(UTC)
        async with self.store.transaction() as tx:
            ring = dataplane_ring(mesh) if mesh else ZONE
            await ensure_signing_key(tx, ring)
            life = timedelta(hours=1)
            issued = (
                await self.tokens.issue_dataplane(tx, DataplaneClaims(mesh), now=now, lifetime=life)
                if mesh
                else await self.tokens.issue_zone(tx, ZoneClaims(""), now=now, lifetime=life)
            )
            holder = Holder(f"dataplane/{mesh}/{name}", kid_of(issued), name)
            await tx.create(Resource(key, body={}, annotations=holder.annotations(came=came)))
        return key

    async def put(self, key: Key, text: str) -> None:
        async with self.store.transaction() as tx:
            await tx.create(Resource(key, body=secret_body(text)))

    async def gone(self, key: Key) -> None:
        await wait_resource(self.store, key, lambda found: found is None)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    async with running(Bans(made.store, made.agents, Revocations(TokenWarrants(made.store, made.tokens))).run()):
        yield made


@pytest.mark.parametrize("listed", LISTS)
async def test_revoking_a_token_ends_its_session_and_no_other(scene: Scene, listed: str) -> None:
    first, second = await scene.joined("kv-1"), await scene.joined("kv-2")
    await scene.put(LISTS[listed], "x,kv-1")
    await scene.gone(first)
    assert scene.agents.told == ["kv-1: OUT150 token: it is revoked (ask for another)"]
    assert await scene.store.get(second)


async def test_deleting_a_signing_key_ends_what_it_has_signed(scene: Scene) -> None:
    old = await scene.joined("old")
    async with scene.store.transaction() as tx:
        await rotate_signing_key(tx, RING)
    new = await scene.joined("new")
    async with scene.store.transaction() as tx:
        await tx.delete(RING.key_of(1))
    await scene.gone(old)
    (told,) = scene.agents.told
    assert "there is no dataplane signing key with id 1" in told
    assert await scene.store.get(new)


async def test_zone_proxies_are_ended_by_their_own_list(scene: Scene) -> None:
    edge, other = await scene.joined("edge", mesh=""), await scene.joined("kv-1")
    await scene.put(ZONE.revocations[0], "edge,kv-1")
    await scene.gone(edge)
    assert await scene.store.get(other), "the list of zone tokens says nothing of data planes"


async def test_a_dataplane_that_somebody_wrote_stays_as_nobodys(scene: Scene) -> None:
    key = await scene.joined("written", came=False)
    before = await scene.store.get(key)
    await scene.put(LISTS["Secret"], "written")
    after = await wait_resource(scene.store, key, lambda found: found is not None and holder_of(found) is None)
    assert before
    assert after
    assert after.uid != before.uid, "certificates of the one before stand for nothing"


async def test_a_list_that_cannot_be_read_ends_nobody(scene: Scene) -> None:
    key, probe = await scene.joined("kv-1"), await scene.joined("edge", mesh="")
    async with scene.store.transaction() as tx:
        await tx.create(Resource(LISTS["Secret"], body={"data": "%%%"}))
    await scene.put(ZONE.revocations[0], "edge")
    await scene.gone(probe)  # what came later was carried out
    assert await scene.store.get(key)
