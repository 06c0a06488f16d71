"""What a change of permissions costs: those it is for are decided anew, and sent extensions alone."""

from outrig.control.world import World
from outrig.dialects.readiness import ReadyReason
from outrig.resources import Resource
from outrig.snapshot import EXTENSION, ProxyId
from tests.mesh_making import (
    added,
    dataplane,
    deleted,
    group,
    make,
    mesh,
    service,
    sidecar,
    tagged,
    task,
    world_of,
)
from tests.truth_table import permission, policy, source

WEB, APP, OTHER = ProxyId("shop/web-1"), ProxyId("shop/app-1"), ProxyId("shop/app-2")
KV, DEMO = ProxyId("dataplane/default/kv"), ProxyId("dataplane/default/demo")
DENY, ALLOW = "inbound|9080|http|deny", "inbound|9080|http|allow"


def shop(*more: Resource) -> World:
    """`web` and `app` (two tasks) are groups, `kv` and `demo` Dataplanes."""
    return world_of(
        *(group(name) for name in ("web", "app")),
        *(service(name) for name in ("web", "app")),
        sidecar("all", egress=[]),
        task("web-1", "web", "10.0.0.1"),
        task("app-1", "app", "10.0.0.2"),
        task("app-2", "app", "10.0.0.3"),
        mesh(),
        dataplane("kv", "10.0.0.4", inbound={"kv": 9080}),
        dataplane("demo", "10.0.0.5", inbound=[tagged("demo", 9080, team="blue")]),
        *more,
    )


def test_a_policy_sends_one_extension_to_those_it_is_for_and_the_same_bytes_to_all() -> None:
    world = shop()
    before = world.work
    dirty = world.apply(added(policy("one", "DENY", source(namespaces=["shop"]))))
    assert dirty == {proxy: {EXTENSION: {DENY}} for proxy in (APP, OTHER)}
    assert world.work.views - before.views == 2
    assert world.work.outlooks == before.outlooks
    first, second = (world.snapshot(proxy) for proxy in (APP, OTHER))
    assert first is not None
    assert second is not None
    assert first[EXTENSION][DENY] is second[EXTENSION][DENY]
    assert world.apply(added(policy("one", "DENY", source(namespaces=["shop"])))) == {}
    assert world.apply(deleted(policy("one", "DENY"))) == dirty


def test_a_permission_for_inbounds_by_their_tags_touches_those_that_have_them() -> None:
    world = shop()
    before = world.work
    allow = permission("one", "Allow", of={"kind": "Mesh"}, to={"kind": "MeshSubset", "tags": {"team": "blue"}})
    assert world.apply(added(allow)) == {DEMO: {EXTENSION: {ALLOW}}}
    assert world.work.views - before.views == 1


def test_a_permission_of_the_other_dialect_changes_nothing() -> None:
    world = shop()
    assert world.apply(added(policy("one", "DENY", {}, space="istio-system", app=""))).keys() == {WEB, APP, OTHER}
    assert world.apply(added(permission("one", "Allow", of={"kind": "Mesh"}))).keys() == {KV, DEMO}


def test_a_group_that_comes_to_be_named_changes_the_permissions_that_name_it() -> None:
    """By its labels, and by the service that chooses it."""
    blue = {"kind": "MeshSubset", "tags": {"app": "late"}}
    kv = {"kind": "MeshService", "name": "kv"}
    world = shop(
        permission("labels", "Allow", of=blue, to=kv),
        permission("service", "Allow", of={"kind": "MeshService", "name": "late_shop_svc_9080"}, to=kv),
    )
    late = group("late")
    assert world.apply(added(late)) == {KV: {EXTENSION: {ALLOW}}}
    assert world.apply(added(service("late"))) == {KV: {EXTENSION: {ALLOW}}}
    assert world.apply(added(group("late", account="another"))) == {KV: {EXTENSION: {ALLOW}}}
    assert world.apply(added(group("unnamed"))) == {}
    assert world.apply(deleted(service("late"))) == {KV: {EXTENSION: {ALLOW}}}
    assert world.apply(deleted(late)) == {KV: {EXTENSION: {ALLOW}}}


def test_a_task_that_comes_or_goes_changes_no_permission_of_others() -> None:
    of = {"kind": "MeshService", "name": "app_shop_svc_9080"}
    world = shop(permission("one", "Allow", of=of))
    assert KV not in world.apply(added(task("app-3", "app", "10.0.0.9")))
    assert KV not in world.apply(added(task("app-3", "app", "10.0.0.9", reason=ReadyReason.UNHEALTHY)))
    assert KV not in world.apply(deleted(task("app-3", "app", "10.0.0.9")))


def test_a_label_that_a_task_adds_lends_it_no_permission() -> None:
    """Its group does not declare it, so who names that label, or a service that selects it, does not mean the task."""
    kv = {"kind": "MeshService", "name": "kv"}
    world = shop(
        make("Service", "admins", "shop", {"selector": {"role": "admin"}, "ports": [{"port": 80}]}),
        permission("labels", "Allow", of={"kind": "MeshSubset", "tags": {"role": "admin"}}, to=kv),
        permission("service", "Allow", of={"kind": "MeshService", "name": "admins_shop_svc_80"}, to=kv),
    )
    dirty = world.apply(added(task("web-2", "web", "10.0.0.9", labels={"role": "admin"})))
    assert KV not in dirty
    assert b"/ns/shop/sa/" not in allowed(world)
    world.apply(added(make("WorkloadGroup", "admins", "shop", {"template": {"serviceAccount": "boss"}}, role="admin")))
    assert b"/ns/shop/sa/boss" in allowed(world)


def allowed(world: World) -> bytes:
    """What `kv` allows, as it is sent."""
    snapshot = world.snapshot(KV)
    assert snapshot is not None
    return snapshot[EXTENSION][ALLOW].body
