"""Whatever is written and deleted in whatever order: nothing waits for nothing, and nobody goes who has an owner."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrig.resources import Key, Owner, Resource
from outrig.store.cascade import BACKGROUND, FOREGROUND, ORPHAN, delete_with_dependents, go_on, take_away
from outrig.store.emptying import is_namespace
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query, Transaction

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FINALIZER = "example.com/cleanup"
HOME = Key("", "Namespace", "", "", "home")
KEYS = (HOME, Key("", "Role", "", "", "x"), *(Key("", "Thing", "", "home", name) for name in "abc"))
AMONG = st.sampled_from(KEYS)

Everything = dict[Key, Resource]


@dataclass(frozen=True, slots=True)
class Write:
    """Create or update: owners by key, with whether they are blocked; None: as they are.

    `unknown`: the owners are such that nobody knows whether they exist.
    """

    key: Key
    owners: tuple[tuple[Key, bool], ...] | None
    finalizers: tuple[str, ...] = ()
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Deletion:
    """`policy` as of `take_away`; `forced`: as the control plane deletes."""

    key: Key
    policy: str | None
    forced: bool


FINALIZERS = st.sampled_from([(), (), (), (FINALIZER,), (FINALIZER,), (ORPHAN,), (FOREGROUND,)])
BLOCKS = st.sampled_from([True, True, False])
OWNERS = st.lists(st.tuples(AMONG, BLOCKS), max_size=2, unique_by=lambda owner: owner[0]).map(tuple)
FREEINGS = st.builds(Write, AMONG, st.none())
CHANGES = st.builds(Write, AMONG, OWNERS, FINALIZERS, st.sampled_from([False, False, False, False, True]))
POLICIES = st.sampled_from([FOREGROUND, FOREGROUND, FOREGROUND, BACKGROUND, ORPHAN, None])
DELETIONS = st.builds(Deletion, AMONG, POLICIES, st.sampled_from([False, False, False, False, True]))
NEW = [Write(key, ()) for key in KEYS]
FIRST = st.tuples(*(st.builds(Write, st.just(key), OWNERS, FINALIZERS) for key in KEYS))
STEPS = st.lists(FREEINGS | CHANGES | DELETIONS, min_size=2, max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(FIRST, STEPS)
def test_every_write_and_deletion_settles_within_its_transaction(
    first: tuple[Write, ...], steps: list[Write | Deletion]
) -> None:
    asyncio.run(_all_settle([*NEW, *first, *steps]))


async def _all_settle(steps: Sequence[Write | Deletion]) -> None:
    store = MemoryStore()
    for step in steps:
        before = await _everything(store)
        async with store.transaction() as tx:
            asked = await (_write(tx, step) if isinstance(step, Write) else _delete(tx, step))
            written = {one.key: one for one in await tx.list(Query())}
        _check_nothing_hangs(written)
        _check_nobody_is_lost(before, written, asked)


async def _everything(store: MemoryStore) -> Everything:
    return {one.key: one for one in (await store.list(Query())).items}


async def _write(tx: Transaction, step: Write) -> Resource | None:
    """Write it as the API would; gives it as written, None where that would be refused."""
    before, home = await tx.get(step.key), await tx.get(HOME)
    if before is None and step.key.namespace and (home is None or home.deleting):
        return None
    kept = before.owners if before else ()
    owners = kept if step.owners is None else tuple([await _owner(tx, step, *named) for named in step.owners])
    finalizers = tuple(one for one in step.finalizers if not (before and before.deleting) or one in before.finalizers)
    wanted = replace(before or Resource(step.key), owners=owners, finalizers=finalizers)
    written = await (tx.update(wanted) if before else tx.create(wanted))
    await go_on(tx, written, before=before, now=NOW)
    return written


async def _owner(tx: Transaction, step: Write, key: Key, blocks: bool) -> Owner:
    found = await tx.get(key)
    unknown = step.unknown or bool(key.namespace and not step.key.namespace)
    return Owner(key, found.uid if found else "none", "v1", blocks=blocks, unknown=unknown)


async def _delete(tx: Transaction, step: Deletion) -> Resource | None:
    """Delete it; gives it as it was, without owners as it goes in spite of them."""
    found = await tx.get(step.key)
    if found is None:
        return None
    if step.forced:
        await delete_with_dependents(tx, step.key)
    else:
        gone = await take_away(tx, found, now=NOW, policy=step.policy)
        assert gone.uid == found.uid
    return replace(found, owners=())


def _check_nothing_hangs(now: Everything) -> None:
    for one in now.values():
        if one.deleting:
            assert ORPHAN not in one.finalizers
            assert _is_held(one, now) or _is_blocked(one, now), f"{one.key} hangs"
        else:
            assert all(_stays(owner, now) for owner in one.owners), f"{one.key} names who does not stay"
            assert HOME not in now or not (one.key.namespace and now[HOME].deleting)
        assert not one.key.namespace or HOME in now


def _check_nobody_is_lost(before: Everything, now: Everything, asked: Resource | None) -> None:
    """Who was asked for may go, whoever is in a Namespace that goes, and whoever has no owner that stays."""
    named = {**before, asked.key: asked} if asked else before
    home = now.get(HOME)
    for one in named.values():
        stays_here = one.key in now and not now[one.key].deleting
        if stays_here or _was_going(one, before) or (one.key.namespace and (home is None or home.deleting)):
            continue
        assert one is asked or one.owners, f"{one.key} went without reason"
        staying = (owner for owner in one.owners if _stays(owner, now) and not (asked and owner.uid == asked.uid))
        kept_by = [owner.key for owner in staying if not _passed(owner, before, now)]
        assert not kept_by, f"{one.key} went in spite of {kept_by}"


def _was_going(one: Resource, before: Everything) -> bool:
    return one.key in before and before[one.key].deleting is not None


def _passed(owner: Owner, before: Everything, now: Everything) -> bool:
    """Whether it may have waited for what it owns meanwhile: since before, or within the transaction."""
    was, found = before.get(owner.key), now.get(owner.key)
    return not owner.unknown and (
        (was is not None and was.deleting is not None and FOREGROUND in was.finalizers)
        or (found is not None and found.deleting is not None and (was is None or was.deleting is None))
    )


def _exists(owner: Owner, now: Everything) -> Resource | None:
    found = now.get(owner.key)
    return found if found and found.uid == owner.uid else None


def _stays(owner: Owner, now: Everything) -> bool:
    if owner.unknown:
        return True
    found = _exists(owner, now)
    return found is not None and not (found.deleting and FOREGROUND in found.finalizers)


def _is_held(one: Resource, now: Everything) -> bool:
    inside = is_namespace(one.key) and any(other.key.namespace for other in now.values())
    return FINALIZER in one.finalizers or inside or not one.deleting


def _is_blocked(one: Resource, now: Everything) -> bool:
    """Whether what blocks it, near or far, is held."""
    reached = _blocking([one], now)
    while more := [other for other in _blocking(reached, now) if other not in reached]:
        reached += more
    return FOREGROUND in one.finalizers and any(_is_held(other, now) for other in reached)


def _blocking(owners: Iterable[Resource], now: Everything) -> list[Resource]:
    uids = {owner.uid for owner in owners}
    named = ((other, owner) for other in now.values() for owner in other.owners)
    return [other for other, owner in named if owner.blocks and not owner.unknown and owner.uid in uids]
