"""Watch: the changes of a kind as a stream of JSON lines.

In: what is shown, what of it is watched, from where. Out: an endless response that ends with its time, its client or
the server. An idle watcher waits and does nothing. A revision that the log no longer reaches is told in the stream
(ERROR, 410 Expired), after which clients list again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from outrig.api.kube.catalog import Target
from outrig.api.kube.forms import Form, one
from outrig.api.kube.selectors import Selection
from outrig.api.kube.shown import Shown
from outrig.api.kube.statuses import of_store, status_of
from outrig.errors import OutrigError
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType, Listing

MAX_SECONDS = 3600.0
"""A stream ends after an hour at most, so that a caller whose credential ran out has to show a new one."""

BOOKMARK_SECONDS = 60.0
"""At least so long between two bookmarks."""

STALLED_SECONDS = 60.0
"""How long a client may leave what was sent unread before its stream is ended."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What to stream. `after`: the revision to go on from; None starts with what exists. `seconds` bounds it.

    `marked`: a bookmark tells when all that exists has been sent.
    """

    target: Target
    selection: Selection
    form: Form
    after: int | None
    seconds: float = MAX_SECONDS
    bookmarks: bool = False
    marked: bool = False


@dataclass(slots=True)
class Selected:
    """Turns changes of a kind into changes of a selection: an object that begins or ceases to fit enters or leaves it.

    Labels tell by themselves, as the change has those from before. For the rest, `members` were selected at `revision`;
    of an object whose first change is older than that, nobody knows: it is taken to have been selected, and reported
    as gone if it does not fit any more, which clients that never saw it ignore.
    """

    selection: Selection
    revision: int
    members: set[Key] = field(default_factory=set)
    seen: set[Key] = field(default_factory=set)

    def translate(self, change: Change) -> Change | None:
        """The change as this selection sees it; None if it does not."""
        fits = self.selection(change.resource)
        if not self.selection.may_change:
            return change if fits else None
        was_member = self._had(change)
        self._note(change, fits=fits)
        if change.type is not ChangeType.MODIFIED:
            return change if fits else None
        if fits:
            return change if was_member else replace(change, type=ChangeType.ADDED)
        return _gone(change) if was_member else None

    def _had(self, change: Change) -> bool:
        """Whether the object was selected before the change."""
        resource, before = change.resource, change.labels_before
        if before is not None and self.selection.by_labels:
            return self.selection(replace(resource, labels=before))
        known = change.revision > self.revision or resource.key in self.seen
        return resource.key in self.members if known else True

    def _note(self, change: Change, *, fits: bool) -> None:
        if change.revision <= self.revision:
            self.seen.add(change.resource.key)
        if fits and change.type is not ChangeType.DELETED:
            self.members.add(change.resource.key)
        else:
            self.members.discard(change.resource.key)


class WatchResponse(Response):
    """The stream of a watch."""

    def __init__(self, shown: Shown, watch: Watch, now: Callable[[], datetime]) -> None:
        super().__init__(media_type="application/json")
        del self.headers["content-length"]
        self._shown, self._watch, self._now = shown, watch, now
        self._last, self._has_columns = watch.after or 0, False
        self._told = asyncio.get_running_loop().time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        stopping = scope.get("state", {}).get("stopping") or asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            endings = (self._pump(send), _disconnected(receive), stopping.wait())
            running = [tasks.create_task(ending) for ending in endings]
            await asyncio.wait(running, timeout=self._watch.seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
        last = self._bookmark() if self._watch.bookmarks else b""
        with suppress(TimeoutError):
            await _send(send, last, more=False)

    async def _pump(self, send: Send) -> None:
        with suppress(TimeoutError):  # a client that stopped reading has lost its stream
            async for line in self._lines():
                await _send(send, line, more=True)

    async def _lines(self) -> AsyncIterator[bytes]:
        try:
            selected = Selected(self._watch.selection, 0)
            if self._watch.after is None or self._watch.selection.may_change:
                listing = await self._shown.list(self._watch.target.query)
                selected = Selected(self._watch.selection, listing.revision, set(self._members(listing)))
            if self._watch.after is None:
                for resource in filter(self._watch.selection, listing.items):
                    yield self._line("ADDED", resource)
                self._last = listing.revision
                if self._watch.marked:
                    yield self._bookmark(initial=True)
            async with aclosing(self._shown.watch(self._watch.target.query, self._last)) as batches:
                async for batch in batches:
                    for change in filter(None, map(selected.translate, batch)):
                        yield self._line(change.type, change.resource)
                    self._last = batch[-1].revision
                    if self._watch.bookmarks and self._is_due():
                        yield self._bookmark()
        except OutrigError as error:
            told = of_store(error, self._watch.target.subject)
            if told is None:
                raise
            yield _encode({"type": "ERROR", "object": status_of(told)})

    def _members(self, listing: Listing) -> Iterator[Key]:
        return (resource.key for resource in listing.items if self._watch.selection(resource))

    def _line(self, type_: str, resource: Resource) -> bytes:
        shown = one(resource, self._watch.target, self._watch.form, self._now())
        if self._watch.form.table:
            # As Kubernetes does: the columns come with the first table only.
            shown["columnDefinitions"] = None if self._has_columns else shown["columnDefinitions"]
            self._has_columns = True
        return _encode({"type": type_, "object": shown})

    def _is_due(self) -> bool:
        """Bookmarks tell how far a stream is that few of the changes concern."""
        return asyncio.get_running_loop().time() - self._told > BOOKMARK_SECONDS

    def _bookmark(self, *, initial: bool = False) -> bytes:
        self._told = asyncio.get_running_loop().time()
        target = self._watch.target
        at: dict[str, Any] = {"resourceVersion": str(self._last), "creationTimestamp": None}
        if initial:
            at["annotations"] = {"k8s.io/initial-events-end": "true"}
        return _encode(
            {"type": "BOOKMARK", "object": {"kind": target.kind.name, "apiVersion": target.api_version, "metadata": at}}
        )


def _gone(change: Change) -> Change:
    """It leaves with the labels by which it was selected, as in Kubernetes."""
    resource, before = change.resource, change.labels_before
    left = resource if before is None else replace(resource, labels=before)
    return replace(change, type=ChangeType.DELETED, resource=left)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


async def _send(send: Send, body: bytes, *, more: bool) -> None:
    """Raises TimeoutError when the client has stopped reading."""
    async with asyncio.timeout(STALLED_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": more})
