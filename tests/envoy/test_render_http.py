"""Requests between two real proxies: names, identities, protocols."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outrig.envoy.clusters import upstream_cluster
from outrig.envoy.encodings import encode
from outrig.model import Protocol
from outrig.resources import Key
from outrig.snapshot import CLUSTER, ProxyId, Snapshot
from outrig.view import Destination, Upstream
from tests.envoy.render_scene import DOMAIN, Scene, authority, connection, echo_http, running_scene, until
from tests.mesh_making import added, deleted, demand, service
from tests.mesh_making import authority as kept_authority

pytestmark = pytest.mark.slow

RATINGS = f"spiffe://{DOMAIN}/ns/shop/sa/ratings"
HOST = "ratings.shop.svc.cluster.local"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """`web` calls, `ratings` answers."""
    async with running_scene(tmp_path) as scene, echo_http("ratings") as port:
        scene.add_app("ratings", port, silent=True)
        scene.add_app("web")
        await scene.start("r1", "ratings")
        await scene.start("w1", "web")
        yield scene


NAMES = (
    "ratings",
    "ratings.shop",
    "ratings.shop.svc",
    "ratings.shop.svc.cluster.local",
    "ratings.shop.svc.cluster.local.",
)


async def test_every_name_form_leads_to_the_service_with_and_without_port(scene: Scene) -> None:
    for name in NAMES:
        for host in (name, f"{name}:{scene.port}", name.upper()):
            answer = await scene.call("web", host)
            assert answer.status_code == 200, host
            assert answer.json()["headers"]["host"] == host


async def test_an_unknown_host_gets_502(scene: Scene) -> None:
    assert (await scene.call("web", "nobody.shop")).status_code == 502


async def test_the_application_learns_who_called_and_a_forged_header_is_dropped(scene: Scene) -> None:
    answer = await scene.call("web", "ratings", **{"x-forwarded-client-cert": "URI=spiffe://forged"})
    told = answer.json()["headers"]["x-forwarded-client-cert"]
    assert told.startswith(f"By={RATINGS};Hash=")
    assert told.endswith(f";URI={WEB}")


async def test_answers_say_envoy_to_the_caller_and_the_receiving_proxy_leaves_them_alone(scene: Scene) -> None:
    assert (await scene.call("web", "ratings")).headers["server"] == "envoy"
    direct = await direct_call(scene, scene.tls(WEB, "mesh"))
    assert b"server: app\r\n" in direct


async def test_the_access_log_shows_cluster_addresses_and_peer(scene: Scene) -> None:
    await scene.call("web", "ratings", "/ratings/0")

    async def logged() -> bool:
        return "/ratings/0" in scene.log("r1")

    await until(logged)
    line = next(line for line in scene.log("r1").splitlines() if "/ratings/0" in line)
    assert '"GET /ratings/0 HTTP/2" 200 - via_upstream' in line
    assert f" inbound|{scene.port}|| 127.0.0.1:" in line
    assert f" {scene.addresses['r1']}:{scene.port} 127.0.0.1:" in line


async def direct_call(scene: Scene, tls: ssl.SSLContext | None, headers: bytes = b"") -> bytes:
    """A request past all egress, as a foreign program sends it; empty if the connection was cut."""
    try:
        async with connection(scene.addresses["r1"], scene.port, tls) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: ratings\r\nconnection: close\r\n" + headers + b"\r\n")
            return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""


async def test_plaintext_is_refused_and_logged(scene: Scene) -> None:
    assert await direct_call(scene, None) == b""

    async def logged() -> bool:
        return "filter_chain_not_found" in scene.log("r1")

    await until(logged)


async def test_who_has_a_certificate_of_the_mesh_is_let_in(scene: Scene) -> None:
    assert (await direct_call(scene, scene.tls(WEB, "mesh"))).startswith(b"HTTP/1.1 200")


async def test_a_foreign_authority_is_refused(scene: Scene) -> None:
    assert await direct_call(scene, scene.tls(WEB, "mesh", by=authority("foreign"))) == b""


async def test_another_trust_domain_of_the_same_authority_is_refused(scene: Scene) -> None:
    assert await direct_call(scene, scene.tls("spiffe://cluster.local.evil/ns/shop/sa/web", "mesh")) == b""


async def test_no_certificate_is_refused(scene: Scene) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["mesh"])
    assert await direct_call(scene, tls) == b""


async def test_tls_1_2_is_refused(scene: Scene) -> None:
    tls = scene.tls(WEB, "mesh")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    assert await direct_call(scene, tls) == b""


async def test_a_task_with_another_identity_than_its_service_is_not_called(scene: Scene) -> None:
    """It has the labels and a good certificate of the mesh, but not that of the service."""
    scene.write_workload(scene.directory / "r1", f"spiffe://{DOMAIN}/ns/shop/sa/thief")

    async def refused() -> bool:
        return (await scene.call("web", "ratings")).status_code == 503

    async def said_why() -> bool:
        return "CERTIFICATE_VERIFY_FAILED" in scene.log("w1") and "sa/thief" in scene.log("w1")

    await until(refused)
    await until(said_why)


async def test_a_cluster_that_accepts_nobody_calls_nobody(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """No identities must not mean any identity. A world never assigns such a cluster endpoints that speak TLS."""
    upstream = Upstream(Destination(Key("", "Service", "", "shop", "ratings"), HOST, scene.port), Protocol.HTTP, ())
    nobody = encode(upstream_cluster("default", upstream))
    world = scene.board.world

    def doctored(proxy: ProxyId) -> Snapshot | None:
        snapshot = world.snapshot(proxy)
        return snapshot and {**snapshot, CLUSTER: {**snapshot[CLUSTER], nobody.name: nobody}}

    monkeypatch.setattr(scene.board, "snapshot", doctored)
    scene.add_app("cron")
    await scene.start("c1", "cron")
    assert (await scene.call("cron", "ratings")).status_code == 503

    async def said_why() -> bool:
        return "CERTIFICATE_VERIFY_FAILED" in scene.log("c1")

    await until(said_why)


async def test_a_new_certificate_is_used_without_a_failed_request(scene: Scene) -> None:
    for _ in range(3):
        scene.write_workload(scene.directory / "r1", RATINGS)
        for _ in range(10):
            assert (await scene.call("web", "ratings")).status_code == 200


async def test_authorities_that_are_replaced_over_ads_are_used_at_once(scene: Scene) -> None:
    other = authority("other")
    scene.apply(kept_authority("default", DOMAIN, other.pem))

    async def trusted() -> bool:
        return (await direct_call(scene, scene.tls(WEB, "mesh", by=other))).startswith(b"HTTP/1.1 200")

    await until(trusted)
    assert await direct_call(scene, scene.tls(WEB, "mesh")) == b""


async def test_a_permissive_port_takes_plaintext_too_and_strict_members_go_on(scene: Scene) -> None:
    scene.apply(demand("relaxed", "PERMISSIVE"))

    async def open_to_all() -> bool:
        return (await direct_call(scene, None)).startswith(b"HTTP/1.1 200")

    await until(open_to_all)
    answer = await scene.call("web", "ratings")
    assert answer.json()["headers"]["x-forwarded-client-cert"].endswith(f"URI={WEB}")
    forged = b"x-forwarded-client-cert: URI=spiffe://forged\r\n"
    assert b"spiffe://forged" not in await direct_call(scene, None, forged)


async def test_a_port_without_tls_is_called_without_tls(scene: Scene) -> None:
    scene.apply(demand("open", "DISABLE", app="ratings"))

    async def anonymous() -> bool:
        answer = await scene.call("web", "ratings")
        return answer.status_code == 200 and "x-forwarded-client-cert" not in answer.json()["headers"]

    await until(anonymous)


async def test_a_service_that_appears_and_goes_is_followed(scene: Scene) -> None:
    scene.board.apply(added(service("alias", port=scene.port, app="ratings")))

    async def status(expected: int) -> bool:
        return (await scene.call("web", "alias")).status_code == expected

    await until(lambda: status(200))
    scene.board.apply(deleted(service("alias", port=scene.port, app="ratings")))
    await until(lambda: status(502))


async def test_a_task_that_joins_rewrites_nothing_of_others(scene: Scene) -> None:
    before = scene.board.world.snapshot(ProxyId("shop/w1"))
    work = scene.board.world.work
    await scene.start("r2", "ratings")
    after = scene.board.world.snapshot(ProxyId("shop/w1"))
    assert before is not None
    assert after is not None
    changed = {url for url, some in after.items() if dict(some) != dict(before[url])}
    assert changed <= {"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"}
    assert scene.board.world.work.views == work.views + 1


async def test_relaxing_the_mode_drains_no_connection_of_members(scene: Scene) -> None:
    """The chains for mutual TLS stay byte for byte as they were, so Envoy updates the listener in place."""
    await scene.call("web", "ratings")
    scene.apply(demand("relaxed", "PERMISSIVE"))

    async def open_to_all() -> bool:
        return (await direct_call(scene, None)).startswith(b"HTTP/1.1 200")

    await until(open_to_all)
    assert await scene.envoys["r1"].stat("listener_manager.listener_in_place_updated") == 1
    assert await scene.envoys["r1"].stat("listener_manager.total_filter_chains_draining") == 0
    await scene.call("web", "ratings")
    found = await scene.envoys["w1"].get("/stats?format=json&filter=ratings_shop.*upstream_cx_total")
    assert [stat["value"] for stat in found["stats"]] == [1]
