"""Whatever happens in whatever order, the short cut says what starting anew would, and marks exactly what differs."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outrig.control.world import World
from outrig.dialects.istio.readiness import ReadyReason
from outrig.envoy import api
from outrig.errors import Finding
from outrig.model import Trust
from outrig.resources import Key, Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, ProxyId
from tests.mesh_making import (
    KINDS,
    NOON,
    Plain,
    added,
    all_snapshots,
    batch_snapshots,
    deleted,
    demand,
    group,
    make,
    namespace,
    service,
    sidecar,
    task,
    trust,
)

pytestmark = pytest.mark.slow

SPACES = st.sampled_from(["shop", "bank", "istio-system"])
APPS = st.sampled_from(["a", "b"])
HOSTS = st.sampled_from(
    ["./*", "*/*", "bank/*", "shop/a.shop.svc.cluster.local", "*/*.svc.cluster.local", "~/a.shop.svc.cluster.local"]
)
MODES = st.sampled_from(["STRICT", "PERMISSIVE", "DISABLE", "UNSET"])


def egress(bind: str | None, port: int | None, protocol: str, hosts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"hosts": hosts}
    if bind:
        found["bind"] = bind
    if port:
        found["port"] = {"number": port, "protocol": protocol}
    return found


EGRESS = st.builds(
    egress,
    st.sampled_from([None, "127.0.0.2", "127.0.0.3"]),
    st.sampled_from([None, 9080, 3306]),
    st.sampled_from(["", "HTTP", "TCP", "HTTP_PROXY"]),
    st.lists(HOSTS, min_size=1, max_size=2),
)
SOCKETS = st.builds(
    lambda path, protocol, hosts: {
        "bind": f"unix://{path}",
        "port": {"number": 0, "protocol": protocol},
        "hosts": hosts,
    },
    st.sampled_from(["/run/one", "@two"]),
    st.sampled_from(["", "HTTP", "TCP"]),
    st.lists(HOSTS, min_size=1, max_size=2),
)
POLICIES = st.sampled_from(
    [
        {},
        {"mode": "ALLOW_ANY"},
        *(
            {"mode": "ALLOW_ANY", "egressProxy": {"host": host, "port": {"number": 9080}}}
            for host in ("a.shop.svc.cluster.local", "b.bank.svc.cluster.local")
        ),
    ]
)
INGRESS = st.lists(
    st.builds(
        lambda number, protocol, endpoint, pool: {
            "port": {"number": number, "protocol": protocol},
            "defaultEndpoint": endpoint,
            "connectionPool": pool,
        },
        st.sampled_from([9080, 9081]),
        st.sampled_from(["HTTP", "TCP"]),
        st.sampled_from(["", "127.0.0.1:8080", "0.0.0.0:9080", "unix:///run/one"]),
        st.sampled_from([None, {"tcp": {"maxConnections": 1, "idleTimeout": "1s"}}]),
    ),
    min_size=1,
    max_size=2,
)
NEAR = "networking.istio.io/traffic-distribution"
SERVICES = st.builds(
    lambda name, space, port, spoken, app, near: service(
        name, space, port=port, port_name=spoken, app=app, target=spoken if port == 3306 else port, near=near
    ),
    st.sampled_from(["a", "b", "c"]),
    SPACES,
    st.sampled_from([9080, 3306]),
    st.sampled_from(["http", "grpc", "tcp", "x"]),
    APPS,
    st.sampled_from(["", "PreferClose"]),
)
PLACES = st.sampled_from(["", "r1/z1", "r1/z2", "r2/z1/deep"])
ADDRESSES = st.sampled_from(["10.8.0.1", "10.8.0.2", "one.example.com", "unix:///run/one.sock"])
INLINE = st.builds(
    lambda address, account, app, place: {
        "address": address,
        "serviceAccount": account,
        "labels": {"app": app},
        "locality": place,
    },
    ADDRESSES,
    st.sampled_from(["", "a"]),
    APPS,
    PLACES,
)
SOURCES = st.one_of(
    st.just({}),
    st.lists(INLINE, min_size=1, max_size=2).map(lambda endpoints: {"endpoints": endpoints}),
    APPS.map(lambda app: {"workloadSelector": {"labels": {"app": app}}}),
)


def entry(name: str, space: str, hosts: list[str], port: int, **more: Any) -> Resource:
    """A ServiceEntry."""
    near, sources = more.pop("near"), more.pop("sources")
    ports = [{"number": port, "name": more.pop("spoken"), "protocol": more.pop("protocol")}]
    made = make("ServiceEntry", name, space, {"hosts": hosts, "ports": ports, **sources, **more})
    return replace(made, annotations={NEAR: near} if near else {})


ENTRIES = st.builds(
    entry,
    st.sampled_from(["e", "f"]),
    SPACES,
    st.sampled_from(
        [["ext.example.com"], ["a.shop.svc.cluster.local"], ["*.example.com"], ["ext.example.com", "other.example.com"]]
    ),
    st.sampled_from([9080, 3306]),
    protocol=st.sampled_from(["HTTP", "TCP", ""]),
    spoken=st.sampled_from(["http", "tcp"]),
    resolution=st.sampled_from(["STATIC", "DNS", "DNS_ROUND_ROBIN", "NONE"]),
    location=st.sampled_from(["MESH_INTERNAL", "MESH_EXTERNAL"]),
    sources=SOURCES,
    near=st.sampled_from(["", "PreferClose"]),
    exportTo=st.sampled_from([[], ["."], ["~"]]),
    subjectAltNames=st.sampled_from([[], ["spiffe://cluster.local/ns/shop/sa/x"]]),
)
GROUPS = st.builds(
    lambda name, space, account: group(name, space, account=account), APPS, SPACES, st.sampled_from(["a", "b"])
)
TASKS = st.builds(
    lambda name, app, octet, space, reason, account, ports, place: task(
        f"t{name}", app, f"10.0.0.{octet}", space=space, reason=reason, account=account, ports=ports, locality=place
    ),
    st.integers(0, 3),
    APPS,
    st.integers(1, 4),
    SPACES,
    st.sampled_from([ReadyReason.READY, ReadyReason.STARTING, ReadyReason.DRAINING]),
    st.sampled_from(["a", "b"]),
    st.sampled_from([{}, {"tcp": 3307}, {"http": 8080}]),
    PLACES,
)


def first_task(number: int, place: str, reason: ReadyReason) -> Resource:
    """One of those that are there from the start, perhaps elsewhere or in another state."""
    return task(f"t{number}", "aab"[number], f"10.0.0.{number}", locality=place, reason=reason)


FIRST_TASKS = st.builds(
    first_task, st.integers(0, 2), PLACES, st.sampled_from([ReadyReason.READY, ReadyReason.STARTING])
)
MACHINES = st.builds(
    lambda name, app, space, account, address: make(
        "WorkloadEntry", f"m{name}", space, {"address": address, "serviceAccount": account}, app=app
    ),
    st.integers(0, 1),
    APPS,
    SPACES,
    st.sampled_from(["", "a"]),
    ADDRESSES,
)
SIDECARS = st.builds(
    lambda name, space, app, egress, ingress, policy: sidecar(
        f"s{name}", space, app=app, egress=egress, ingress=ingress, outboundTrafficPolicy=policy
    ),
    st.integers(0, 1),
    SPACES,
    st.sampled_from(["", "a"]),
    st.lists(st.one_of(EGRESS, EGRESS, SOCKETS), min_size=1, max_size=3),
    INGRESS,
    POLICIES,
)
DEMANDS = st.builds(
    lambda name, mode, space, app, port: demand(f"d{name}", mode, space, app=app, p9080=port),
    st.integers(0, 1),
    MODES,
    SPACES,
    st.sampled_from(["", "a"]),
    MODES,
)
NAMESPACES = st.builds(namespace, SPACES, st.sampled_from(["default", "other"]))
TRUSTS = st.builds(
    lambda mesh, domain, authority: trust(mesh, domain, authority),
    st.sampled_from(["default", "other"]),
    st.sampled_from(["cluster.local", "example.org"]),
    st.integers(0, 1),
)
AGES = st.integers(0, 2).map(lambda hours: NOON + timedelta(hours=hours))


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    made = draw(st.one_of(SERVICES, ENTRIES, GROUPS, TASKS, FIRST_TASKS, MACHINES, SIDECARS, DEMANDS, NAMESPACES))
    return replace(made, created=draw(AGES))


ENTRY: dict[str, Any] = {
    "protocol": "HTTP",
    "spoken": "http",
    "location": "MESH_INTERNAL",
    "near": "",
    "sources": {"endpoints": [{"address": "10.8.0.1", "serviceAccount": "a", "labels": {"app": "a"}}]},
}
START = (
    *(service(name, space) for name in ("a", "b") for space in ("shop", "bank")),
    *(group(name, space) for name in ("a", "b") for space in ("shop", "bank")),
    *(sidecar("s0", space, egress=[egress("127.0.0.2", 9080, "", ["*/*"])]) for space in ("shop", "bank")),
    *(first_task(number, place, ReadyReason.READY) for number, place in enumerate(("r1/z1", "r1/z2", "r2/z1"))),
    task("t3", "a", "10.0.0.9", space="bank"),
    *(
        entry(resolution.lower(), "shop", [f"{resolution.lower()}.example.com"], 9080, **more, resolution=resolution)
        for resolution, more in (
            ("STATIC", {**ENTRY, "sources": {"workloadSelector": {"labels": {"app": "a"}}}, "near": "PreferClose"}),
            ("DNS", {**ENTRY, "sources": {"workloadSelector": {"labels": {"app": "a"}}}}),
            ("DNS_ROUND_ROBIN", {**ENTRY, "sources": {"endpoints": [{"address": "x.y", "serviceAccount": "a"}]}}),
        )
    ),
    entry("inline", "bank", ["inline.example.com"], 9080, **ENTRY, resolution="STATIC"),
)
STEPS = st.lists(
    st.one_of(TRUSTS, st.lists(st.tuples(st.booleans(), resources()), min_size=1, max_size=6)), min_size=1, max_size=8
)
PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


class Checked:
    """A world beside the plain list of what is in it."""

    def __init__(self) -> None:
        self.world = World(KINDS)
        self.resources: dict[Key, Resource] = {}
        self.trusts: dict[Key, Trust] = {}
        self.before: dict[ProxyId, Plain] = {}
        self.findings: dict[ProxyId, tuple[Finding, ...]] = {}
        self.step(trust())
        self.step([(True, resource) for resource in START])

    def step(self, what: Trust | list[tuple[bool, Resource]]) -> None:
        if isinstance(what, Trust):
            self.trusts[what.origin] = what
            dirty = self.world.trust(what)
        else:
            changes = []
            for there, resource in what:
                changes += added(resource) if there else deleted(resource)
                if there:
                    self.resources[resource.key] = resource
                else:
                    self.resources.pop(resource.key, None)
            dirty = self.world.apply(changes)
        now = all_snapshots(self.world)
        assert now == batch_snapshots(self.resources.values(), self.trusts.values())
        assert {proxy: dict(names) for proxy, names in dirty.items()} == differences(self.before, now)
        assert self.world.take_doubtful() >= self.changed_findings()
        self.before = now

    def changed_findings(self) -> set[ProxyId]:
        before, self.findings = self.findings, {proxy: self.world.findings(proxy) for proxy in self.world.proxies()}
        proxies = before.keys() | self.findings.keys()
        return {proxy for proxy in proxies if before.get(proxy, ()) != self.findings.get(proxy, ())}


def differences(before: dict[ProxyId, Plain], now: dict[ProxyId, Plain]) -> dict[ProxyId, dict[str, set[str]]]:
    found: dict[ProxyId, dict[str, set[str]]] = {}
    for proxy in before.keys() | now.keys():
        for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET):
            old, new = before.get(proxy, {}).get(url, {}), now.get(proxy, {}).get(url, {})
            names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            if names:
                found.setdefault(proxy, {})[url] = names
    return found


@given(STEPS)
@PATIENT
def test_the_index_agrees_with_the_batch_after_every_step_and_marks_exactly_what_differs(steps: list[Any]) -> None:
    checked = Checked()
    for step in steps:
        checked.step(step)


@given(st.lists(resources(), max_size=12, unique_by=lambda r: r.key), st.randoms(use_true_random=False))
@PATIENT
def test_the_order_in_which_resources_appear_means_nothing(made: list[Resource], random: Any) -> None:
    shuffled = random.sample(made, len(made))
    at_once, one_by_one = World(KINDS), World(KINDS)
    at_once.apply(added(*made))
    at_once.trust(trust())
    one_by_one.trust(trust())
    for resource in shuffled:
        one_by_one.apply(added(resource))
    assert all_snapshots(at_once) == all_snapshots(one_by_one)
    for proxy in at_once.proxies():
        assert at_once.findings(proxy) == one_by_one.findings(proxy)


@given(st.lists(resources(), max_size=12, unique_by=lambda r: r.key))
@PATIENT
def test_what_comes_and_goes_leaves_nothing_behind(made: list[Resource]) -> None:
    world = World(KINDS)
    world.trust(trust())
    world.apply(added(*made))
    world.apply(deleted(*made))
    assert all_snapshots(world) == {}


@given(st.lists(resources(), max_size=16, unique_by=lambda r: r.key))
@PATIENT
def test_every_reference_resolves(made: list[Resource]) -> None:
    world = World(KINDS)
    world.trust(trust())
    world.trust(trust("other", "other.org"))
    world.apply(added(*made))
    for snapshot in all_snapshots(world).values():
        check_references(snapshot)


def check_references(snapshot: Plain) -> None:
    clusters = [decode(body, api.Cluster) for body in snapshot[CLUSTER].values()]
    listeners = [decode(body, api.Listener) for body in snapshot[LISTENER].values()]
    routes = [decode(body, api.RouteConfiguration) for body in snapshot[ROUTES].values()]
    called = {c.name for c in clusters if c.type == api.Cluster.EDS}
    assert called == snapshot[ENDPOINTS].keys()
    targets = {
        r.route.cluster for table in routes for host in table.virtual_hosts for r in host.routes if r.route.cluster
    }
    wanted = set()
    for listener in listeners:
        for filters in (chain.filters for chain in listener.filter_chains):
            wanted |= {
                decode_any(f, api.HttpConnectionManager).rds.route_config_name
                for f in filters
                if f.name.endswith("manager")
            }
            targets |= {decode_any(f, api.TcpProxy).cluster for f in filters if f.name.endswith("tcp_proxy")}
    assert wanted == snapshot[ROUTES].keys()
    assert targets == snapshot[CLUSTER].keys()
    bodies = b"".join([*snapshot[CLUSTER].values(), *snapshot[LISTENER].values()])
    assert {name.decode() for name in re.findall(rb"trust/[a-z]+", bodies)} <= snapshot[SECRET].keys()
    domains = [[domain for host in table.virtual_hosts for domain in host.domains] for table in routes]
    assert all(len(some) == len(set(some)) for some in domains)
    addresses = [listener.address.SerializeToString() for listener in listeners]
    assert len(addresses) == len(set(addresses))


def decode(body: bytes, kind: Any) -> Any:
    return kind.FromString(api.Resource.FromString(body).resource.value)


def decode_any(holder: Any, kind: Any) -> Any:
    return kind.FromString(holder.typed_config.value)
