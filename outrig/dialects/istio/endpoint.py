"""What a user wrote about one endpoint, as a workload: a WorkloadEntry's spec, or an endpoint inside a ServiceEntry."""

from collections.abc import Iterator, Mapping
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import INVALID, MISSING, NOT_HONOURED, Place
from outrig.dialects.istio.identity import spiffe_id
from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.kind import Scope
from outrig.errors import Finding
from outrig.model import AddressForm, TlsMode, Workload, WorkloadId, labels_of
from outrig.resources import Key

SOCKET: Final = "unix://"
TLS_LABEL: Final = "security.istio.io/tlsMode"
LOCALITY_LABEL: Final = "istio-locality"


def endpoint_of(
    spec: WorkloadTemplate, labels: Mapping[str, str], *, origin: Key, name: str, scope: Scope
) -> Workload | None:
    """The workload, without a proxy of ours and taken to be up; None if it has no usable address.

    It is called by mutual TLS where label or service account say that it speaks it.
    """
    form = form_of(spec.address)
    if form is None:
        return None
    tls, namespace = _tls(labels, spec), origin.namespace
    return Workload(
        origin=origin,
        id=WorkloadId(f"{namespace}/{name}"),
        namespace=namespace,
        labels=labels_of(labels),
        address=_spelt(spec.address, form),
        identities=() if tls is TlsMode.DISABLE else (identity_of(spec, namespace, scope),),
        ports=tuple(sorted(spec.ports.items())),
        proxied=False,
        tls_default=tls,
        weight=spec.weight or 1,
        locality=spec.locality or labels.get(LOCALITY_LABEL, "").replace(".", "/"),
        form=form,
    )


def identity_of(spec: WorkloadTemplate, namespace: str, scope: Scope) -> str:
    """The SPIFFE URI of the service account."""
    domain = scope.trust_domain(scope.mesh_of(namespace))
    return spiffe_id(trust_domain=domain, namespace=namespace, service_account=spec.service_account)


def form_of(address: str) -> AddressForm | None:
    """What the address is; None if it is nothing that can be called."""
    if address.startswith(SOCKET):
        return AddressForm.SOCKET if syntax.is_socket(address.removeprefix(SOCKET)) else None
    if syntax.is_ip(address):
        return AddressForm.IP
    return AddressForm.NAME if syntax.is_host(address) else None


def address_findings(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    """What is wrong with the address, whatever it is to be used for."""
    address = spec.address
    if not address and not spec.network:
        yield place.error(MISSING, "address is required")
    elif not address:
        yield place.warning(NOT_HONOURED, "address is unset with network", "without an address nothing can call it")
    elif address.startswith(SOCKET):
        yield from _socket(place, spec)
    elif form_of(address) is None:
        yield place.error(INVALID, f"endpoint address {address!r} is not a valid FQDN or an IP address")


def _socket(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    if form_of(spec.address) is None:
        yield place.error(INVALID, "must be an absolute path, unix:///..., or unix://@name, of at most 107 bytes")
    if spec.ports:
        yield place.error(INVALID, "UDS may not include ports")


def network_findings(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    """Says that a network has no effect."""
    if spec.network and spec.address:
        yield (place / "network").warning(NOT_HONOURED, "has no effect yet: all addresses are called as they are")


def _spelt(address: str, form: AddressForm) -> str:
    if form is AddressForm.NAME:
        return address.lower()
    return syntax.canonical_ip(address)


def _tls(labels: Mapping[str, str], spec: WorkloadTemplate) -> TlsMode:
    """Istio: the label says, else a service account means that the workload has a certificate."""
    mode = labels.get(TLS_LABEL, "istio" if spec.service_account else "disabled")
    return TlsMode.STRICT if mode == "istio" else TlsMode.DISABLE
