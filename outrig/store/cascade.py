"""Deleting a resource and what must not exist without it, in one transaction.

The rule is that of Kubernetes garbage collection: a resource goes when none of its owners exists any more, an owner
being the one with that key *and* uid. What has finalizers is only marked, and goes when the last of them does. A
Namespace that is to go does so last, when everything in it, owned or not, has gone.
https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from outrig.resources import Key, Owner, Resource
from outrig.store.closures import FOREGROUND, Members, has_owner, held_in, owned_closure
from outrig.store.emptying import is_namespace, namespace_key, with_remaining
from outrig.store.protocol import Query, Transaction


async def delete_with_dependents(
    tx: Transaction, key: Key, *, uid: str = "", revision: int = 0
) -> tuple[Resource, ...]:
    """Delete it and its dependents, whatever their finalizers; gives the last state of each, the asked one first.

    Raises NotFound; Conflict where a given uid or revision differs.
    """
    cascade = _Cascade(tx, datetime.now(UTC), forced=True)
    cascade.gone.append(await tx.delete(key, uid=uid, revision=revision))
    await cascade.settle()
    return tuple(cascade.gone)


async def take_away(tx: Transaction, found: Resource, *, now: datetime, foreground: bool = False) -> Resource:
    """Delete it as its finalizers allow; gives its last state, or the one with `deleting` set if it is still there.

    `foreground`: it stays until all has gone that it owns and that blocks it (`Owner.blocks`).
    """
    cascade = _Cascade(tx, now)
    if is_namespace(found.key):
        await cascade.empty(found)
    elif foreground:
        await cascade.drop_all(await owned_closure(tx, found))
    else:
        await cascade.drop(found)
    return await cascade.settled(found)


async def go_on(tx: Transaction, changed: Resource, *, now: datetime) -> Resource:
    """What becomes of a resource after a change: one that is to go does so as soon as nothing holds it any more."""
    if changed.deleting is None or set(changed.finalizers) - {FOREGROUND}:
        return changed
    if not changed.finalizers:
        return await take_away(tx, changed, now=now)
    cascade = _Cascade(tx, now)
    await cascade.release(Owner(changed.key, changed.uid, ""))
    return await cascade.settled(changed)


async def take_away_ownerless(tx: Transaction, found: Resource, *, now: datetime) -> bool:
    """Take away what names owners none of which exists; whether it was so."""
    if not found.owners or await has_owner(tx, found):
        return False
    await take_away(tx, found, now=now)
    return True


async def orphan_dependents(tx: Transaction, owner: Resource) -> None:
    """Let what it owns be owned by it no more, so that it stays."""
    for dependent in await tx.owned_by(owner.uid):
        kept = tuple(one for one in dependent.owners if one.uid != owner.uid)
        await tx.update(replace(dependent, owners=kept))


class _Cascade:
    """What has gone so far, and what follows from it. `forced`: finalizers hold nothing."""

    def __init__(self, tx: Transaction, now: datetime, *, forced: bool = False) -> None:
        self._tx, self._now, self._forced = tx, now, forced
        self.gone: list[Resource] = []

    async def settle(self) -> None:
        """Follow every deletion to its end: each may leave resources without an owner, or owners that waited for it."""
        walked = 0
        while walked < len(self.gone):
            fresh, walked = self.gone[walked:], len(self.gone)
            for gone in fresh:
                for dependent in await self._dependents(gone):
                    await self.drop(dependent)
                for owner in gone.owners:
                    await self.release(owner)
            if walked == len(self.gone):
                await self._finish(one.key.namespace for one in self.gone)

    async def settled(self, about: Resource) -> Resource:
        """Settle; gives the last state of a resource if it has gone, or the state it is in."""
        await self.settle()
        last = next((one for one in self.gone if one.uid == about.uid), None)
        return last or await self._tx.get(about.key) or about

    async def drop(self, found: Resource) -> None:
        """Delete it, or mark it where finalizers hold it."""
        if found.finalizers and not self._forced:
            await self._mark(found, found.finalizers)
        else:
            self.gone.append(await self._tx.delete(found.key))

    async def drop_all(self, members: Members) -> None:
        """Delete these, the owned before their owners; those that are held are marked, and wait for each other."""
        held = held_in(members)
        waiting = {owner.uid for uid in held for owner in members[uid].owners if owner.blocks}
        for uid, member in reversed(list(members.items())):
            if uid not in held:
                self.gone.append(await self._tx.delete(member.key))
            elif uid in waiting and FOREGROUND not in member.finalizers:
                await self._mark(member, (*member.finalizers, FOREGROUND))
            else:
                await self._mark(member, member.finalizers)

    async def release(self, owner: Owner) -> None:
        """Let an owner go that waited for what it owns, if nothing of that is left to wait for."""
        stored = await self._tx.get(owner.key)
        if stored is None or stored.uid != owner.uid or not stored.deleting or FOREGROUND not in stored.finalizers:
            return
        if not any(_blocks(owned, stored) for owned in await self._tx.owned_by(stored.uid)):
            rest = tuple(finalizer for finalizer in stored.finalizers if finalizer != FOREGROUND)
            await self.drop(await self._tx.update(replace(stored, finalizers=rest)))

    async def empty(self, namespace: Resource) -> None:
        """Take everything out of a Namespace, and it away; what holds it up stands in its status."""
        for inhabitant in await self._tx.list(Query(namespace=namespace.key.name)):
            await self.drop(inhabitant)
        left = await self._tx.list(Query(namespace=namespace.key.name))
        if left or namespace.finalizers:
            await self._tx.update(with_remaining(namespace, left, now=self._now))
        else:
            self.gone.append(await self._tx.delete(namespace.key))

    async def _finish(self, namespaces: Iterable[str]) -> None:
        for name in dict.fromkeys(namespaces):
            namespace = await self._tx.get(namespace_key(name)) if name else None
            if namespace is not None and namespace.deleting:
                await self.empty(namespace)

    async def _mark(self, found: Resource, finalizers: tuple[str, ...]) -> None:
        await self._tx.update(replace(found, deleting=found.deleting or self._now, finalizers=finalizers))

    async def _dependents(self, gone: Resource) -> Iterable[Resource]:
        """What must go too, each once, in order."""
        orphans = [owned for owned in await self._tx.owned_by(gone.uid) if not await has_owner(self._tx, owned)]
        inhabitants = await self._tx.list(Query(namespace=gone.key.name)) if is_namespace(gone.key) else ()
        return {resource.key: resource for resource in (*orphans, *inhabitants)}.values()


def _blocks(owned: Resource, owner: Resource) -> bool:
    return any(one.uid == owner.uid and one.blocks for one in owned.owners)
