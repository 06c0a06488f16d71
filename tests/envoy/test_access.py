"""Permissions where requests are spoken, with real proxies: the truth table, and what a change does to open calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from outrig.resources import Resource
from outrig.snapshot import EXTENSION, ProxyId
from tests.envoy.access_scene import Calls, access_scene
from tests.envoy.render_scene import (
    BOUND,
    DOMAIN,
    Scene,
    WorldBoard,
    connection,
    echo_http,
    echo_tcp,
    until,
)
from tests.envoy.xds_proxy import Pki, serving
from tests.mesh_making import added, authority, deleted, demand, document, mesh
from tests.ports import free_port
from tests.truth_table import permission, policy, rows, source

pytestmark = pytest.mark.slow

WEB, DEMO = "cluster.local/ns/shop/sa/web", "default/demo"
ALL: dict[str, Any] = {"kind": "Mesh"}


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[Calls]:
    async with access_scene(tmp_path) as calls:
        yield calls


def expected() -> dict[str, int]:
    """What the written table says, by row."""
    lines = (Path(__file__).parents[1] / "golden/truth-table.txt").read_text().splitlines()
    return {str(row): 200 if "answered" in line else 403 for row, line in zip(rows(), lines, strict=True)}


async def test_every_row_of_the_truth_table_is_what_calls_meet(calls: Calls) -> None:
    statuses = expected()
    assert len(statuses) == 40
    for row in rows():
        calls.scene.apply(*row.resources)
        answer = await calls.becomes(row.caller, row.destination, statuses[str(row)])
        if answer.status_code == 403:
            assert answer.text == "RBAC: access denied"
        calls.scene.board.apply(deleted(*row.resources[1:]))


async def test_a_change_sends_extensions_alone_and_bites_a_connection_that_is_kept(calls: Calls) -> None:
    """The caller's connection stays open, as does the one between the proxies; so does a stream to another port."""
    world = calls.scene.board.world
    calls.scene.apply(mesh(), permission("all", "Allow", of=ALL))
    async with calls.client() as kept:
        await calls.becomes("demo", "kv", 200, by=kept)
        changes = [permission("all", "Deny", of={"kind": "MeshService", "name": "demo"})]
        dirty = world.apply(added(*changes))
        assert {proxy: set(names) for proxy, names in dirty.items()} == {
            ProxyId("dataplane/default/kv"): {EXTENSION},
            ProxyId("dataplane/default/demo"): {EXTENSION},
        }
        calls.scene.board.tell(dirty)
        await calls.becomes("demo", "kv", 403, by=kept)
        calls.scene.apply(permission("all", "Allow", of=ALL))
        await calls.becomes("demo", "kv", 200, by=kept)
    kv = calls.scene.envoys["kv"]
    assert await kv.stat("listener_manager.listener_modified") == 1  # by the mesh's mode
    assert await kv.stat("listener_manager.listener_create_success") == 2


async def test_the_connection_between_the_proxies_is_the_same_before_and_after(calls: Calls) -> None:
    calls.scene.apply(mesh(), permission("all", "Allow", of=ALL))
    await calls.becomes("demo", "kv", 200)
    calls.scene.apply(permission("all", "Deny", of=ALL))
    await calls.becomes("demo", "kv", 403)
    before = await connections_to_kv(calls)
    calls.scene.apply(permission("all", "Allow", of=ALL))
    await calls.becomes("demo", "kv", 200)
    assert await connections_to_kv(calls) == before


async def connections_to_kv(calls: Calls) -> int:
    """How many the proxy of `demo` has made."""
    socket = str(calls.scene.directory / "demo" / "admin.sock")
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://envoy") as client:
        found = (await client.get("/stats?filter=kv_mesh.upstream_cx_total&format=json")).json()["stats"]
    return sum(one["value"] for one in found if "value" in one)


async def test_a_refusal_names_the_rule_and_the_caller_in_the_log(calls: Calls) -> None:
    calls.scene.apply(policy("no-demo", "DENY", source(principals=[DEMO])))
    await calls.becomes("demo", "app", 403, path="/secret?token=x")
    await calls.becomes("web", "app", 200)
    calls.scene.apply(policy("only-web", "ALLOW", source(principals=["default/nobody"])))
    await calls.becomes("web", "app", 403)

    async def logged() -> bool:
        return "by rbac_access_denied_matched_policy[none]" in calls.scene.log("a1")

    await until(logged)
    refused = [line.partition("] ")[2] for line in calls.scene.log("a1").splitlines() if "refused: " in line]
    there = f"{calls.scene.addresses['a1']}:{calls.scene.port}"
    uris = "spiffe://default/demo,kuma://kuma.io/service/demo,kuma://kuma.io/zone/default,kuma://team/blue"
    assert set(refused) == {
        f'refused: "GET anything/secret" to {there} from {uris} at 127.0.0.1 by '
        "rbac_access_denied_matched_policy[ns[shop]-policy[no-demo]-rule[0]]",
        f'refused: "GET app/" to {there} from spiffe://cluster.local/ns/shop/sa/web at 127.0.0.1 by '
        "rbac_access_denied_matched_policy[none]",
    }


async def test_a_denial_stays_whatever_is_allowed(calls: Calls) -> None:
    everybody = policy("everybody", "ALLOW", {})
    calls.scene.apply(everybody, policy("no-web", "DENY", source(namespaces=["shop"])))
    await calls.becomes("web", "app", 403)
    assert (await calls.get("demo", "app")).status_code == 200


async def test_the_last_of_kumas_from_counts_and_what_rules_deny_is_firm(calls: Calls) -> None:
    demo = {"kind": "MeshSubset", "tags": {"team": "blue"}}
    calls.scene.apply(mesh(), permission("z", "Deny", of=ALL), permission("a", "Allow", of=demo))
    await calls.becomes("demo", "kv", 200)
    assert (await calls.get("web", "kv")).status_code == 403
    match = {"spiffeID": {"type": "Exact", "value": "spiffe://default/demo"}}
    calls.scene.apply(rules("lists", deny=[match]))
    await calls.becomes("demo", "kv", 403)


def rules(name: str, **lists: Any) -> Resource:
    """A MeshTrafficPermission of the other form."""
    spec = {"rules": [{"default": lists}]}
    return document({"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec})


async def test_what_is_only_rehearsed_lets_pass_and_says_so(calls: Calls) -> None:
    calls.scene.apply(mesh(), permission("try", "AllowWithShadowDeny", of=ALL))

    async def logged() -> bool:
        assert (await calls.get("web", "kv")).status_code in (200, 403)  # mutual TLS first, then the permission
        return "dry run, would be refused" in calls.scene.log("kv")

    await until(logged)
    ending = (
        "from spiffe://cluster.local/ns/shop/sa/web at 127.0.0.1 by "
        "rbac_access_denied_matched_policy[mesh[default]-permission[try]-from[0]]"
    )
    lines = [line for line in calls.scene.log("kv").splitlines() if "dry run" in line]
    assert lines
    assert [line for line in lines if not line.endswith(ending)] == []
    name = f"http.inbound_{calls.scene.port}.rbac.dry_run_deny.shadow_denied"
    assert await calls.scene.envoys["kv"].stat(name) >= 1


async def test_plaintext_has_no_identity_so_it_passes_only_where_anybody_may(calls: Calls) -> None:
    calls.scene.apply(mesh(mode="PERMISSIVE"), demand("default", "PERMISSIVE"))
    demo = permission("one", "Allow", of={"kind": "MeshService", "name": "demo"})
    named = policy("one", "ALLOW", source(namespaces=["shop"]))
    calls.scene.apply(demo, named)
    for task in ("kv", "a1"):
        await plaintext_becomes(calls, task, 403)
    calls.scene.apply(permission("one", "Allow", of=ALL), policy("one", "ALLOW", {}))
    for task in ("kv", "a1"):
        await plaintext_becomes(calls, task, 200)
    calls.scene.apply(policy("known", "DENY", source(notPrincipals=["*"])))
    await plaintext_becomes(calls, "a1", 403)
    assert (await calls.get("web", "app")).status_code == 200


async def plaintext_becomes(calls: Calls, task: str, status: int) -> None:
    async def answered() -> bool:
        async with calls.client() as client:
            try:
                found = await client.get(f"http://{calls.scene.addresses[task]}:{calls.scene.port}/")
            except httpx.TransportError:  # not permissive yet
                return False
            return found.status_code == status

    await until(answered)


async def test_callers_are_named_in_every_way(calls: Calls) -> None:
    """A field of a source, its value, and whether that means `web`, `demo`."""
    named = (
        ("principals", "cluster.local/ns/shop/sa/web", True, False),
        ("principals", "default/demo", False, True),
        ("principals", "cluster.local/ns/sh*", True, False),
        ("principals", "*/demo", False, True),
        ("principals", "*", True, True),
        ("notPrincipals", "default/demo", True, False),
        ("namespaces", "shop", True, False),
        ("namespaces", "*op", True, False),
        ("namespaces", "kuma-default", False, True),
        ("serviceAccounts", "web", True, False),
        ("serviceAccounts", "bank/web", False, False),
        ("ipBlocks", "127.0.0.0/8", True, True),
        ("notIpBlocks", "127.0.0.0/8", False, False),
    )
    for field, value, web, demo in named:
        calls.scene.apply(policy("one", "ALLOW", source(**{field: [value]})))
        for caller, may in (("web", web), ("demo", demo)):
            await calls.becomes(caller, "app", 200 if may else 403)


async def test_methods_paths_hosts_headers_and_addresses_are_looked_at(calls: Calls) -> None:
    operation = {"methods": ["GET"], "paths": ["/ok*", "/files/{*}/raw"], "hosts": ["APP"]}
    when = [{"key": "request.headers[x-who]", "values": ["me"]}, {"key": "source.ip", "values": ["127.0.0.0/8"]}]
    calls.scene.apply(policy("one", "ALLOW", {"to": [{"operation": operation}], "when": when}))
    await calls.becomes("web", "app", 403)
    mine = {"x-who": "me"}
    for path, headers, status in (
        ("/ok?x", mine, 200), ("/files/a/raw", mine, 200), ("/files/a/b/raw", mine, 403),
        ("/ok", {}, 403), ("/other/../ok", mine, 200), ("/ok/../other", mine, 403),
    ):  # fmt: skip
        await calls.becomes("web", "app", status, path=path, **headers)


@asynccontextmanager
async def greeter() -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A gRPC application with a call that answers at once, and one that answers until it is told to end."""
    end = asyncio.Event()

    async def once(_request: bytes, _context: Any) -> bytes:
        return b"hello"

    async def stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        while not end.is_set():
            yield b"tick"
            await asyncio.sleep(0.05)

    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(once),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port, end
    finally:
        end.set()
        await server.stop(None)


async def test_grpc_is_refused_call_by_call_and_a_stream_that_flows_flows_on(calls: Calls) -> None:
    async with greeter() as (port, end):
        scene = calls.scene
        scene.add_app("hi", port, silent=True, protocol="GRPC")
        await scene.start("h1", "hi")
        scene.add_app("cli", hosts=["./hi.shop.svc.cluster.local"])
        await scene.start("c1", "cli")
        options = (("grpc.default_authority", "hi"),)
        async with grpc.aio.insecure_channel(f"{scene.binds['cli']}:{scene.port}", options=options) as channel:
            once, stream = channel.unary_unary("/test.Greeter/Once"), channel.unary_stream("/test.Greeter/Stream")
            assert await once(b"", wait_for_ready=True, timeout=BOUND) == b"hello"
            flowing = stream(b"", timeout=BOUND)
            assert await flowing.read() == b"tick"
            only_once = {"to": [{"operation": {"paths": ["/test.Greeter/Once"]}}]}
            scene.apply(policy("one", "DENY", only_once, app="hi"))

            async def refused() -> bool:
                try:
                    await once(b"", timeout=BOUND)
                except grpc.aio.AioRpcError as error:
                    return error.code() is grpc.StatusCode.PERMISSION_DENIED
                return False

            await until(refused)
            assert await flowing.read() == b"tick"
            end.set()


async def test_a_stream_of_bytes_to_another_port_lives_on(calls: Calls) -> None:
    async with echo_tcp() as port:
        scene = calls.scene
        scene.add_app("db", port, silent=True, protocol="TCP")
        await scene.start("d1", "db")
        scene.add_app("job", hosts=["./db.shop.svc.cluster.local"])
        await scene.start("j1", "job")
        async with connection(scene.binds["job"], scene.port) as (reader, writer):
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            scene.apply(policy("no-web", "DENY", source(principals=[WEB])))
            await calls.becomes("web", "app", 403)
            writer.write(b"two")
            assert await reader.readexactly(3) == b"two"


async def test_a_proxy_that_starts_is_guarded_from_its_first_answer_on(calls: Calls) -> None:
    """Its port opens only with its permissions."""
    scene = calls.scene
    scene.apply(policy("nobody", "ALLOW", app="late"), demand("late", "PERMISSIVE", app="late"))
    scene.add_app("late", free_port(), silent=True)
    starting = asyncio.create_task(scene.start("late-1", "late"))
    statuses: set[int] = set()

    async def answered() -> bool:
        async with calls.client() as client:
            with suppress(httpx.TransportError, KeyError):  # not there yet
                where = f"http://{scene.addresses['late-1']}:{scene.port}/"
                statuses.add((await client.get(where)).status_code)
        return starting.done() and bool(statuses)

    await until(answered)
    await starting
    assert statuses == {403}


async def test_what_changed_while_the_control_plane_was_away_holds_as_soon_as_it_is_back(tmp_path: Path) -> None:
    """Until then proxies keep what they had, denials included."""
    board, pki = WorldBoard(), Pki()
    async with AsyncExitStack() as stack, echo_http("app") as app:
        async with serving(board, pki) as (_, port):
            scene = Scene(tmp_path, board, stack, port, pki)
            scene.apply(authority("default", DOMAIN, scene.authority.pem))
            scene.add_app("app", app, silent=True)
            scene.add_app("web", hosts=["./app.shop.svc.cluster.local"])
            await scene.start("a1", "app")
            await scene.start("w1", "web")
            calls = Calls(scene, {("web", "app"): (scene.binds["web"], scene.port, "app")})
            denial = policy("no", "DENY", source(namespaces=["shop"]))
            scene.apply(denial)
            await calls.becomes("web", "app", 403)
        assert (await calls.get("web", "app")).status_code == 403
        scene.board.apply(deleted(denial))
        async with serving(board, pki, port=port):
            await calls.becomes("web", "app", 200)
            scene.apply(denial)
            await calls.becomes("web", "app", 403)
