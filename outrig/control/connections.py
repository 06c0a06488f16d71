"""One agent's stream, as the rest of the control plane sees it: messages to send, reports to take."""

import asyncio
from typing import Protocol

from outrig.wire.stream import Bye, Message, Rejoin, Report
from outrig.xds.session import Session


class Recorder(Protocol):
    """The registry, as far as a stream needs it."""

    async def record(self, connection: "Connection", report: Report) -> None:
        """An agent has said how its workload is."""
        ...


class Connection:
    """One agent's stream. `withdrawn`: it has left its peers. `returning`: it ends for a reason of ours.

    `written`: the revision at which its registration said that it is connected here; 0 before that. `last`: its newest
    report.
    """

    def __init__(self, registry: Recorder, session: Session) -> None:
        self.session = session
        self.withdrawn = False
        self.returning = False
        self.written = 0
        self.last: Report | None = None
        self._rejoining = False
        self._registry = registry
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()

    def send(self, message: Message) -> None:
        """Have a message sent."""
        self._outbox.put_nowait(message)

    def rejoin(self, reason: str) -> None:
        """Have the agent join again. Said once: it then comes back on another stream."""
        if not self._rejoining:
            self._rejoining = True
            self.send(Rejoin(reason))

    async def next_message(self) -> Message:
        """The next message to send, in order."""
        return await self._outbox.get()

    async def report(self, report: Report) -> None:
        """The agent says how its workload is. Raises WireError for a state there is not, Unavailable."""
        await self._registry.record(self, report)

    def goodbye(self, reason: str) -> None:
        """This control plane stops: the agent will be back, so its going means nothing."""
        self.returning = True
        self.send(Bye(reason))
