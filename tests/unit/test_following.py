"""Following a store for ever: what is told where the log does not reach back, or the store was put back."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from outrig.control.following import Burst, follow
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType, Gone, Listing, Query

WEB = Resource(Key("", "Service", "", "shop", "web"), body={"spec": {"a": 1}}, uid="1", revision=5)


class Histories:
    """A store that shows one listing after another, and whose watches never reach back."""

    def __init__(self, *listings: Listing) -> None:
        self._listings = list(listings)

    async def list(self, _query: Query) -> Listing:
        return self._listings.pop(0)

    async def watch(self, _query: Query, _after: int) -> AsyncIterator[Sequence[Change]]:
        raise Gone("revision", "is of another history")
        yield ()


async def told(*listings: Listing) -> list[Burst]:
    """One burst for each listing."""
    source = follow(Histories(*listings), Query())
    return [await anext(source) for _ in listings]


async def test_what_differs_under_the_same_number_is_told() -> None:
    other = replace(WEB, body={"spec": {"a": 2}})
    first, second = await told(Listing((WEB,), 9), Listing((other,), 7))
    assert [(change.type, change.resource) for change in first.changes] == [(ChangeType.ADDED, WEB)]
    assert [(change.type, change.resource) for change in second.changes] == [(ChangeType.MODIFIED, other)]
    assert (second.revision, second.reread) == (7, True)


async def test_what_is_as_it_was_is_not_told_again() -> None:
    _, second = await told(Listing((WEB,), 9), Listing((replace(WEB),), 9))
    assert second.changes == ()


async def test_one_made_anew_under_the_same_name_is_deleted_and_added() -> None:
    anew = replace(WEB, uid="2")
    _, second = await told(Listing((WEB,), 9), Listing((anew,), 9))
    assert [(change.type, change.resource) for change in second.changes] == [
        (ChangeType.DELETED, WEB),
        (ChangeType.ADDED, anew),
    ]
