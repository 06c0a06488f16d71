"""Delta xDS with the real Envoy: what it accepts, what it is sent, and how its streams end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from outrig.snapshot import CLUSTER, ENDPOINTS, LISTENER, ProxyId
from outrig.xds.server import Statistics, XdsServer
from outrig.xds.session import Refused, Session
from tests.envoy.xds_proxy import (
    WEB,
    Board,
    Envoy,
    Pki,
    cluster,
    endpoints,
    identify,
    listener,
    routes,
    running_envoy,
    serving,
    write_identity,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def pki() -> Pki:
    return Pki()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """One listener, its routes, one cluster with one endpoint."""
    board = Board()
    board.put(
        WEB,
        cluster("ratings"),
        endpoints("ratings", 9001),
        listener("out", tmp_path / "out.sock", "out"),
        routes("out", "ratings"),
    )
    return board


async def test_an_envoy_gets_and_accepts_its_whole_configuration(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with serving(board, pki) as (_, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        progress = await board.wait_settled()
        assert progress.rejections == ()
        assert await envoy.hosts("ratings") == [9001]
        assert await envoy.stat("cluster_manager.warming_clusters") == 0


async def test_an_endpoint_change_is_one_response(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with serving(board, pki) as (server, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        await board.wait_settled()
        before = server.statistics().responses
        board.put(WEB, endpoints("ratings", 9001, 9002))
        await board.wait_settled()
        assert await envoy.hosts("ratings") == [9001, 9002]
        assert server.statistics().responses == before + 1


async def test_a_changed_cluster_is_followed_by_its_unchanged_endpoints(board: Board, pki: Pki, tmp_path: Path) -> None:
    """Without them it would warm for 15 seconds and the ACK would be held back as long."""
    async with serving(board, pki) as (server, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        await board.wait_settled()
        before = server.statistics().responses
        board.put(WEB, cluster("ratings", connect_timeout="2s"))
        async with asyncio.timeout(10):
            await board.wait_settled()
        assert server.statistics().responses == before + 2
        assert await envoy.stat("cluster_manager.warming_clusters") == 0
        assert await envoy.hosts("ratings") == [9001]


async def test_a_reconnect_makes_a_new_handshake_and_is_sent_nothing(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with serving(board, pki) as (server, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        await board.wait_settled()
        before = server.statistics().responses
        board.progress.clear()
        server.end(WEB, "for the test")
        await board.wait_settled()
        assert server.statistics().responses == before
        assert await envoy.stat("cluster.xds.upstream_cx_total") == 2
        assert await envoy.hosts("ratings") == [9001]


async def test_what_changed_while_a_proxy_was_away_and_nothing_else_is_sent(
    board: Board, pki: Pki, tmp_path: Path
) -> None:
    async with running_server_twice(board, pki, tmp_path) as (envoy, restart):
        board.put(WEB, cluster("details"), endpoints("details", 9003), endpoints("ratings", 9002))
        server = await restart()
        assert await envoy.hosts("ratings") == [9002]
        assert await envoy.hosts("details") == [9003]
        assert server.statistics().responses == 3  # the new cluster, the changed endpoints, the endpoints asked for


async def test_a_restarted_server_sends_nothing_that_did_not_change(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with running_server_twice(board, pki, tmp_path) as (envoy, restart):
        server = await restart()
        assert server.statistics().responses == 0
        assert await envoy.hosts("ratings") == [9001]


async def test_resources_that_vanished_while_a_proxy_was_away_go_away(board: Board, pki: Pki, tmp_path: Path) -> None:
    board.put(WEB, cluster("details"), endpoints("details", 9003))
    async with running_server_twice(board, pki, tmp_path) as (envoy, restart):
        assert await envoy.hosts("details") == [9003]
        board.put(WEB, gone=((CLUSTER, "details"), (ENDPOINTS, "details")))
        await restart()
        assert await envoy.hosts("details") == []
        assert await envoy.stat("cluster_manager.active_clusters") == 2


async def test_a_cluster_goes_after_the_route_that_used_it(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with serving(board, pki) as (_, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        await board.wait_settled()
        board.put(
            WEB,
            cluster("details"),
            endpoints("details", 9003),
            routes("out", "details"),
            gone=((CLUSTER, "ratings"), (ENDPOINTS, "ratings")),
        )
        progress = await board.wait_settled()
        assert progress.rejections == ()
        assert await envoy.hosts("details") == [9003]
        assert await envoy.stat("cluster_manager.cluster_removed") == 1


async def test_a_refused_listener_is_told_by_name_and_the_others_serve(board: Board, pki: Pki, tmp_path: Path) -> None:
    board.put(WEB, listener("broken", tmp_path / "nowhere" / "x.sock", "out"))
    async with serving(board, pki) as (_, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        progress = await board.wait_settled()
        assert [(each.type_url, each.name) for each in progress.rejections] == [(LISTENER, "broken")]
        assert "cannot bind" in progress.rejections[0].reason
        assert await envoy.stat("listener_manager.total_listeners_active") == 1
        board.put(WEB, gone=((LISTENER, "broken"),))
        assert (await board.wait_settled()).rejections == ()


async def test_a_resource_that_spoils_its_whole_response_is_found_and_the_others_get_through(
    board: Board, pki: Pki, tmp_path: Path
) -> None:
    """Envoy names no resource when a message breaks its validation rules, and applies nothing of the response."""
    board.put(WEB, cluster("broken", connect_timeout="-1s"), cluster("details"), endpoints("details", 9003))
    async with serving(board, pki) as (_, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        progress = await board.wait(WEB, lambda progress: bool(progress.rejections) and progress.settled)
        assert [(each.type_url, each.name) for each in progress.rejections] == [(CLUSTER, "broken")]
        assert await envoy.hosts("details") == [9003]
        assert await envoy.hosts("ratings") == [9001]


async def test_a_refused_change_leaves_the_last_good_one(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with serving(board, pki) as (server, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        await board.wait_settled()
        board.put(WEB, cluster("ratings", connect_timeout="-1s"))
        assert [each.name for each in (await board.wait_settled()).rejections] == ["ratings"]
        sent = server.statistics().responses
        board.put(WEB, endpoints("ratings", 9002))
        await board.wait_settled()
        assert server.statistics().responses == sent + 1  # the refused cluster is not sent again
        assert await envoy.hosts("ratings") == [9002]


async def test_a_node_id_that_is_not_the_certificates_is_refused(board: Board, pki: Pki, tmp_path: Path) -> None:
    async with serving(board, pki) as (server, port):
        async with running_envoy(tmp_path / "e", pki, port, proxy="shop/other", node=WEB) as envoy:
            await envoy.wait_log("cannot speak for node 'shop/web'")
        assert board.progress == {}
        assert server.statistics().responses == 0


async def test_a_foreign_authoritys_client_gets_no_stream(board: Board, pki: Pki, tmp_path: Path) -> None:
    foreign = Pki()
    async with serving(board, pki) as (server, port):
        async with running_envoy(tmp_path / "e", foreign, port, trust=pki) as envoy:
            await envoy.wait_stat("cluster.xds.upstream_cx_total", at_least=2)
            assert await envoy.stat("cluster.xds.ssl.fail_verify_san") == 0  # it is the server that refuses
        assert board.progress == {}
        assert server.statistics() == Statistics(streams=0, responses=0)


async def test_a_stream_ends_with_its_certificate_and_a_renewed_one_is_welcome(
    board: Board, pki: Pki, tmp_path: Path
) -> None:
    directory = tmp_path / "e"
    short = timedelta(seconds=4)
    async with serving(board, pki) as (server, port), running_envoy(directory, pki, port, lifetime=short) as envoy:
        await board.wait_settled()
        before = server.statistics().responses
        board.progress.clear()
        await envoy.wait_log("the client certificate has expired")
        write_identity(directory, pki, WEB)
        await board.wait_settled()
        assert server.statistics().responses == before


async def test_a_banned_proxy_is_cut_off_and_does_not_come_back(board: Board, pki: Pki, tmp_path: Path) -> None:
    banned: set[ProxyId] = set()

    async def judge(certificate: str) -> Session | Refused:
        session = await identify(certificate)
        return Refused("banned") if isinstance(session, Session) and session.proxy in banned else session

    async with serving(board, pki, judge=judge) as (server, port), running_envoy(tmp_path / "e", pki, port) as envoy:
        await board.wait_settled()
        board.progress.clear()
        banned.add(WEB)
        server.end(WEB, "banned for the test")
        await envoy.wait_log("7, banned{")
        assert board.progress == {}
        assert server.statistics().streams == 0


@asynccontextmanager
async def running_server_twice(
    board: Board, pki: Pki, tmp_path: Path
) -> AsyncIterator[tuple[Envoy, Callable[[], Awaitable[XdsServer]]]]:
    """A settled Envoy whose server has been stopped; the function starts another server and waits until it settled."""
    async with AsyncExitStack() as stack:
        async with serving(board, pki) as (_, port):
            envoy = await stack.enter_async_context(running_envoy(tmp_path / "e", pki, port))
            await board.wait_settled()
        board.progress.clear()

        async def restart() -> XdsServer:
            server, _ = await stack.enter_async_context(serving(board, pki, port=port))
            await board.wait_settled()
            return server

        yield envoy, restart
