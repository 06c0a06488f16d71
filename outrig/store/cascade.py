"""Deleting a resource and what must not exist without it, in one transaction.

The rule is that of Kubernetes garbage collection: a resource goes when none of its owners exists any more, an owner
being the one with that key *and* uid. A Namespace takes with it everything in it, owned or not.
https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents
"""

from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import Query, Transaction


async def delete_with_dependents(
    tx: Transaction, key: Key, *, uid: str = "", revision: int = 0
) -> tuple[Resource, ...]:
    """Delete it and its dependents; gives the last state of each, the asked one first.

    Raises NotFound; Conflict where a given uid or revision differs.
    """
    deleted = [await tx.delete(key, uid=uid, revision=revision)]
    # The list grows while it is walked: each deletion may leave further resources without an owner.
    for gone in deleted:
        for dependent in await _dependents(tx, gone):
            deleted.append(await tx.delete(dependent))  # noqa: PERF401 - a comprehension would read `deleted` too early
    return tuple(deleted)


async def _dependents(tx: Transaction, gone: Resource) -> dict[Key, None]:
    """The keys of what must go too, each once, in order."""
    orphans = [owned for owned in await tx.owned_by(gone.uid) if not await _has_owner(tx, owned)]
    inhabitants = await tx.list(Query(namespace=gone.key.name)) if _is_namespace(gone.key) else ()
    return dict.fromkeys(resource.key for resource in (*orphans, *inhabitants))


async def _has_owner(tx: Transaction, owned: Resource) -> bool:
    for owner in owned.owners:
        if await _exists(tx, owner):
            return True
    return False


async def _exists(tx: Transaction, owner: Owner) -> bool:
    stored = await tx.get(owner.key)
    return stored is not None and stored.uid == owner.uid


def _is_namespace(key: Key) -> bool:
    return (key.group, key.kind) == ("", "Namespace")
