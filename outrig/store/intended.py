"""What a transaction is about to change, read as if it were so already, and written in the end.

In: a transaction, resources as they are to be. Out: resources with that applied; the last states of those that went.
However often a resource is thought over, it is written once: what goes is deleted and not changed before.
"""

from collections.abc import Iterable, Iterator

from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import Query, Transaction


class Intended:
    """The resources of a transaction as they are to be."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._changed: dict[Key, Resource | None] = {}

    async def get(self, key: Key) -> Resource | None:
        """The resource of that key."""
        return self._changed[key] if key in self._changed else await self._tx.get(key)

    async def owner(self, named: Owner) -> Resource | None:
        """The resource that is named as an owner, if it exists: the one with that key and uid."""
        found = None if named.unknown else await self.get(named.key)
        return found if found and found.uid == named.uid else None

    async def owned_by(self, owner: Resource) -> list[Resource]:
        """The resources that name it as an owner."""
        return [one for one in self._current(await self._tx.owned_by(owner.uid)) if any(references(one, owner))]

    async def within(self, namespace: str) -> list[Resource]:
        """The resources in a namespace."""
        return list(self._current(await self._tx.list(Query(namespace=namespace))))

    def put(self, resource: Resource) -> None:
        """It is to be so."""
        self._changed[resource.key] = resource

    def remove(self, key: Key) -> None:
        """It is to go, after all that was to go before."""
        self._changed.pop(key, None)
        self._changed[key] = None

    async def write(self) -> tuple[Resource, ...]:
        """Make it so. Gives the last states of what went, in order."""
        gone = []
        for key, wanted in self._changed.items():
            if wanted is None:
                gone.append(await self._tx.delete(key))
            else:
                await self._tx.update(wanted)
        self._changed = {}
        return tuple(gone)

    def _current(self, stored: Iterable[Resource]) -> Iterator[Resource]:
        for resource in stored:
            if (current := self._changed.get(resource.key, resource)) is not None:
                yield current


def references(owned: Resource, owner: Resource) -> Iterator[Owner]:
    """The references of a resource that are to that owner."""
    named = (owner.key, owner.uid)
    return (one for one in owned.owners if not one.unknown and (one.key, one.uid) == named)
