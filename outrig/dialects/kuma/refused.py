"""Kinds of Kuma and Kong Mesh that Outrig does not have: listed, so that whoever applies one is told so, and why.

Nothing of these kinds is ever stored.
"""

from dataclasses import dataclass
from typing import Final

from outrig.dialects.kuma.group import GROUP


@dataclass(frozen=True, slots=True)
class RefusedKind:
    """One of them. `hint`: what to do instead; empty: nothing can be. `system`: Kuma itself makes these."""

    name: str
    plural: str
    hint: str = ""
    mesh_scoped: bool = True
    policy: bool = False
    system: bool = False
    group: str = GROUP

    @property
    def sentence(self) -> str:
        """What its author is told."""
        said = f"{self.name} is made by the control plane" if self.system else f"{self.name} is not supported yet"
        return f"{said}: {self.hint or 'leave it out'}"


def _policy(name: str, hint: str = "") -> RefusedKind:
    plural = name.lower()[:-1] + "ies" if name.endswith("y") else name.lower() + ("es" if name[-1] == "S" else "s")
    return RefusedKind(name, plural, hint, policy=True)


def _legacy(name: str, plural: str, successor: str) -> RefusedKind:
    return RefusedKind(name, plural, f"Kuma has replaced it by {successor}", policy=True)


def _insight(name: str, plural: str, where: str, *, mesh_scoped: bool = True) -> RefusedKind:
    return RefusedKind(name, plural, f"read {where}", mesh_scoped=mesh_scoped, system=True)


_BY_SERVICE: Final = "name services by the tag kuma.io/service of inbounds and outbounds"
_NO_GATEWAY: Final = "a Dataplane with a gateway of type DELEGATED works"
_GROUPS: Final = "the group mesh-system:admin may do everything, everybody else with a token may read all but Secrets"
_JOINS: Final = "zone proxies join with a zone token or their task role, and route nothing yet"

REFUSED: Final = (
    RefusedKind("MeshService", "meshservices", _BY_SERVICE),
    RefusedKind("MeshExternalService", "meshexternalservices", "a ServiceEntry, applied by kubectl, names other hosts"),
    RefusedKind("MeshMultiZoneService", "meshmultizoneservices", _BY_SERVICE),
    RefusedKind("HostnameGenerator", "hostnamegenerators", "list what is called as outbounds", mesh_scoped=False),
    RefusedKind("MeshIdentity", "meshidentities", "identities are set by Mesh.mtls"),
    RefusedKind("MeshTrust", "meshtrusts", "trust is set by Mesh.mtls"),
    RefusedKind("MeshGateway", "meshgateways", _NO_GATEWAY),
    RefusedKind("MeshZoneAddress", "meshzoneaddresses", _JOINS),
    RefusedKind("MeshOpenTelemetryBackend", "meshopentelemetrybackends"),
    RefusedKind("Workload", "workloads", "Kuma makes these by itself, and Outrig has none"),
    RefusedKind("ExternalService", "external-services", "a ServiceEntry, applied by kubectl, names other hosts"),
    *map(
        _policy,
        (
            "MeshAccessLog", "MeshCircuitBreaker", "MeshFaultInjection", "MeshGatewayRoute", "MeshHTTPRoute",
            "MeshHealthCheck", "MeshLoadBalancingStrategy", "MeshMetric", "MeshRateLimit", "MeshRetry",
            "MeshTCPRoute", "MeshTLS", "MeshTimeout", "MeshTrace",
        ),
    ),
    _policy("MeshPassthrough", "traffic that is no outbound never meets the proxy, so it always passes"),
    RefusedKind("MeshProxyPatch", "meshproxypatches", policy=True),
    _policy("MeshGlobalRateLimit"),
    _policy("MeshOPA", "MeshTrafficPermission says who may call"),
    RefusedKind("OPAPolicy", "opa-policies", "MeshTrafficPermission says who may call", policy=True),
    RefusedKind("AccessAudit", "access-audits", mesh_scoped=False),
    RefusedKind("AccessRole", "access-roles", _GROUPS, mesh_scoped=False),
    RefusedKind("AccessRoleBinding", "access-role-bindings", _GROUPS, mesh_scoped=False),
    _legacy("CircuitBreaker", "circuit-breakers", "MeshCircuitBreaker"),
    _legacy("FaultInjection", "fault-injections", "MeshFaultInjection"),
    _legacy("HealthCheck", "health-checks", "MeshHealthCheck"),
    _legacy("ProxyTemplate", "proxytemplates", "MeshProxyPatch"),
    _legacy("RateLimit", "rate-limits", "MeshRateLimit"),
    _legacy("Retry", "retries", "MeshRetry"),
    _legacy("Timeout", "timeouts", "MeshTimeout"),
    _legacy("TrafficLog", "traffic-logs", "MeshAccessLog"),
    _legacy("TrafficPermission", "traffic-permissions", "MeshTrafficPermission, which is served"),
    _legacy("TrafficRoute", "traffic-routes", "MeshHTTPRoute and MeshTCPRoute"),
    _legacy("TrafficTrace", "traffic-traces", "MeshTrace"),
    _legacy("VirtualOutbound", "virtual-outbounds", "HostnameGenerator"),
    _insight("DataplaneInsight", "dataplane-insights", "/meshes/{mesh}/dataplanes/{name}/_overview"),
    _insight("ServiceInsight", "service-insights", "/meshes/{mesh}/dataplanes/_overview"),
    _insight("ZoneInsight", "zone-insights", "/zones/_overview", mesh_scoped=False),
    _insight("ZoneIngressInsight", "zone-ingress-insights", "/zone-ingresses/_overview", mesh_scoped=False),
    _insight("ZoneEgressInsight", "zoneegressinsights", "/zoneegresses/_overview", mesh_scoped=False),
)  # fmt: skip
