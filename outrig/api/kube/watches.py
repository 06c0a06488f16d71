"""Watch: the changes of a kind as a stream of JSON lines.

In: what is shown, what of it is watched, from where. Out: an endless response that ends with its time, its client or
the server, or when its client has stopped reading. An idle watcher waits and does nothing. A revision that the log no
longer reaches is told in the stream (ERROR, 410 Expired), after which clients list again.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from outrig.api.kube.catalog import Target
from outrig.api.kube.forms import Form
from outrig.api.kube.lines import Lines, line_of
from outrig.api.kube.selectors import Selection
from outrig.api.kube.shown import Shown
from outrig.api.kube.statuses import of_store, status_of
from outrig.errors import OutrigError
from outrig.resources import Resource
from outrig.store.protocol import Change, ChangeType

MAX_SECONDS: Final = 3600.0
"""A stream ends after an hour at most, so that a caller whose credential ran out has to show a new one."""

BOOKMARK_SECONDS: Final = (50.0, 70.0)
"""Between which lies the time from one bookmark to the next, another for each watch."""

STALLED_SECONDS: Final = 60.0
"""How long a client may take to read what is sent at once, before its stream is ended."""

AT_ONCE: Final = 100
"""How many of the objects that exist are sent at once."""

PIECE: Final = 16 * 1024
"""Bytes that are handed on at a time. A client that does not read holds up no more than that and a few buffers."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """What to stream. `after`: the revision to go on from; None starts with what exists. `seconds` bounds it.

    `bookmarks`: now and then it is told how far the stream is; if it is `marked`, first when all that exists has been
    sent.
    """

    target: Target
    selection: Selection
    form: Form
    after: int | None
    seconds: float = MAX_SECONDS
    bookmarks: bool = False
    marked: bool = False


def selected(change: Change, selection: Selection) -> Change | None:
    """A change of a kind as a change of a selection, which objects enter and leave; None if it is none.

    What leaves does so as it was when it was selected last, as in Kubernetes. Raises Gone where nobody knows what it
    was.
    """
    fits = change.type is ChangeType.BOOKMARK or selection(change.resource)
    if change.type is not ChangeType.MODIFIED or selection.is_lasting:
        return change if fits else None
    before = change.undone()
    if before is None or not selection(before):
        return replace(change, type=ChangeType.ADDED) if fits else None
    left = replace(before, revision=change.revision)
    return change if fits else replace(change, type=ChangeType.DELETED, resource=left)


class _UnreadError(Exception):
    """The client has not read in time what was sent."""


class WatchResponse(Response):
    """The stream of a watch."""

    def __init__(self, shown: Shown, lines: Lines, watch: Watch) -> None:
        super().__init__(media_type="application/json")
        del self.headers["content-length"]
        self._shown, self._lines, self._watch = shown, lines, watch
        self._last, self._has_columns = watch.after or 0, False
        self._sending = asyncio.Lock()  # a line, which nothing may end half-way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        state = scope.get("state", {})
        stopping = state.get("stopping") or asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(self._pump(send))
            running = [pump, tasks.create_task(_disconnected(receive)), tasks.create_task(stopping.wait())]
            await asyncio.wait(running, timeout=self._watch.seconds, return_when=asyncio.FIRST_COMPLETED)
            async with self._sending:
                for task in running:
                    task.cancel()
        try:
            await self._end(send, pump)
        except _UnreadError:
            _log.info("a watch ended: its client does not read", kind=str(self._watch.target.subject), at=self._last)
            if "abort" in state:
                state["abort"]()
                await _disconnected(receive)

    async def _pump(self, send: Send) -> bool:
        """Send what happens; False once the client has stopped reading, True when there is nothing more to tell."""
        try:
            await self._tell(send)
        except _UnreadError:
            return False
        return True

    async def _tell(self, send: Send) -> None:
        try:
            if self._watch.after is None:
                await self._begin(send)
            await self._go_on(send)
        except OutrigError as error:
            told = of_store(error, self._watch.target.subject)
            if told is None:
                raise
            await self._deliver(send, [line_of("ERROR", status_of(told))])

    async def _begin(self, send: Send) -> None:
        """Send what exists. What has been written is let go of, not held until it has been read."""
        found, revision = await self._found()
        while found:
            lines = [self._line(Change(ChangeType.ADDED, resource)) for resource in found[:AT_ONCE]]
            del found[:AT_ONCE]
            await self._deliver(send, lines)
            await asyncio.sleep(0)
        self._last = revision
        if self._watch.bookmarks and self._watch.marked:
            await self._deliver(send, [self._bookmark(ends_initial=True)])

    async def _found(self) -> tuple[list[Resource], int]:
        listing = await self._shown.list(self._watch.target.query)
        return list(filter(self._watch.selection, listing.items)), listing.revision

    async def _go_on(self, send: Send) -> None:
        """Send what happens from then on."""
        every = random.uniform(*BOOKMARK_SECONDS) if self._watch.bookmarks else None  # noqa: S311 - spreads load
        watched = self._shown.watch(self._watch.target.query, self._last, bookmark_every=every)
        async with aclosing(watched) as batches:
            async for batch in batches:
                await self._deliver(send, self._told(batch))
                del batch  # an idle watch holds nothing

    async def _deliver(self, send: Send, lines: Iterable[bytes], *, more: bool = True) -> None:
        """Send lines; without `more` that is the end of the response. Raises _UnreadError."""
        try:
            async with asyncio.timeout(STALLED_SECONDS) as limit:
                for line in lines:
                    async with self._sending:
                        await _send(send, line)
                if not more:
                    await send({"type": "http.response.body", "more_body": False})
        except TimeoutError:
            if not limit.expired():
                raise
            raise _UnreadError from None

    async def _end(self, send: Send, pump: asyncio.Task[bool]) -> None:
        """End the response, with a bookmark where there would have been more. Raises _UnreadError."""
        if not pump.cancelled() and not pump.result():
            raise _UnreadError
        last = [self._bookmark()] if self._watch.bookmarks and self._last and pump.cancelled() else []
        await self._deliver(send, last, more=False)

    def _told(self, batch: Iterable[Change]) -> Iterator[bytes]:
        for change in batch:
            if (seen := selected(change, self._watch.selection)) is not None:
                yield self._line(seen)
            self._last = change.revision  # once its line has been sent

    def _line(self, change: Change) -> bytes:
        if change.type is ChangeType.BOOKMARK:
            self._last = change.revision
            return self._bookmark()
        return self._lines.change(change, self._watch.target, form=self._watch.form, columns=self._first())

    def _bookmark(self, *, ends_initial: bool = False) -> bytes:
        watch, columns = self._watch, self._first()
        return self._lines.bookmark(
            self._last, watch.target, form=watch.form, columns=columns, ends_initial=ends_initial
        )

    def _first(self) -> bool:
        """Whether this is the first line. As in Kubernetes, the columns of a table come with that only."""
        had, self._has_columns = self._has_columns, self._watch.form.table is not None
        return self._has_columns and not had


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, line: bytes) -> None:
    for start in range(0, len(line), PIECE):
        await send({"type": "http.response.body", "body": line[start : start + PIECE], "more_body": True})
