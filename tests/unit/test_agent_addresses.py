"""A control plane whose name has several addresses: one that answers nothing keeps nobody from the others."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from outrig.agent.configuration import Endpoint
from outrig.agent.control_plane import ControlPlane
from outrig.agent.joining import Joined
from outrig.agent.link import Link
from outrig.agent.membership import Membership
from outrig.agent.status import Status
from outrig.kit.tasks import running
from outrig.wire.stream import Hello, Welcome
from tests.unit.agent_server import Ca, FakeControlPlane, control_plane
from tests.unit.control_making import BOUND

NAME, ALIVE, SILENT = "control-plane", "127.0.0.1", "127.0.0.2"


@pytest.fixture
async def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeControlPlane]:
    """It lives at one address of its name; at the other, which is listed first, connections are neither taken nor
    refused, as with a machine that is gone."""
    loop = asyncio.get_running_loop()
    async with control_plane(Ca(), tmp_path) as made:
        with ExitStack() as stack:
            full = stack.enter_context(socket.create_server((SILENT, made.port), backlog=0))
            waiting = stack.enter_context(socket.create_connection(full.getsockname()))
            resolve = loop.getaddrinfo

            async def both(host: Any, port: Any, **rest: Any) -> list[Any]:
                hosts = (SILENT, ALIVE) if host == NAME else (host,)
                return [found for each in hosts for found in await resolve(each, port, **rest)]

            monkeypatch.setattr(loop, "getaddrinfo", both)
            yield made
            waiting.close()


def endpoint(plane: FakeControlPlane) -> ControlPlane:
    return ControlPlane(Endpoint(NAME, plane.port), plane.ca.pem)


async def test_requests_reach_the_address_that_answers(plane: FakeControlPlane) -> None:
    assert (await endpoint(plane).discover()).versions


class _Nobody:
    async def join(self) -> Joined:
        raise AssertionError("nobody asked for it")


async def test_the_stream_reaches_the_address_that_answers(plane: FakeControlPlane) -> None:
    there, status = endpoint(plane), Status()
    link = Link(there, Membership(_Nobody(), status), status=status, identity=there.tls)
    link.use("uid")
    async with running(link.run()), asyncio.timeout(BOUND):
        stream = await plane.streams.get()
        await stream.wait(lambda message: isinstance(message, Hello))
        stream.send(Welcome("a"))
        await link.connected.wait()
