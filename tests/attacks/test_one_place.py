"""Of many who ask for one place at the same moment one gets it, on whichever replica, and keeps it; and keys that sign
tokens are made once.

Replicas have stores of their own on one database: what holds is that database's order of transactions, not a lock in
some process. SQLite has one process, PostgreSQL several.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outrig.admission.meshes import Meshes
from outrig.api.kuma.refusals import Refusal
from outrig.api.kuma.tokens import Issuing
from outrig.ca.authorities import utc_now
from outrig.ca.csr import key_hash
from outrig.ca.settings import CaSettings
from outrig.control.presence import arrived
from outrig.control.status import change_workload
from outrig.dialects.kuma.mesh import mesh_key
from outrig.dialects.onboarding.connection import agent_at
from outrig.resources import Key, Resource
from outrig.server.first_start import Defaults, write_defaults
from outrig.store.postgres import open_postgres
from outrig.store.protocol import AlreadyExists, Query, Store
from outrig.store.sqlite import open_sqlite
from outrig.tokens.keys import USER, ZONE, dataplane_ring, holds_signing_key
from outrig.tokens.tokens import Tokens
from tests.attacks.dataplane_scene import DataplaneScene, document, open_replica, open_scene, zone_document
from tests.attacks.scene import Caller
from tests.postgres_server import Server, postgres  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
RACERS = 4


@pytest.fixture(params=["sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Those of two replicas."""
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            one = await stack.enter_async_context(open_sqlite(tmp_path / "outrig.db"))
            yield one, one
            return
        server: Server = request.getfixturevalue("postgres")
        settings = await stack.enter_async_context(server.database())
        one, two = [await stack.enter_async_context(open_postgres(settings)) for _ in range(2)]
        yield one, two


@pytest.fixture
async def planes(stores: tuple[Store, Store]) -> AsyncIterator[tuple[DataplaneScene, DataplaneScene]]:
    one = await open_scene("", store=stores[0])
    two = await open_replica(one, stores[1])
    yield one, two
    for scene in (one, two):
        await scene.plane.client.aclose()
        await scene.plane.attestor.close()


async def race(planes: tuple[DataplaneScene, DataplaneScene], token: str, **how: Any) -> list[Caller]:
    """All join at once, in turn at either replica, each with a key of its own. Gives who got in."""
    callers = [Caller() for _ in range(RACERS)]
    joins = (planes[at % 2].join(token, caller=caller, **how) for at, caller in enumerate(callers))
    told = await asyncio.gather(*joins)
    assert sorted(answer.json().get("code", "in") for answer in told) == ["OUT128"] * (RACERS - 1) + ["in"]
    return [caller for caller, answer in zip(callers, told, strict=True) if answer.status_code == 200]


async def holders(scene: DataplaneScene, place: Key) -> set[str]:
    """The keys for which there are certificates of whoever has that place."""
    stored = await scene.plane.store.get(place)
    assert stored
    async with scene.plane.store.transaction() as tx:
        return {one.key_hash for one in await tx.identities(stored.uid)}


@pytest.mark.parametrize(
    ("place", "written", "join"),
    [
        (Key("kuma.io", "Dataplane", "default", "", "kv-1"), document(), {}),
        (Key("kuma.io", "ZoneIngress", "", "", "in-1"), zone_document("ZoneIngress", "in-1", "10.7.1.2"),
         {"proxyType": "ingress"}),
    ],
    ids=["data plane", "zone proxy"],
)  # fmt: skip
async def test_of_many_who_join_as_one_proxy_at_once_one_gets_in_and_again_when_it_is_away(
    planes: tuple[DataplaneScene, DataplaneScene], place: Key, written: dict[str, Any], join: dict[str, str]
) -> None:
    one, _ = planes
    token = await one.zone_token(zone="") if join else await one.token()
    (first,) = await race(planes, token, written=written, join=join)
    assert await holders(one, place) == {key_hash(first.key.public_key())}
    await one.plane.connect(place)
    refused = await planes[1].join(token, written, join=join)
    assert refused.json()["code"] == "OUT128", "it is connected to the other replica"
    await one.plane.connect(place, connected=False)
    (second,) = await race(planes, token, written=written, join=join)
    assert await holders(one, place) == {key_hash(second.key.public_key())}
    late = await one.join(token, written, caller=first, join=join)
    assert late.json()["code"] == "OUT128", "who lost its place does not push out who has it"


async def test_of_a_dataplane_that_somebody_wrote_one_becomes_the_proxy(
    planes: tuple[DataplaneScene, DataplaneScene],
) -> None:
    one, _ = planes
    text = {name: value for name, value in document().items() if name == "networking"}
    place = Key("kuma.io", "Dataplane", "default", "", "kv-1")
    await one.write(place, text)
    (first,) = await race(planes, await one.token(), join={"mesh": "default", "name": "kv-1"})
    assert await holders(one, place) == {key_hash(first.key.public_key())}


async def test_of_an_agent_that_comes_back_and_somebody_who_takes_its_place_one_is_first_whoever_is_where(
    planes: tuple[DataplaneScene, DataplaneScene],
) -> None:
    one, two = planes
    token, store = await one.token(), two.plane.store

    def return_to_two(resource: Resource) -> Resource:
        return arrived(resource, control_plane="two", now=utc_now())

    async def come_back(place: Key, uid: str, later: int) -> bool:
        for _ in range(later):
            await store.get(place)  # so that it meets the other at different moments
        return await change_workload(store, place, return_to_two, uid=uid) is not None

    for later in (0, 10, 40, 120):
        place = Key("kuma.io", "Dataplane", "default", "", f"kv-{later}")
        lost = (await one.join(token, document(place.name))).json()["uid"]
        await one.plane.connect(place, connected=False)
        is_back, told = await asyncio.gather(come_back(place, lost, later), one.join(token, document(place.name)))
        stored = await store.get(place)
        assert stored
        assert told.json().get("code", "in") == ("OUT128" if is_back else "in")
        assert (stored.uid == lost) is is_back
        assert agent_at(stored) == ("two" if is_back else "")


async def test_tokens_are_issued_while_replicas_make_the_keys_that_sign_them(stores: tuple[Store, Store]) -> None:
    """Each request gets a token, or is told what there is not yet; and of each purpose there is one key."""
    tokens, meshes = Tokens(), Meshes(CaSettings())
    defaults = Defaults(meshes, tokens)

    async def write_mesh(at: int) -> None:
        with suppress(AlreadyExists):  # the other was first
            async with stores[at].transaction() as tx:
                await meshes(tx, "new", await tx.create(Resource(mesh_key("new"))))

    async def issue(at: int, what: str, asked: dict[str, str]) -> tuple[str, str]:
        try:
            return what, await Issuing(stores[at], tokens, utc_now).issue(what, {"validFor": "1h", **asked})
        except Refusal as refusal:
            return what, "" if refusal.http_code == 400 else str(refusal)  # there is no key, or no mesh yet

    wanted = {"dataplane": {"mesh": "new"}, "zone": {"zone": ""}, "user": {"name": "anna"}}
    early, late, after = ([issue(at, *wish) for at in (0, 1) for wish in wanted.items()] for _ in range(3))
    makers = [make for at in (0, 1) for make in (write_defaults(stores[at], defaults, utc_now()), write_mesh(at))]
    issued, _, more = await asyncio.gather(*(asyncio.gather(*these) for these in (early, makers, late)))
    last = await asyncio.gather(*after)
    assert all(token for _, token in last), "there are keys by now"
    verify: dict[str, Callable[..., Awaitable[object]]] = {
        "dataplane": partial(tokens.verify_dataplane, mesh="new"),
        "zone": tokens.verify_zone,
        "user": tokens.verify_user,
    }
    for what, token in (*issued, *more, *last):
        if token:
            await verify[what](stores[1], token, now=utc_now())
    secrets = (await stores[0].list(Query(kinds=(("kuma.io", "Secret"), ("kuma.io", "GlobalSecret"))))).items
    keys = sorted(one.key.name for one in secrets if holds_signing_key(one.key))
    rings = (dataplane_ring("default"), dataplane_ring("new"), USER, ZONE)
    assert keys == sorted(ring.key_of(1).name for ring in rings)
