"""One event after the other, each under the load of all clients, and what became of their calls."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bench.zero_drop.clients import Account, Load
from bench.zero_drop.events import Event
from bench.zero_drop.scene import Bookinfo

BEFORE, AFTER = 2.0, 3.0  # seconds of calls around an event


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event, how long it took from its beginning until the scene was whole again, and the accounts."""

    event: Event
    seconds: float
    accounts: tuple[Account, ...]

    @property
    def lost(self) -> int:
        """Failed calls where none may fail."""
        return sum(account.failed for account in self.accounts) if self.event.lossless else 0


def run(
    bookinfo: Bookinfo, events: Iterable[Event], protocols: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[Outcome]:
    """The outcomes, as they come. Raises TimeoutError or RuntimeError if the scene or a client breaks down."""
    for event in events:
        load = Load(bookinfo, protocols)
        time.sleep(BEFORE)
        begun = time.monotonic()
        event.run(bookinfo)
        bookinfo.wait_whole()
        seconds = time.monotonic() - begun
        time.sleep(AFTER)
        outcome = Outcome(event, seconds, tuple(load.account()))
        for account in outcome.accounts:
            say(f"{event.name}: {_line(account)}")
        yield outcome


def _line(account: Account) -> str:
    failures = ", ".join(f"{count} x {kind}" for kind, count in account.failures.items())
    what = f" ({failures})" if failures else ""
    return f"{account.client.protocol}: {account.failed} of {account.sent} failed{what}, {account.late} ms late"
