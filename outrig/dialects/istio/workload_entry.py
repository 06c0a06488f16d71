"""WorkloadEntry: one workload. The control plane makes one for each onboarded task; users may write others.

An entry whose owner is a registration has a proxy of ours, and its health is in its `Ready` condition. One that a
user wrote is taken to be up; it is called by mutual TLS where label or service account say that it speaks it.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import Field

from outrig.dialects import syntax
from outrig.dialects.columns import AGE
from outrig.dialects.findings import INVALID, MISSING, NOT_HONOURED, Place
from outrig.dialects.istio.identity import spiffe_id
from outrig.dialects.istio.readiness import health_of
from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.schema import Form, parse
from outrig.errors import Finding
from outrig.model import Health, TlsMode, Workload, WorkloadId, labels_of
from outrig.resources import Resource

NETWORKING: Final = "networking.istio.io"
TLS_LABEL: Final = "security.istio.io/tlsMode"
LOCALITY_LABEL: Final = "istio-locality"
REGISTRATION: Final = ("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration")


class WorkloadEntryBody(Form):
    """A workload."""

    spec: WorkloadTemplate = Field(description="What is known of the workload.")


def _findings(resource: Resource) -> tuple[Finding, ...]:
    spec = parse(WorkloadEntryBody, resource).spec
    place = Place(resource.key)
    return (*_address(place / "address", spec), *_no_effect(place, spec))


def _address(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    address = spec.address
    if not address and not spec.network:
        yield place.error(MISSING, "address is required")
    elif not address:
        yield place.warning(NOT_HONOURED, "address is unset with network", "without an address nothing can call it")
    elif address.startswith("unix://"):
        yield from _socket(place, spec)
    elif syntax.is_fqdn(address):
        yield place.warning(NOT_HONOURED, "only entries with an IP address are behind Services", "write its IP address")
    elif not syntax.is_ip(address):
        yield place.error(INVALID, f"endpoint address {address!r} is not a valid FQDN or an IP address")


def _socket(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    path = spec.address.removeprefix("unix://")
    if not path.startswith(("/", "@")) or path.endswith("/"):
        yield place.error(INVALID, "must be an absolute path, unix:///..., or unix://@name")
    if spec.ports:
        yield place.error(INVALID, "UDS may not include ports")
    yield place.warning(NOT_HONOURED, "only entries with an IP address are behind Services")


def _no_effect(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    if spec.network and spec.address:
        yield (place / "network").warning(NOT_HONOURED, "has no effect yet: all addresses are called as they are")


def is_registered(entry: Resource) -> bool:
    """Whether the control plane made this entry, for a task that has joined."""
    return any((owner.key.group, owner.key.kind) == REGISTRATION for owner in entry.owners)


def _compile(resource: Resource, scope: Scope) -> tuple[Workload, ...]:
    spec = parse(WorkloadEntryBody, resource).spec
    if not syntax.is_ip(spec.address):
        return ()
    labels = {**spec.labels, **resource.labels}
    registered = is_registered(resource)
    tls = TlsMode.STRICT if registered else _tls_of_user_entry(labels, spec)
    namespace = resource.key.namespace
    identity = spiffe_id(
        trust_domain=scope.trust_domain(scope.mesh_of(namespace)),
        namespace=namespace,
        service_account=spec.service_account,
    )
    return (
        Workload(
            origin=resource.key,
            id=WorkloadId(f"{namespace}/{resource.key.name}"),
            namespace=namespace,
            labels=labels_of(labels),
            address=syntax.canonical_ip(spec.address),
            identities=() if tls is TlsMode.DISABLE else (identity,),
            health=health_of(resource) if registered else Health.READY,
            ports=tuple(sorted(spec.ports.items())),
            proxied=registered,
            tls_default=tls,
            weight=spec.weight or 1,
            locality=spec.locality or labels.get(LOCALITY_LABEL, "").replace(".", "/"),
        ),
    )


def _tls_of_user_entry(labels: dict[str, str], spec: WorkloadTemplate) -> TlsMode:
    """Istio: the label says, else a service account means that the workload has a certificate."""
    mode = labels.get(TLS_LABEL, "istio" if spec.service_account else "disabled")
    return TlsMode.STRICT if mode == "istio" else TlsMode.DISABLE


def _ready(entry: Resource) -> str:
    return health_of(entry).name.capitalize() if is_registered(entry) else ""


WORKLOAD_ENTRY: Final = Kind(
    group=NETWORKING,
    name="WorkloadEntry",
    plural="workloadentries",
    singular="workloadentry",
    short_names=("we",),
    categories=("istio-io", "networking-istio-io"),
    versions=("v1", "v1beta1", "v1alpha3"),
    schema=WorkloadEntryBody,
    columns=(
        AGE,
        Column("Address", lambda entry: str(entry.spec.get("address") or ""), description="Address of the workload"),
        Column("Health", _ready, description="Ready, Unready or Draining, if it was onboarded", priority=1),
    ),
    findings=_findings,
    compile=_compile,
)
