"""A join request's fields, checked for form. In: `JoinRequest`. Out: `Wanted`. Refused: whatever cannot be meant.

Every text has a narrow alphabet, so that none can reach beyond its place in a name, a log line or a certificate.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from outrig.admission.refusals import LabelRefused, Malformed
from outrig.dialects import syntax
from outrig.wire.join import HostAddress, JoinRequest

VERSION = 1
VPC, INTERNET = "VPC", "INTERNET"  # what a workload may be connected over, and its addresses be of
_MOST_ADDRESSES = 16
_MOST_LABELS = 64
_AGENT_VERSION = re.compile(r"[A-Za-z0-9.+_/ -]{0,128}")
# Labels by which dialects switch TLS, network or mesh: not for a workload to choose about itself.
_RESERVED = ("istio.io", "kuma.io", "k8s.io", "kubernetes.io", "tetrate.io", "outrig.dev")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for. `csr`: DER. `ips` are those of `addresses` of type VPC, in canonical spelling.

    `connected_over`: VPC or INTERNET.
    """

    namespace: str
    group: str
    csr: bytes
    addresses: tuple[HostAddress, ...]
    ips: tuple[str, ...]
    labels: Mapping[str, str]
    connected_over: str


def check_request(request: JoinRequest) -> Wanted:
    """What the request asks for. Raises Malformed, LabelRefused."""
    check_agent(request)
    _check_names(request)
    _check_labels(request.labels)
    addresses = _addresses(request.addresses)
    ips = tuple(address.ip for address in addresses if address.type == VPC)
    return Wanted(
        namespace=request.namespace,
        group=request.workload_group,
        csr=decoded_csr(request.csr),
        addresses=addresses,
        ips=ips,
        labels=dict(request.labels),
        connected_over=request.connected_over,
    )


def _check_names(request: JoinRequest) -> None:
    if not syntax.is_dns_label(request.namespace):
        raise Malformed("namespace", "is no namespace's name")
    if not syntax.is_dns_subdomain(request.workload_group):
        raise Malformed("workloadGroup", "is no WorkloadGroup's name")
    if request.connected_over not in (VPC, INTERNET):
        raise Malformed("connectedOver", "is neither VPC nor INTERNET")


def check_agent(request: JoinRequest) -> None:
    """The request is of a version that is spoken here, of an agent that says what it is. Raises Malformed."""
    if request.version != VERSION:
        raise Malformed("version", f"{request.version} is not spoken here", f"versions: {VERSION}")
    for field, text in (("agentVersion", request.agent_version), ("envoyVersion", request.envoy_version)):
        if not _AGENT_VERSION.fullmatch(text):
            raise Malformed(field, "is no version", "at most 128 letters, digits and . + _ / -")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > _MOST_LABELS:
        raise LabelRefused("labels", f"there are {len(labels)}", f"at most {_MOST_LABELS}")
    for key, value in labels.items():
        if not (key.isascii() and value.isascii() and syntax.is_label_key(key) and syntax.is_label_value(value)):
            raise LabelRefused("labels", "one does not have the form of a label", "keys and values as in Kubernetes")
        prefix = key.rpartition("/")[0]
        if any(prefix == domain or prefix.endswith(f".{domain}") for domain in _RESERVED):
            raise LabelRefused(f"labels[{key}]", "is reserved", "set it in the WorkloadGroup")


def _addresses(given: tuple[HostAddress, ...]) -> tuple[HostAddress, ...]:
    if not 1 <= len(given) <= _MOST_ADDRESSES:
        raise Malformed("addresses", f"there are {len(given)}", f"from 1 to {_MOST_ADDRESSES}")
    return tuple(_address(address, f"addresses[{place}]") for place, address in enumerate(given))


def _address(given: HostAddress, place: str) -> HostAddress:
    if given.type not in (VPC, INTERNET):
        raise Malformed(f"{place}.type", "is neither VPC nor INTERNET")
    try:
        return HostAddress(str(ipaddress.ip_address(given.ip)), given.type)
    except ValueError:
        raise Malformed(f"{place}.ip", "is no IP address") from None


def decoded_csr(text: str) -> bytes:
    """The DER of a certificate request. Raises Malformed."""
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        der = b""
    if base64.b64encode(der).decode() != text:  # one spelling only; Python forgives too much padding
        raise Malformed("csr", "is not base64", "base64 of the request's DER, without line breaks")
    return der
