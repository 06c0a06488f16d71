"""Deleting a resource and what must not exist without it, in one transaction.

The rules are those of Kubernetes garbage collection. A resource goes when no owner stays that it names: one with that
key *and* uid, which is not itself waiting for what it owns to go first. Beside an owner that stays, those that do not
are named no longer. What has finalizers is only marked, and goes when the last of them does; two of them are kept here:
`orphan` (what it owns is let go of, and stays) and `foregroundDeletion` (what it owns goes first, and it waits for what
blocks it). A Namespace that is to go does so last, when everything in it, owned or not, has gone.
https://kubernetes.io/docs/concepts/architecture/garbage-collection/

Whichever write brings any of that about, what follows is done in its transaction: nothing waits for a later look.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from outrig.resources import Key, Owner, Resource
from outrig.store.disowning import with_owners
from outrig.store.emptying import is_namespace, namespace_key, with_remaining
from outrig.store.intended import Intended, references
from outrig.store.protocol import Transaction

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
BACKGROUND: Final = ""
"""Neither of them: what it owns goes afterwards."""


async def delete_with_dependents(
    tx: Transaction, key: Key, *, uid: str = "", revision: int = 0
) -> tuple[Resource, ...]:
    """Delete it and its dependents, whatever their finalizers; gives the last state of each, the asked one first.

    Raises NotFound; Conflict where a given uid or revision differs.
    """
    cascade = _Cascade(tx, datetime.now(UTC), forced=True)
    asked = await tx.delete(key, uid=uid, revision=revision)
    await cascade.leave(asked)
    return (asked, *await cascade.settle())


async def take_away(tx: Transaction, found: Resource, *, now: datetime, policy: str | None = None) -> Resource:
    """Delete it as its finalizers allow; gives its last state, or the one with `deleting` set if it is still there.

    `policy`: what becomes of what it owns, ORPHAN, FOREGROUND or BACKGROUND, also where it is marked already; None:
    what its finalizers say.
    """
    cascade = _Cascade(tx, now)
    cascade.mark(found, policy)
    return await cascade.settled(found)


async def go_on(tx: Transaction, changed: Resource, *, before: Resource | None, now: datetime) -> Resource:
    """What becomes of a resource after a write: it goes if no owner stays that it was given, or if it is marked and
    nothing holds it any more; so do owners that waited for it. `before`: what was there; None: it is new.
    """
    given = before.owners if before else ()
    if not changed.deleting and changed.owners == given:
        return changed
    cascade = _Cascade(tx, now)
    cascade.look_at(changed.key)
    await cascade.look_at_marked(given)
    return await cascade.settled(changed)


class _Cascade:
    """What is still to be looked at, and what is to come of it. `forced`: finalizers hold nothing that lost its owners.

    Each look takes something away: a resource, a mark's absence, a finalizer or a reference; so it comes to an end.
    """

    def __init__(self, tx: Transaction, now: datetime, *, forced: bool = False) -> None:
        self._tx, self._now, self._forced = tx, now, forced
        self._intended = Intended(tx)
        self._queue: OrderedDict[Key, None] = OrderedDict()
        self._emptier: OrderedDict[str, None] = OrderedDict()
        self._bereft: set[Key] = set()

    async def settle(self) -> tuple[Resource, ...]:
        """Follow everything to its end, and write it; gives the last states of what went, in order."""
        while self._queue or self._emptier:
            if self._queue:
                key, _ = self._queue.popitem(last=False)
            else:
                key = namespace_key(self._emptier.popitem(last=False)[0])
            if (found := await self._intended.get(key)) is not None:
                await self._look(found)
        return await self._intended.write()

    async def settled(self, about: Resource) -> Resource:
        """Settle; gives the last state of a resource if it has gone, or the state it is in."""
        gone = await self.settle()
        last = next((one for one in gone if one.uid == about.uid), None)
        return last or await self._tx.get(about.key) or about

    def look_at(self, *keys: Key) -> None:
        """See in time what follows for these."""
        for key in keys:
            self._queue.setdefault(key)

    async def look_at_marked(self, named: Iterable[Owner]) -> None:
        """The same for those owners that are to go, and may have waited for what named them."""
        for one in named:
            if (owner := await self._intended.owner(one)) and owner.deleting:
                self.look_at(owner.key)

    def mark(self, found: Resource, policy: str | None = None) -> None:
        """It is to go."""
        if policy is not None:
            rest = (one for one in found.finalizers if one not in (ORPHAN, FOREGROUND))
            found = replace(found, finalizers=(*rest, policy) if policy else tuple(rest))
        self._intended.put(replace(found, deleting=found.deleting or self._now))
        self.look_at(found.key)

    async def leave(self, gone: Resource) -> None:
        """See what follows for those that it leaves behind."""
        bereft = [owned.key for owned in await self._intended.owned_by(gone)]
        self.look_at(*bereft)
        self._bereft.update(bereft)
        await self.look_at_marked(gone.owners)
        if is_namespace(gone.key):
            for inhabitant in await self._intended.within(gone.key.name):
                await self._drop(inhabitant)
        elif gone.key.namespace:
            self._emptier.setdefault(gone.key.namespace)

    async def _look(self, found: Resource) -> None:
        is_forced = self._forced and found.key in self._bereft
        await (self._let_go(found) if found.deleting and not is_forced else self._judge(found))

    async def _judge(self, found: Resource) -> None:
        """It stays for the owners that stay. If there are none it goes, and in the foreground if they go so."""
        owners = [(named, await self._intended.owner(named)) for named in found.owners]
        staying = tuple(named for named, owner in owners if named.unknown or (owner and not _waits(owner)))
        if staying:
            self._intended.put(with_owners(found, staying))
        elif any(owner for _, owner in owners) and await self._intended.owned_by(found):
            await self._drop(found, FOREGROUND)
        elif found.owners:
            await self._drop(found)

    async def _drop(self, found: Resource, policy: str | None = None) -> None:
        if self._forced:
            await self._remove(found)
        else:
            self.mark(found, policy)

    async def _remove(self, found: Resource) -> None:
        self._intended.remove(found.key)
        await self.leave(found)

    async def _let_go(self, found: Resource) -> None:
        """Take away what is marked, if nothing holds it."""
        inside = await self._inside(found)
        over: set[str] = set()
        if ORPHAN in found.finalizers:
            await self._orphan(await self._intended.owned_by(found), found)
            over.add(ORPHAN)
        if FOREGROUND in found.finalizers and await self._is_alone(found):
            over.add(FOREGROUND)
        left = tuple(one for one in found.finalizers if one not in over)
        if not left and not inside:
            await self._remove(found)
            return
        left_over = replace(found, finalizers=left)
        self._intended.put(with_remaining(left_over, inside) if is_namespace(found.key) else left_over)

    async def _orphan(self, owned: Collection[Resource], owner: Resource) -> None:
        for one in owned:
            let_go_of = set(references(one, owner))
            self._intended.put(with_owners(one, tuple(named for named in one.owners if named not in let_go_of)))

    async def _is_alone(self, owner: Resource) -> bool:
        """Whether nothing is left that it must wait for. What it owns and is not yet to go is looked at before."""
        if undecided := [one.key for one in await self._intended.owned_by(owner) if not one.deleting]:
            self.look_at(*undecided, owner.key)
            return False
        return not await self._is_blocked(owner)

    async def _is_blocked(self, owner: Resource) -> bool:
        """Whether something that blocks it, near or far, is held. Those that only wait for each other are not."""
        known, waiting = {owner.uid}, [owner]
        for one in waiting:
            for owned in await self._intended.owned_by(one):
                if owned.uid in known or not any(named.blocks for named in references(owned, one)):
                    continue
                if await self._is_held(owned):
                    return True
                known.add(owned.uid)
                waiting.append(owned)
        return False

    async def _is_held(self, found: Resource) -> bool:
        """Whether it stays for other reasons than what it owns."""
        if not found.deleting or set(found.finalizers) - {FOREGROUND}:
            return True
        return is_namespace(found.key) and bool(await self._intended.within(found.key.name))

    async def _inside(self, found: Resource) -> list[Resource]:
        """What is left in a Namespace that is to go. All of it is to go; then the Namespace is looked at again."""
        inside = await self._intended.within(found.key.name) if is_namespace(found.key) else []
        if fresh := [one for one in inside if not one.deleting]:
            for inhabitant in fresh:
                self.mark(inhabitant, BACKGROUND)
            self._emptier.setdefault(found.key.name)
        return inside


def _waits(owner: Resource) -> bool:
    return bool(owner.deleting) and FOREGROUND in owner.finalizers
