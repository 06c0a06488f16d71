"""What Dataplanes offer, written down with them: so that it is known when none is left that offers it.

In: a Dataplane, within the transaction that stores it. Out: the Offers of its services.
"""

from outrig.dialects.kuma.offer import joined_by, offer_resource, offers_of
from outrig.resources import Resource
from outrig.store.protocol import Transaction


async def keep_offers(tx: Transaction, dataplane: Resource) -> None:
    """To be called within each transaction that stores a Dataplane. What is known already costs a look."""
    for key, ports in offers_of(dataplane).items():
        stored = await tx.get(key)
        if stored is None:
            await tx.create(offer_resource(key, ports))
        elif (now := joined_by(stored, ports)) is not stored:
            await tx.update(now)
