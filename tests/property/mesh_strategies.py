"""Resources of small meshes in both dialects, such that they have much to do with each other."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from outrig.dialects.readiness import ReadyReason
from outrig.resources import Resource
from tests.mesh_making import (
    NOON,
    dataplane,
    demand,
    document,
    group,
    make,
    mesh,
    namespace,
    offer,
    service,
    sidecar,
    task,
    trust,
)

SPACES = st.sampled_from(["shop", "bank", "istio-system"])
APPS = st.sampled_from(["a", "b"])
HOSTS = st.sampled_from(
    [
        "./*",
        "*/*",
        "bank/*",
        "shop/a.shop.svc.cluster.local",
        "*/*.svc.cluster.local",
        "~/a.shop.svc.cluster.local",
        "*/a.mesh",
        "kuma-default/*",
    ]
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
AUTHORITIES = st.builds(
    lambda mesh, domain, numbers: trust(mesh, domain, *numbers),
    st.sampled_from(["default", "other"]),
    st.sampled_from(["cluster.local", "example.org"]),
    st.sampled_from([(0,), (1,), (0, 1)]),
)
MESHES = st.builds(mesh, st.sampled_from(["default", "other"]), st.sampled_from(["", "STRICT", "PERMISSIVE"]))
INBOUND = st.fixed_dictionaries(
    {
        "port": st.sampled_from([9080, 3306]),
        "servicePort": st.just(8000),
        "tags": st.fixed_dictionaries(
            {"kuma.io/service": APPS, "kuma.io/protocol": st.sampled_from(["http", "http2", "tcp"])},
            optional={"version": st.sampled_from(["v1", "v2"])},
        ),
    },
    optional={"state": st.sampled_from(["Ready", "NotReady", "Ignored"]), "serviceProbe": st.just({"tcp": {}})},
)
OUTBOUND = st.fixed_dictionaries(
    {
        "port": st.sampled_from([9080, 9081, 3306]),
        "tags": st.fixed_dictionaries(
            {"kuma.io/service": st.sampled_from(["a", "b", "a_shop_svc_9080", "a_shop_svc_1", "static_shop_svc_9080"])},
            optional={"version": st.sampled_from(["v1", "v2"]), "app": APPS, "kuma.io/protocol": st.just("http")},
        ),
    }
)
TOLD = st.sampled_from(
    [
        {},
        {"unreadyPorts": []},
        {"unreadyPorts": [9080]},
        {"conditions": [{"type": "Ready", "status": "False", "reason": "Draining"}]},
        {"conditions": [{"type": "Ready", "status": "False", "reason": "Starting"}]},
    ]
)
DATAPLANES = st.builds(
    lambda number, mesh, inbound, outbound, status, address: dataplane(
        f"d{number}", address, mesh, inbound=inbound, outbound=outbound, status=status
    ),
    st.integers(0, 3),
    st.sampled_from(["default", "default", "other"]),
    st.lists(INBOUND, max_size=2, unique_by=lambda one: one["port"]),
    st.lists(OUTBOUND, max_size=2),
    TOLD,
    st.sampled_from(["10.2.0.1", "10.2.0.2"]),
)
OFFERS = st.builds(
    lambda name, mesh, ports: offer(name, *ports, mesh=mesh),
    APPS,
    st.sampled_from(["default", "default", "other"]),
    st.lists(
        st.tuples(st.sampled_from([9080, 3306]), st.sampled_from(["http", "grpc", "tcp"])), min_size=1, max_size=2
    ),
)
AGES = st.integers(0, 2).map(lambda hours: NOON + timedelta(hours=hours))


VALUES = {
    "principals": ["cluster.local/ns/shop/sa/a", "default/a", "cluster.local/ns/*"],
    "namespaces": ["shop", "kuma-default"],
    "ipBlocks": ["10.0.0.0/8"],
}
RULES = st.builds(
    lambda field, port, path: {
        "from": [{"source": {field: VALUES[field]}}],
        "to": [{"operation": {"ports": [port], **({"paths": [path]} if path else {})}}],
    },
    st.sampled_from(sorted(VALUES)),
    st.sampled_from(["9080", "3306"]),
    st.sampled_from(["", "/x"]),
)
POLICIES_OF_ACCESS = st.builds(
    lambda name, space, app, action, rules, tried: replace(
        make(
            "AuthorizationPolicy",
            name,
            space,
            {"action": action, "rules": rules, **({"selector": {"matchLabels": {"app": app}}} if app else {})},
        ),
        annotations={"istio.io/dry-run": tried},
    ),
    st.sampled_from(["p", "q"]),
    SPACES,
    st.sampled_from(["", "a"]),
    st.sampled_from(["ALLOW", "DENY"]),
    st.lists(RULES, min_size=1, max_size=2),
    st.sampled_from(["true", "false"]),
)
OF = st.sampled_from(
    [
        {"kind": "Mesh"},
        {"kind": "MeshService", "name": "a"},
        {"kind": "MeshService", "name": "a_shop_svc_9080"},
        {"kind": "MeshService", "name": "b_bank_svc_9080"},
        {"kind": "MeshSubset", "tags": {"app": "a"}},
        {"kind": "MeshServiceSubset", "name": "a", "tags": {"version": "v1"}},
    ]
)
TO = st.one_of(
    OF,
    st.sampled_from(
        [
            {"kind": "Dataplane", "name": "d0", "sectionName": "9080"},
            {"kind": "Dataplane", "labels": {"app": "a"}},
            {"kind": "Dataplane"},
        ]
    ),
)
PERMISSIONS = st.builds(
    lambda name, mesh, target, items, labels: document(
        {
            "type": "MeshTrafficPermission",
            "mesh": mesh,
            "name": name,
            "labels": labels,
            "spec": {
                "targetRef": target,
                "from": [{"targetRef": of, "default": {"action": action}} for of, action in items],
            },
        }
    ),
    st.sampled_from(["p", "q"]),
    st.sampled_from(["default", "default", "other"]),
    TO,
    st.lists(st.tuples(OF, st.sampled_from(["Allow", "Deny", "AllowWithShadowDeny"])), min_size=1, max_size=3),
    st.sampled_from([{}, {}, {"kuma.io/effect": "shadow"}]),
)


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    istios = (SERVICES, ENTRIES, GROUPS, TASKS, FIRST_TASKS, MACHINES, SIDECARS, DEMANDS, NAMESPACES)
    kumas = (MESHES, DATAPLANES, DATAPLANES, OFFERS, PERMISSIONS)
    made = draw(st.one_of(*istios, POLICIES_OF_ACCESS, AUTHORITIES, *kumas))
    return replace(made, created=draw(AGES))


ENTRY: dict[str, Any] = {
    "protocol": "HTTP",
    "spoken": "http",
    "location": "MESH_INTERNAL",
    "near": "",
    "sources": {"endpoints": [{"address": "10.8.0.1", "serviceAccount": "a", "labels": {"app": "a"}}]},
}
START = (
    trust(),
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
    mesh(),
    dataplane("d0", "10.2.0.1", inbound={"a": 9080}, outbound={"b": 3306, "a_shop_svc_9080": 9081}),
    dataplane("d1", "10.2.0.2", inbound={"a": 9080, "b": 3306}, outbound={"a": 9081}),
)
