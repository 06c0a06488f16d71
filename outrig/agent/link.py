"""The stream to the control plane: tells it the workload's state, hears its orders. Reconnects for ever.

Losing it never touches Envoy. Authenticated by the control identity; a new identity means a new stream.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from outrig import __version__
from outrig.agent.control_plane import ControlPlane, explain, one_line, utc_now
from outrig.agent.exchange import NEXT_ADDRESS
from outrig.agent.membership import Membership
from outrig.agent.problems import BadAnswer, Banned, Unreachable
from outrig.agent.status import Status
from outrig.errors import OutrigError
from outrig.kit.aio import jittered_backoff
from outrig.kit.repeats import Repeats
from outrig.wire.codec import WireError
from outrig.wire.stream import (
    PATH,
    SUBPROTOCOL,
    Ban,
    Bye,
    Hello,
    Message,
    Rejoin,
    Renew,
    Report,
    Welcome,
    Withdrawn,
    read,
    write,
)

RENEW_WITHIN = 5.0  # seconds: a whole mesh is told at once, and its proxies do not come back at once
_MOST = 64 * 1024  # bytes of a message
_log = logging.getLogger(__name__)


class Link:
    """The agent's one stream. `identity`: a client context with the present control identity. `has_another_proof`:
    whether a join would show another proof than the last one did, so that being shut out may not be the end."""

    def __init__(self, control_plane: ControlPlane, membership: Membership, *, status: Status,
                 identity: Callable[[], ssl.SSLContext],
                 has_another_proof: Callable[[], bool] = lambda: False) -> None:  # fmt: skip
        self._control_plane, self._membership, self._status = control_plane, membership, status
        self._identity, self._has_another_proof = identity, has_another_proof
        self._uid = ""
        self._renewed = asyncio.Event()
        self._wait = 0.0
        self._disowned = False
        self.withdrawn = asyncio.Event()
        self.connected = asyncio.Event()

    def use(self, uid: str) -> None:
        """There is a new control identity, for that registration: connect with it."""
        self._uid = uid
        self._renewed.set()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises Banned if the control plane says so."""
        await self._renewed.wait()
        waits, repeats = jittered_backoff(first=0.2, ceiling=15.0), Repeats()
        while True:
            self._wait, self._disowned = 0.0, False
            try:
                await self._session()
                problem = "the control plane closed the stream"
            except Banned:
                raise
            except OutrigError as error:
                problem = str(error)
            if self._disowned and not self.connected.is_set():
                await self._renewed.wait()  # this identity opens nothing any more
            if self.connected.is_set():
                waits = jittered_backoff(first=0.2, ceiling=15.0)
            self.connected.clear()
            if self._renewed.is_set():
                continue
            if said := repeats.heard(problem):
                _log.warning("stream: %s; Envoy serves on as it is", said)
            await asyncio.sleep(max(next(waits), self._wait * random.uniform(1.0, 1.2)))  # noqa: S311

    async def _session(self) -> None:
        self._renewed.clear()
        endpoint = self._control_plane.endpoint
        try:
            async with _Straight(
                f"wss://{endpoint}{PATH}",
                ssl=self._identity(),
                server_hostname=self._control_plane.name,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                happy_eyeballs_delay=NEXT_ADDRESS,
                proxy=None,  # the environment has no say in where this goes
                compression=None,
                max_size=_MOST,
                close_timeout=2,
            ) as stream:
                if stream.subprotocol != SUBPROTOCOL:
                    raise BadAnswer(str(endpoint), f"the stream does not speak {SUBPROTOCOL}")
                await self._converse(stream)
        except ConnectionClosed as error:
            raise Unreachable(str(endpoint), f"the stream ended: {one_line(str(error))}") from None
        except (InvalidHandshake, InvalidURI) as error:
            raise BadAnswer(str(endpoint), f"refused the stream: {one_line(str(error))}") from None
        except OSError as error:
            raise explain(error, endpoint, utc_now()) from None

    async def _converse(self, stream: ClientConnection) -> None:
        """Until the server says goodbye or there is a new identity, whichever comes first."""
        await stream.send(write(Hello(uid=self._uid, agent_version=__version__)))
        talks = [asyncio.create_task(talk) for talk in (self._speak(stream), self._listen(stream), self._replaced())]
        try:
            done, _ = await asyncio.wait(talks, return_when=asyncio.FIRST_COMPLETED)
            for talk in done:
                talk.result()
        finally:
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _speak(self, stream: ClientConnection) -> None:
        said = None
        while True:
            said = await self._status.wait_other_than(said)
            await stream.send(write(Report(said.state, said.reason, said.unready_ports)))

    async def _listen(self, stream: ClientConnection) -> None:
        async for frame in stream:
            try:
                message = read(frame)
            except WireError as error:
                raise BadAnswer(str(self._control_plane.endpoint), f"the stream carries nonsense: {error}") from None
            if not self._obey(message):
                return

    def _obey(self, message: Message) -> bool:
        """Do what a message says; whether to stay on the stream."""
        match message:
            case Welcome(connected_to):
                _log.info("connected to %s", one_line(connected_to))
                self.connected.set()
            case Rejoin(reason):
                self._disowned = True
                self._membership.renew(one_line(reason))
            case Renew(reason):
                self._membership.renew(one_line(reason), within=RENEW_WITHIN)
            case Ban(reason) if self._has_another_proof():
                self._membership.renew(one_line(reason))
            case Ban(reason):
                raise Banned(str(self._control_plane.endpoint), one_line(reason) or "shut out")
            case Withdrawn(complete):
                _log.info("withdrawn from all peers" if complete else "withdrawn, though not all peers confirmed it")
                self.withdrawn.set()
            case Bye(reason, retry_after):
                _log.info("the control plane says goodbye: %s", one_line(reason))
                self._wait = float(min(max(retry_after, 0), 60))
                return False
            case Hello() | Report():
                raise BadAnswer(str(self._control_plane.endpoint), "sent a message that only an agent sends")
        return True

    async def _replaced(self) -> None:
        await self._renewed.wait()


class _Straight(connect):
    """A connection that follows no redirect: the control plane is where the configuration says."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def load_identity(context: ssl.SSLContext, chain: str, key: str) -> ssl.SSLContext:
    """The context with a client certificate from files. Raises OSError."""
    context.load_cert_chain(chain, key)
    return context
