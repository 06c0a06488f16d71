"""Which identities the certificate of a Dataplane has: `status.certified`, written down as it is issued.

In: a Dataplane and its certificate's identities. Out: the Dataplane with them; whether its tags now make others.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from outrig.dialects.kuma.dataplane import dataplane_identities
from outrig.resources import Resource

CERTIFIED: Final = "certified"


def with_certified(dataplane: Resource, identities: Iterable[str]) -> Resource:
    """It has a certificate of these identities."""
    return replace(dataplane, status={**dataplane.status, CERTIFIED: sorted(identities)})


def is_outdated(dataplane: Resource) -> bool:
    """Whether its certificate has other identities than its tags make. What nothing is known of has the right ones."""
    certified = dataplane.status.get(CERTIFIED)
    return isinstance(certified, list | tuple) and list(certified) != sorted(dataplane_identities(dataplane))
