"""Where a stream learns that something changed, and tells how far its client has come.

A set of names, not a queue: what is marked twice before the stream looks is looked at once, in its newest state.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from outrig.snapshot import ENDPOINTS, SECRET, TypeUrl
from outrig.xds.subscription import Rejection, Tally

AWAITED: Final = (ENDPOINTS, SECRET)
"""What somebody may wait for until clients have accepted it: who is called, and who is trusted."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a client is. `accepted`: the newest state of which it took all that is `AWAITED`; -1: none.

    `settled`: it has asked for everything and answered everything, so that `rejections` is the whole truth.
    """

    accepted: int = -1
    rejections: tuple[Rejection, ...] = ()
    settled: bool = False


class Mailbox:
    """One stream's. `stamp` is the state at which it was opened; everything is new to it then.

    `awaited`: the newest state in which something `AWAITED` differed. `tallies`: what became of the responses sent on
    it, by type; whoever speaks on the stream puts them here.
    """

    def __init__(self, stamp: int, on_progress: Callable[["Mailbox"], None]) -> None:
        self.awaited = stamp
        self.progress = Progress()
        self.tallies: Mapping[TypeUrl, Tally] = {}
        self._on_progress = on_progress
        self._names: dict[TypeUrl, set[str]] = defaultdict(set)
        self._awake = asyncio.Event()

    def mark(self, names: Mapping[TypeUrl, Iterable[str]], stamp: int) -> None:
        """These resources may differ from state `stamp` on."""
        for type_url, some in names.items():
            self._names[type_url].update(some)
        if any(type_url in names for type_url in AWAITED):
            self.awaited = stamp
        self.wake()

    def wake(self) -> None:
        """The stream has something to look at."""
        self._awake.set()

    async def wait_awake(self) -> None:
        """Wait for a mark or a wake since the last such wait."""
        await self._awake.wait()
        self._awake.clear()

    def take(self) -> Mapping[TypeUrl, set[str]]:
        """The marked names; they are marked no longer."""
        names, self._names = self._names, defaultdict(set)
        return names

    def report(self, progress: Progress) -> None:
        """Tell how far the client is; costs nothing if it is where it was."""
        if progress != self.progress:
            self.progress = progress
            self._on_progress(self)
