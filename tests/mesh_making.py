"""Resources of a mesh for tests, made by the real kinds, and what a world or a batch makes of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from outrig.ca.authority import new_authority
from outrig.compile import compile_meshes
from outrig.control.world import World
from outrig.dialects import core, istio, kuma, onboarding
from outrig.dialects.kuma.document import read
from outrig.dialects.readiness import ReadyReason, with_readiness
from outrig.envoy import Encodings, encode_assignment, encode_trust, render
from outrig.model import Mesh
from outrig.resources import Key, Owner, Resource
from outrig.snapshot import ENDPOINTS, SECRET, ProxyId, Snapshot, TypeUrl
from outrig.store.protocol import Change, ChangeType
from outrig.view import assignment_of, called, view_of

KINDS = (*core.KINDS, core.AUTHORITY, *istio.KINDS, *onboarding.KINDS, *kuma.KINDS, kuma.OFFER)
BY_NAME = {kind.name: kind for kind in KINDS}
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REGISTRATION = Key("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", "any", "any")
Plain = dict[TypeUrl, dict[str, bytes]]


def document(content: Mapping[str, Any], *, created: datetime = NOON) -> Resource:
    """A resource from a document as users write it, of either dialect, valid and with defaults."""
    if "type" in content:
        return _kumas(content, created)
    kind, metadata = BY_NAME[content["kind"]], content["metadata"]
    body = {name: value for name, value in content.items() if name not in {"apiVersion", "kind", "metadata", "status"}}
    kind.schema.model_validate(body)
    return Resource(
        key=Key(kind.group, kind.name, metadata.get("mesh", ""), metadata.get("namespace", ""), metadata["name"]),
        body=kind.default(body),
        status=content.get("status", {}),
        owners=tuple(_owner(metadata["namespace"], owner) for owner in metadata.get("ownerReferences", ())),
        labels=metadata.get("labels", {}),
        annotations=metadata.get("annotations", {}),
        uid=metadata["name"],
        created=created,
    )


def _kumas(content: Mapping[str, Any], created: datetime) -> Resource:
    status = content.get("status", {})
    made = read({field: value for field, value in content.items() if field != "status"})
    return replace(made, status=status, uid=made.key.name, created=created)


def _owner(namespace: str, reference: Mapping[str, str]) -> Owner:
    group, _, _ = reference["apiVersion"].partition("/")
    return Owner(Key(group, reference["kind"], "", namespace, reference["name"]), "uid", reference["apiVersion"])


def make(kind: str, name: str, namespace: str, spec: Mapping[str, Any] | None = None, **labels: str) -> Resource:
    """A resource of that kind."""
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return document({"kind": kind, "metadata": metadata, "spec": dict(spec or {})})


def namespace(name: str, mesh: str = "default") -> Resource:
    """A namespace of a mesh."""
    return document({"kind": "Namespace", "metadata": {"name": name, "labels": {"kuma.io/mesh": mesh}}})


def service(name: str, space: str = "shop", *, port: int = 9080, port_name: str = "http", **more: Any) -> Resource:
    """A service of the workloads with label `app: <name>`."""
    ports = [{"port": port, "name": port_name, "targetPort": more.get("target", port)}]
    near = {"trafficDistribution": more["near"]} if more.get("near") else {}
    return make("Service", name, space, {"selector": {"app": more.get("app", name)}, "ports": ports, **near})


def group(name: str, space: str = "shop", *, account: str = "") -> Resource:
    """A group whose members have the label `app: <name>`."""
    return make("WorkloadGroup", name, space, {"template": {"serviceAccount": account or name}}, app=name)


def task(
    name: str, app: str, address: str, *, space: str = "shop", reason: ReadyReason = ReadyReason.READY, **more: Any
) -> Resource:
    """A workload that was onboarded."""
    account = more.pop("account", app)
    made = make("WorkloadEntry", name, space, {"address": address, "serviceAccount": account, **more}, app=app)
    owner = Owner(REGISTRATION, "uid", "runtime.onboarding.tetrate.io/v1alpha1")
    owned = Resource(made.key, made.body, labels=made.labels, owners=(owner,), uid=made.uid, created=NOON)
    return with_readiness(owned, reason, now=NOON)


def sidecar(name: str, space: str = "shop", *, app: str = "", **spec: Any) -> Resource:
    """The guide's kind of Sidecar: port 9080 in and out, the own namespace imported."""
    ingress = [{"port": {"number": 9080, "name": "http", "protocol": "HTTP"}, "defaultEndpoint": "127.0.0.1:9080"}]
    egress = [{"bind": "127.0.0.2", "port": {"number": 9080}, "hosts": ["./*"]}]
    chosen = {"workloadSelector": {"labels": {"app": app}}} if app else {}
    return make("Sidecar", name, space, {**chosen, "ingress": ingress, "egress": egress, **spec})


def dataplane(name: str, address: str, mesh: str = "default", **networking: Any) -> Resource:
    """A Dataplane. `inbound` as `{"kv": 6379}`, or whole; `outbound` as `{"kv": 16379}`, or whole."""
    inbound, outbound = networking.pop("inbound", {}), networking.pop("outbound", {})
    status = networking.pop("status", {})
    if isinstance(inbound, Mapping):
        inbound = [tagged(service, port) for service, port in inbound.items()]
    if isinstance(outbound, Mapping):
        outbound = [{"port": port, "tags": {"kuma.io/service": service}} for service, port in outbound.items()]
    content = {"address": address, "inbound": inbound, "outbound": outbound, **networking}
    return document({"type": "Dataplane", "mesh": mesh, "name": name, "networking": content, "status": status})


def tagged(service: str, port: int, protocol: str = "http", **tags: str) -> dict[str, Any]:
    """An inbound whose application listens a hundred ports below."""
    return {
        "port": port,
        "servicePort": port - 100,
        "tags": {"kuma.io/service": service, "kuma.io/protocol": protocol, **tags},
    }


def offer(service: str, *ports: tuple[int, str], mesh: str = "default", **status: str) -> Resource:
    """What is kept of a service of Dataplanes: its ports, and what was spoken there."""
    body = {"ports": [{"port": port, "protocol": protocol} for port, protocol in ports]}
    return document({"kind": "Offer", "metadata": {"mesh": mesh, "name": service}, "status": status, **body})


def mesh(name: str = "default", mode: str = "STRICT") -> Resource:
    """A Mesh whose mutual TLS has that mode; empty: it is off."""
    backend = {"name": "ca", "type": "builtin", "mode": mode or "STRICT"}
    mtls = {"mtls": {"enabledBackend": "ca" if mode else "", "backends": [backend]}}
    return document({"type": "Mesh", "name": name, **mtls})


def demand(name: str, mode: str, space: str = "shop", *, app: str = "", **ports: str) -> Resource:
    """A PeerAuthentication; ports as `p9080="DISABLE"`."""
    spec: dict[str, Any] = {"mtls": {"mode": mode}}
    if app:
        spec["selector"] = {"matchLabels": {"app": app}}
        spec["portLevelMtls"] = {port[1:]: {"mode": mode} for port, mode in ports.items()}
    return make("PeerAuthentication", name, space, spec)


@cache
def authority_pem(number: int = 0) -> str:
    """A certificate of a throwaway authority."""
    return new_authority(f"test-{number}", now=NOON - timedelta(days=1), lifetime=timedelta(days=36500)).pem


def trust(mesh: str = "default", domain: str = "cluster.local", *authorities: int) -> Resource:
    """The authority of a mesh as the control plane keeps it, and those that its members accept besides."""
    own, *others = map(authority_pem, authorities or (0,))
    return authority(mesh, domain, own, *others)


def authority(mesh: str, domain: str, certificate: str, *accepted: str) -> Resource:
    """The same, given certificates."""
    body = {"certificate": certificate, "trustDomain": domain, "accepted": list(accepted)}
    return Resource(Key("outrig.internal", "Authority", "", "", f"mesh/{mesh}"), body=body, uid=mesh, created=NOON)


def added(*resources: Resource) -> list[Change]:
    """As changes: each is there now."""
    return [Change(ChangeType.ADDED, resource) for resource in resources]


def deleted(*resources: Resource) -> list[Change]:
    """As changes: each is gone."""
    return [Change(ChangeType.DELETED, resource) for resource in resources]


def world_of(*resources: Resource, trusts: Iterable[Resource] | None = None) -> World:
    """A world in which these are."""
    world = World(KINDS)
    world.apply(added(*((trust(),) if trusts is None else trusts), *resources))
    return world


def plain(snapshot: Snapshot) -> Plain:
    """A snapshot as bytes by type and name."""
    return {url: {name: encoded.body for name, encoded in some.items()} for url, some in snapshot.items()}


def all_snapshots(world: World) -> dict[ProxyId, Plain]:
    """What every proxy of a world has."""
    found = {proxy: world.snapshot(proxy) for proxy in world.proxies()}
    return {proxy: plain(snapshot) for proxy, snapshot in found.items() if snapshot is not None}


def batch_snapshots(resources: Iterable[Resource]) -> dict[ProxyId, Plain]:
    """The same from scratch, without any index."""
    meshes = compile_meshes(resources, KINDS)
    return {
        ProxyId(workload.id): _batch_snapshot(mesh, view_of(workload, mesh), zone=workload.zone)
        for mesh in meshes.values()
        for workload in mesh.workloads
        if workload.proxied
    }


def _batch_snapshot(mesh: Mesh, view: Any, *, zone: str) -> Plain:
    encodings = Encodings()
    found = plain(render(view, encodings))
    found[ENDPOINTS] = {}
    for upstream in view.outward.upstreams:
        destination = upstream.destination
        if upstream.lookup is not None:
            continue
        service = next(s for s in mesh.services if (s.origin, s.host) == (destination.service, destination.host))
        port = next(port for port in service.ports if port.number == destination.port)
        behind, near = called(destination, service, mesh), zone if service.near_first else ""
        assignment = assignment_of(destination.name, port, workloads=behind, mesh=mesh, near=near)
        found[ENDPOINTS][destination.name] = encode_assignment(assignment, encodings).body
    secret = encode_trust(mesh.name, mesh.authorities, encodings) if mesh.authorities else None
    found[SECRET] = {secret.name: secret.body} if secret else {}
    return found
