"""Resources of one dialect as the other one would write them. They are made for a reader and never stored.

In: resources as stored. Out: the WorkloadEntry and the Namespace that kubectl shows for a Dataplane and its mesh; the
Dataplane that Kuma's tools show for a task of a WorkloadGroup. Each has the uid and revision of what it stands for.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from outrig.dialects import syntax
from outrig.dialects.conditions import with_condition
from outrig.dialects.core.namespace import MESH_LABEL, NAMESPACE
from outrig.dialects.core.service_spec import ServiceBody, ServicePortSpec
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.dialects.kuma.dataplane import networking_of
from outrig.dialects.kuma.dataplane_spec import Networking
from outrig.dialects.kuma.group import GROUP
from outrig.dialects.kuma.overview import inbounds_condition
from outrig.dialects.kuma.tags import LOCAL_ZONE, PROTOCOL, ZONE, namespace_of
from outrig.dialects.kuma.tags import SERVICE as SERVICE_TAG
from outrig.dialects.protocols import protocol_of_port
from outrig.dialects.schema import parse
from outrig.resources import Json, Key, Resource

SOURCE_LABEL: Final = "outrig.dev/source"
"""Label of what is shown in place of a resource of the other dialect: the kind that it stands for."""

NAMESPACE_LABEL: Final = "k8s.kuma.io/namespace"
NAME_LABEL: Final = "kuma.io/display-name"
DATAPLANE: Final = (GROUP, "Dataplane")
MESH: Final = (GROUP, "Mesh")
PREFIX: Final = namespace_of("")
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STANDS_FOR: Final = "outrig.dev/stands-for"  # an annotation, since labels of Dataplanes are their authors'
_KUMA_PROTOCOLS: Final = frozenset({"grpc", "http", "http2", "tcp"})


def mesh_in(namespace: str) -> str:
    """The mesh whose Dataplanes a namespace shows; empty for every other namespace."""
    return namespace.removeprefix(PREFIX) if namespace.startswith(PREFIX) else ""


def as_namespace(mesh: Resource) -> Resource:
    """The Namespace in which kubectl shows the Dataplanes of a mesh."""
    name = mesh.key.name
    key = Key(NAMESPACE.group, NAMESPACE.name, "", "", namespace_of(name))
    labels = {MESH_LABEL: name, SOURCE_LABEL: "Mesh"}
    return replace(mesh, key=key, body={"spec": {}}, status={}, labels=labels, annotations={})


def as_entry(dataplane: Resource) -> Resource:
    """The WorkloadEntry that kubectl shows for a Dataplane.

    Labels are the Dataplane's and the tags that all its inbounds have in common, where Kubernetes allows the value.
    """
    networking = networking_of(dataplane)
    key = Key(WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name, "", namespace_of(dataplane.key.mesh), dataplane.key.name)
    labels = {**_labels(_common_tags(networking)), **dataplane.labels}
    spec = {
        "address": networking.reached_at,
        "labels": labels,
        "ports": {inbound.name or f"{inbound.spoken}-{inbound.port}": inbound.port for inbound in networking.inbound},
    }
    body = {"spec": {field: value for field, value in spec.items() if value}}
    shown = {**labels, SOURCE_LABEL: "Dataplane"}
    status = _with_inbounds_told(dataplane)
    return replace(dataplane, key=key, body=body, status=status, labels=shown, annotations={}, finalizers=())


def _with_inbounds_told(dataplane: Resource) -> Json:
    """The Dataplane's conditions, of which `Ready` tells of inbounds that are not called."""
    conditions = dataplane.status.get("conditions")
    status = {"conditions": conditions} if conditions else {}
    told = inbounds_condition(dataplane)
    return with_condition(status, told, now=dataplane.created or _LONG_AGO) if told else status


def dataplane_name(entry: Key) -> str:
    """The name under which Kuma's tools see a WorkloadEntry, formed as Kuma does for Kubernetes: `name.namespace`."""
    return f"{entry.name}.{entry.namespace}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A Service, as far as it chooses workloads: by these labels, for these ports."""

    service: Key
    labels: Mapping[str, str]
    ports: tuple[ServicePortSpec, ...]

    def tag(self, port: ServicePortSpec) -> str:
        """The tag by which Kuma knows the port: as Kuma names the Services of Kubernetes."""
        return f"{self.service.name}_{self.service.namespace}_svc_{port.port}"


def choices(services: Iterable[Resource]) -> Iterator[Choice]:
    """What Services choose; nothing for one without a selector, and for a headless one."""
    for service in services:
        spec = parse(ServiceBody, service).spec
        if spec.selector and not spec.is_headless:
            ports = tuple(port for port in spec.ports or () if port.protocol == "TCP")
            yield Choice(service.key, spec.selector, ports)


def as_dataplane(entry: Resource, choices: Iterable[Choice], *, mesh: str) -> Resource:
    """The Dataplane that Kuma's tools show for a WorkloadEntry of a namespace with these Services.

    It has one inbound for each port of each Service that selects it.
    """
    key = Key(*DATAPLANE, mesh, "", dataplane_name(entry.key))
    labels = {**_map(entry.spec.get("labels")), **entry.labels}
    chosen = (choice for choice in choices if choice.labels.items() <= labels.items())
    inbounds = [inbound for choice in chosen for inbound in _inbounds(entry, choice, labels)]
    networking = {"address": str(entry.spec.get("address") or ""), "inbound": inbounds}
    ours = {NAMESPACE_LABEL: entry.key.namespace, NAME_LABEL: entry.key.name, SOURCE_LABEL: WORKLOAD_ENTRY.name}
    stands = {_STANDS_FOR: f"{entry.key.namespace}/{entry.key.name}"}
    return replace(entry, key=key, body={"networking": networking}, labels={**entry.labels, **ours}, annotations=stands)


def stands_for(dataplane: Resource) -> Key:
    """What is stored: the Dataplane itself, or the WorkloadEntry in whose place it is shown."""
    namespace, _, name = dataplane.annotations.get(_STANDS_FOR, "").partition("/")
    return Key(WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name, "", namespace, name) if name else dataplane.key


def _inbounds(entry: Resource, choice: Choice, labels: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for port in choice.ports:
        if number := _number(port, _map(entry.spec.get("ports"))):
            tags = {SERVICE_TAG: choice.tag(port), PROTOCOL: _protocol(port), ZONE: LOCAL_ZONE, **_tags(labels)}
            yield {"port": number, **({"name": port.name} if port.name else {}), "tags": tags}


def _number(port: ServicePortSpec, ports: Mapping[str, Any]) -> int:
    """The workload's port behind a Service's; 0 for a name that it does not have."""
    target = port.target_port or port.port
    return target if isinstance(target, int) else int(ports.get(target) or 0)


def _protocol(port: ServicePortSpec) -> str:
    word = protocol_of_port(port.port, name=port.name, app_protocol=port.app_protocol or "").value
    return word if word in _KUMA_PROTOCOLS else "tcp"


def _tags(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if value and not key.startswith("kuma.io/")}


def _common_tags(networking: Networking) -> dict[str, str]:
    """The tags that all inbounds, or the gateway, have with the same value."""
    sets = [set(tags) for tags in networking.identified]
    return dict(sorted(set.intersection(*sets))) if sets else {}


def _labels(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if syntax.is_label_key(key) and syntax.is_label_value(value)}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
