"""An agent that was refused says so for as long as it is, and does not knock with an identity that is gone."""

import asyncio
from itertools import repeat
from pathlib import Path

import pytest

from outrig.agent import health_check, probe
from outrig.agent.configuration import Endpoint
from outrig.agent.control_plane import ControlPlane
from outrig.agent.joining import Joined
from outrig.agent.leaving import Applications
from outrig.agent.link import Link
from outrig.agent.membership import Membership
from outrig.agent.problems import JoinRefused
from outrig.agent.readiness import Verdict
from outrig.agent.status import Status
from outrig.kit.tasks import running
from outrig.wire.stream import PATH, Hello, Rejoin, State
from tests.unit.agent_server import Ca, control_plane
from tests.unit.control_making import BOUND

TAKEN = "OUT515 cp: Dataplane kv-1 is that of a proxy that is connected [OUT128, reference r1]"
ENVOY_WAITS = Verdict(State.STARTING, "Envoy waits for its configuration from the control plane")


class Refusals:
    """Refuses until it is told not to."""

    def __init__(self) -> None:
        self.asked, self.refusing = asyncio.Queue[None](), True

    async def join(self) -> Joined:
        self.asked.put_nowait(None)
        if self.refusing:
            problem = "Dataplane kv-1 is that of a proxy that is connected [OUT128, reference r1]"
            raise JoinRefused("cp", problem)
        return object.__new__(Joined)


@pytest.mark.parametrize(
    ("verdict", "ready", "refused", "otherwise"),
    [
        (ENVOY_WAITS, False, f"NOT_READY: {TAKEN}", f"NOT_READY: {ENVOY_WAITS.reason}"),
        (Verdict(State.READY), True, f"READY: not renewed: {TAKEN}", "READY"),
        (Verdict(State.UNHEALTHY, "port 5050 is closed"), False,
         f"NOT_READY: port 5050 is closed; not renewed: {TAKEN}", "NOT_READY: port 5050 is closed"),
    ],
    ids=["never ready", "ready before", "unhealthy since"],
)  # fmt: skip
async def test_a_refusal_stands_in_ready_with_code_and_sentence_until_the_agent_gets_in(
    verdict: Verdict, ready: bool, refused: str, otherwise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outrig.agent.membership.FIRST_WAIT", 0.001)
    monkeypatch.setattr("outrig.agent.membership.LONGEST_WAIT", 0.001)
    status, refusals = Status(), Refusals()
    joins = Membership(refusals, status).joins()
    async with probe.serving(status, 0, Applications(), probe.KUMA) as port, asyncio.timeout(BOUND):
        joining = asyncio.ensure_future(anext(joins))
        for _ in range(2):
            await refusals.asked.get()
        status.update(verdict)  # what the watcher of Envoy sees must not hide it
        assert await asyncio.to_thread(health_check.ask, port) == (ready, refused)
        refusals.refusing = False
        await joining
        assert await asyncio.to_thread(health_check.ask, port) == (ready, otherwise)


class Wishes(Membership):
    """Notes that it is told to join anew, and does not."""

    def __init__(self) -> None:
        super().__init__(Refusals(), Status())
        self.reasons: list[str] = []

    def renew(self, reason: str, *, within: float = 0.0) -> None:
        assert not within
        self.reasons.append(reason)


async def test_an_identity_that_opens_nothing_any_more_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outrig.agent.link.jittered_backoff", lambda **_: repeat(0.0))
    async with control_plane(Ca(), tmp_path) as plane:
        there, wishes, status = ControlPlane(Endpoint("127.0.0.1", plane.port), plane.ca.pem), Wishes(), Status()
        link = Link(there, wishes, status=status, identity=there.tls)
        link.use("gone")
        async with running(link.run()), asyncio.timeout(BOUND):
            stream = await plane.streams.get()
            stream.send(Rejoin("Dataplane kv-1 is gone"))
            await stream.wait(lambda message: isinstance(message, Hello))
            stream.drop()
            for _ in range(5):  # it could have come back in this time, did it not wait
                await there.discover()
            assert plane.asked.count(PATH) == 1
            assert wishes.reasons == ["Dataplane kv-1 is gone"]
            link.use("anew")
            again = await plane.streams.get()
            hello = await again.wait(lambda message: isinstance(message, Hello))
            assert isinstance(hello, Hello)
            assert hello.uid == "anew"
