"""What an installation has from its first start on: the namespace `default`."""

from outrig.dialects.core import NAMESPACE
from outrig.resources import Key, Resource
from outrig.store.protocol import Store

DEFAULT_NAMESPACE = Key(NAMESPACE.group, NAMESPACE.name, "", "", "default")


async def write_defaults(store: Store) -> None:
    """Create what is missing; safe to run again."""
    async with store.transaction() as tx:
        if await tx.get(DEFAULT_NAMESPACE) is None:
            await tx.create(Resource(DEFAULT_NAMESPACE, body={"spec": {}}))
