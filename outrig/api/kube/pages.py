"""Lists page by page: `limit`, and `continue` for the rest, as `kubectl get --chunk-size` asks.

In: what is shown, a query, a selection, how much of it is wanted and, if not the present one, of which state. Out: a
`Page`. All pages of a list are of one state, which is kept for a minute after each page; what is not kept, or never
was because another replica gave the token, is found again in the store's log.
Refuses (400) a token that is none; (410) one from another history of the store, or a state that the log has forgotten.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from outrig.api.kube.selectors import Selection
from outrig.api.kube.shown import Shown
from outrig.api.refusals import ApiError, bad_request
from outrig.resources import Resource
from outrig.store.protocol import Listing, Query

KEPT_SECONDS: Final = 60.0
KEPT_LISTS: Final = 8


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list. `token`: where it goes on, empty at its end. `remaining`: how many follow; None: not counted."""

    items: Sequence[Resource]
    revision: int
    token: str = ""
    remaining: int | None = None

    def metadata(self) -> dict[str, Any]:
        """The `metadata` of the list (meta/v1 ListMeta)."""
        rest = {"continue": self.token, "remainingItemCount": self.remaining} if self.token else {}
        return {"resourceVersion": str(self.revision)} | {field: value for field, value in rest.items() if value}


@dataclass(frozen=True, slots=True)
class Place:
    """What a token says: which state of the store was listed, and after which object to go on."""

    epoch: str
    revision: int
    namespace: str
    name: str

    def token(self) -> str:
        """The text for clients, which is opaque to them."""
        told = [self.epoch, self.revision, self.namespace, self.name]
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def place_of(token: str) -> Place:
    """What a token says. Raises ApiError (400)."""
    try:
        told = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        told = None
    match told:
        case [str(epoch), int(revision), str(namespace), str(name)] if type(revision) is int and 0 <= revision < 2**63:
            return Place(epoch, revision, namespace, name)
    raise bad_request("continue key is not valid: give it as the list before gave it, or list from the beginning")


class Pages:
    """Lists of one kind each."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._kept: dict[object, Listing] = {}

    async def read(
        self, query: Query, selection: Selection, *, at: int | None = None, limit: int = 0, token: str = ""
    ) -> Page:
        """The objects after the token's, at most `limit` (0: all), in the state `at`; None: the token's, or this one.

        Raises ApiError, and what a store raises.
        """
        place = place_of(token) if token else None
        listing = await self._listing(query, selection, place=place, at=at)
        items = [one for one in listing.items if _comes_after(one, place)] if place else listing.items
        page = items[:limit] if limit else items
        if len(page) == len(items):
            return Page(page, listing.revision)
        last = page[-1].key
        after = Place(await self._shown.epoch(), listing.revision, last.namespace, last.name)
        self._keep(_name(query, selection, listing.revision), listing)
        counted = not (selection.labels or selection.fields)
        return Page(page, listing.revision, after.token(), len(items) - len(page) if counted else None)

    async def _listing(self, query: Query, selection: Selection, *, place: Place | None, at: int | None) -> Listing:
        revision, epoch = (place.revision, place.epoch) if place else (at, "")
        if revision is None:
            found = await self._shown.list(query)
        elif kept := self._kept.get(_name(query, selection, revision)):
            return kept
        else:
            found = await self._shown.list_at(query, revision, epoch=epoch)
        return Listing(tuple(filter(selection, found.items)), found.revision)

    def _keep(self, name: object, listing: Listing) -> None:
        while len(self._kept) >= KEPT_LISTS and name not in self._kept:
            del self._kept[next(iter(self._kept))]
        if name not in self._kept:
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._kept.pop, name, None)
        self._kept[name] = listing


def too_large(revision: int, current: int) -> ApiError:
    """A client knows of a state that the store has not: clients then list without a revision."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {revision}, current: {current}"
    return ApiError("Timeout", message, details={"causes": [cause], "retryAfterSeconds": 1})


def _name(query: Query, selection: Selection, revision: int) -> object:
    return query.kinds, query.namespace, selection, revision


def _comes_after(resource: Resource, place: Place) -> bool:
    return (resource.key.namespace, resource.key.name) > (place.namespace, place.name)
