"""What a resource owns, near and far, and what of that holds its owners: for deletion in the foreground.

In: a transaction, a resource. Out: sets of resources, without change. Circles of owners end.
"""

from collections.abc import Collection, Mapping
from typing import Final

from outrig.resources import Owner, Resource
from outrig.store.protocol import Transaction

FOREGROUND: Final = "foregroundDeletion"
"""The finalizer of an owner that waits for what it owns. The control plane sets it and takes it away."""

Members = Mapping[str, Resource]
"""Resources by uid."""


async def owned_closure(tx: Transaction, root: Resource) -> Members:
    """The resource, and all that would have no owner without it and these, each after one of its owners."""
    members = {root.uid: root}
    waiting = [root.uid]
    for uid in waiting:
        for owned in await tx.owned_by(uid):
            if owned.uid not in members and not await has_owner(tx, owned, besides=members):
                members[owned.uid] = owned
                waiting.append(owned.uid)
    return members


def held_in(members: Members) -> frozenset[str]:
    """Those that cannot go yet: they have finalizers, or own something that cannot go and that blocks them.

    A circle in which nothing has finalizers holds nobody.
    """
    held = [uid for uid, member in members.items() if set(member.finalizers) - {FOREGROUND}]
    known = set(held)
    for uid in held:
        for owner in members[uid].owners:
            if owner.blocks and owner.uid in members and owner.uid not in known:
                held.append(owner.uid)
                known.add(owner.uid)
    return frozenset(known)


async def has_owner(tx: Transaction, owned: Resource, *, besides: Collection[str] = ()) -> bool:
    """Whether one of its owners exists; those of the uids `besides` do not count."""
    for owner in owned.owners:
        if owner.uid not in besides and await _exists(tx, owner):
            return True
    return False


async def _exists(tx: Transaction, owner: Owner) -> bool:
    stored = await tx.get(owner.key)
    return stored is not None and stored.uid == owner.uid
