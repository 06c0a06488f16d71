"""PeerAuthentication: what workloads demand of callers at the transport, for a mesh, a namespace or some workloads.

UNSET falls through to the next wider scope. Ours starts STRICT where nobody says otherwise (Istio: PERMISSIVE).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from outrig.dialects import syntax
from outrig.dialects.columns import AGE
from outrig.dialects.findings import MISSING, SELECTS_NOTHING, Place
from outrig.dialects.istio.precedence import ROOT_NAMESPACE, Level, level_of, rank_of
from outrig.dialects.istio.rivals import rivalry
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.schema import Form, Labels, checked, parse
from outrig.errors import Finding
from outrig.model import PeerTls, Policy, Selector, TlsMode, labels_of
from outrig.resources import Resource

PortKey = Annotated[
    str, checked(lambda text: syntax.port_of(text) is not None, "a port number from 1 to 65535, in quotes")
]


class MutualTls(Form):
    """Mode of mutual TLS."""

    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] = Field(
        default="UNSET",
        description="STRICT: mutual TLS only. PERMISSIVE: plaintext too. DISABLE: plaintext only. "
        "UNSET: as the next wider scope says.",
    )


class PeerSelector(Form):
    """Chooses workloads of the namespace."""

    match_labels: Labels = Field(default={}, max_length=4096, description="Labels that a workload must have.")


class PeerAuthenticationSpec(Form):
    """What is demanded of callers, and by whom."""

    selector: PeerSelector | None = Field(
        default=None, description="Workloads that demand it; without it all of the namespace, or of the mesh."
    )
    mtls: MutualTls | None = Field(default=None, description="The mode for all ports.")
    port_level_mtls: dict[PortKey, MutualTls] = Field(
        default={}, description="Modes for single ports of the workload. Needs a selector."
    )


class PeerAuthenticationBody(Form):
    """What workloads demand of callers."""

    spec: PeerAuthenticationSpec = Field(default=PeerAuthenticationSpec(), description="What is demanded, and by whom.")


def _labels(spec: PeerAuthenticationSpec) -> Mapping[str, str]:
    return spec.selector.match_labels if spec.selector else {}


def _findings(resource: Resource) -> tuple[Finding, ...]:
    return tuple(_judge(Place(resource.key), parse(PeerAuthenticationBody, resource).spec))


def _judge(place: Place, spec: PeerAuthenticationSpec) -> Iterator[Finding]:
    labels = _labels(spec)
    if spec.port_level_mtls and not labels:
        yield (place / "portLevelMtls").error(MISSING, "port level modes need a selector", "add spec.selector")
    if labels and place.origin.namespace == ROOT_NAMESPACE:
        problem = f"is ignored: in {ROOT_NAMESPACE} only a PeerAuthentication without selector has an effect"
        yield (place / "selector").warning(SELECTS_NOTHING, problem, "move it to the workloads' namespace")


def _compile(resource: Resource, scope: Scope) -> tuple[Policy[PeerTls], ...]:  # noqa: ARG001 - needs no surroundings
    return tuple(_policies(resource))


def _rivals(resource: Resource, others: Sequence[Resource]) -> tuple[Finding, ...]:
    beside = [policy for other in others for policy in _policies(other)]
    return tuple(found for policy in _policies(resource) for found in rivalry(policy, beside))


def _policies(resource: Resource) -> Iterator[Policy[PeerTls]]:
    """One, or none where it has no effect."""
    spec = parse(PeerAuthenticationBody, resource).spec
    labels, namespace = _labels(spec), resource.key.namespace
    if labels and namespace == ROOT_NAMESPACE:
        return
    level = level_of(namespace, has_selector=bool(labels))
    reach = Selector(None if level is Level.MESH else namespace, labels_of(labels))
    yield Policy(resource.key, reach, _settings(spec), rank_of(resource, level))


def _settings(spec: PeerAuthenticationSpec) -> PeerTls:
    ports = ((int(port), _mode(mtls)) for port, mtls in spec.port_level_mtls.items())
    return PeerTls(_mode(spec.mtls), tuple(sorted((port, mode) for port, mode in ports if mode)))


def _mode(mtls: MutualTls | None) -> TlsMode | None:
    return TlsMode(mtls.mode) if mtls and mtls.mode != "UNSET" else None


def _mode_cell(resource: Resource) -> str:
    mtls = resource.spec.get("mtls")
    return str(mtls.get("mode") or "") if isinstance(mtls, Mapping) else ""


PEER_AUTHENTICATION: Final = Kind(
    group="security.istio.io",
    name="PeerAuthentication",
    plural="peerauthentications",
    singular="peerauthentication",
    short_names=("pa",),
    categories=("istio-io", "security-istio-io"),
    versions=("v1", "v1beta1"),
    deprecated=("v1beta1",),
    schema=PeerAuthenticationBody,
    columns=(Column("Mode", _mode_cell, description="Mode for all ports"), AGE),
    findings=_findings,
    rivals=_rivals,
    compile=_compile,
)
