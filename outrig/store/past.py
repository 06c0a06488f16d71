"""What was there at a revision: what is there now, with the changes since then undone.

In: resources, changes. Out: resources. Refuses (Gone) changes that do not say what was there before them.
"""

from collections.abc import Iterable
from operator import attrgetter

from outrig.resources import Resource
from outrig.store.protocol import Change


def undone(items: Iterable[Resource], since: Iterable[Change]) -> tuple[Resource, ...]:
    """The resources before these changes, ordered by key. Of several changes of one, the first decides.

    Raises Gone.
    """
    found = {resource.key: resource for resource in items}
    first = {change.resource.key: change for change in sorted(since, key=attrgetter("revision"), reverse=True)}
    for key, change in first.items():
        if (before := change.undone()) is None:
            found.pop(key, None)
        else:
            found[key] = before
    return tuple(sorted(found.values(), key=attrgetter("key")))
