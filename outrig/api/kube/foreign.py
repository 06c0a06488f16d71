"""Kinds that people apply or ask about out of habit and that are not served here: named in discovery so that kubectl
asks, and then prints our sentence instead of "no matches for kind".

Those of Kubernetes and Istio that Outrig has not; and those that it has, and serves elsewhere: so `kubectl auth can-i`
and `kubectl create clusterrole` know everything that roles are about. They are listed without verbs, which hides them
from `kubectl api-resources` and `kubectl get all`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from outrig.api.access.certificates import GROUP, PLURAL
from outrig.api.kube.catalog import Address, Catalog
from outrig.api.kube.statuses import Subject, not_found
from outrig.api.refusals import ApiError
from outrig.dialects import kuma
from outrig.dialects.kind import Kind

WORKLOADS: Final = "run it as an Amazon ECS service and describe it with a WorkloadGroup"
STORAGE: Final = "mount volumes in the ECS task definition"
TRAFFIC: Final = (
    "Sidecar, ServiceEntry, WorkloadGroup, WorkloadEntry, PeerAuthentication and AuthorizationPolicy are served"
)
ENTRIES: Final = "WorkloadEntries say what is behind a Service"
BALANCER: Final = "a load balancer does that"
READ_ALONG: Final = frozenset(
    {"customresourcedefinitions", "endpointslices", "limitranges", "resourcequotas", "secrets"}
)
"""What kubectl lists on its own, to apply or describe something else: only who has them shown is to be told."""


@dataclass(frozen=True, slots=True)
class ForeignKind:
    """A kind that is not served. `sentence`: what its author is told.

    `elsewhere`: there may be objects of it, so that not even an empty list can be shown.
    """

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str
    sentence: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    elsewhere: bool = False


def _containers(group: str, name: str, *short_names: str) -> ForeignKind:
    sentence = f"Outrig runs no containers, so it has no {name}: {WORKLOADS}"
    return ForeignKind(group, ("v1",), name, name.lower() + "s", sentence, short_names)


def _istio(group: str, name: str, plural: str, *short_names: str) -> ForeignKind:
    versions = ("v1", "v1beta1", "v1alpha3") if group == "networking.istio.io" else ("v1", "v1beta1")
    return ForeignKind(group, versions, name, plural, f"Outrig does not serve {name} yet: {TRAFFIC}", short_names)


def _none(group: str, name: str, plural: str, reason: str, *short_names: str, namespaced: bool = True) -> ForeignKind:
    versions = ("v2", "v1") if group == "autoscaling" else ("v1",)
    return ForeignKind(group, versions, name, plural, f"Outrig {reason}", short_names, namespaced)


FOREIGN: Final = (
    _containers("", "Pod", "po"),
    _containers("", "ReplicationController", "rc"),
    _containers("apps", "Deployment", "deploy"),
    _containers("apps", "StatefulSet", "sts"),
    _containers("apps", "DaemonSet", "ds"),
    _containers("apps", "ReplicaSet", "rs"),
    _containers("batch", "Job"),
    _containers("batch", "CronJob", "cj"),
    _none("", "ConfigMap", "configmaps", "keeps no ConfigMap: put settings into the ECS task definition", "cm"),
    _none("", "Secret", "secrets", "keeps no Secret: use AWS Secrets Manager in the ECS task definition"),
    _none("", "Endpoints", "endpoints", f"keeps no Endpoints: {ENTRIES}", "ep"),
    _none("discovery.k8s.io", "EndpointSlice", "endpointslices", f"keeps no EndpointSlice: {ENTRIES}"),
    _none("", "PersistentVolumeClaim", "persistentvolumeclaims", f"keeps no PersistentVolumeClaim: {STORAGE}", "pvc"),
    _none("", "PersistentVolume", "persistentvolumes", f"keeps no PersistentVolume: {STORAGE}", "pv", namespaced=False),
    _none(
        "storage.k8s.io", "StorageClass", "storageclasses", f"has no StorageClass: {STORAGE}", "sc", namespaced=False
    ),
    _none("", "Node", "nodes", "has no Node: tasks run where Amazon ECS puts them", "no", namespaced=False),
    _none(
        "", "ComponentStatus", "componentstatuses",
        "has no ComponentStatus: `kubectl get --raw '/readyz?verbose'` says how the control plane is", "cs",
        namespaced=False,
    ),
    _none("", "ResourceQuota", "resourcequotas", "has no ResourceQuota: AWS says how much may run", "quota"),
    _none("", "LimitRange", "limitranges", "has no LimitRange: limits are in the ECS task definition", "limits"),
    _none(
        "policy", "PodDisruptionBudget", "poddisruptionbudgets",
        "has no PodDisruptionBudget: minimumHealthyPercent of the ECS service says how many tasks stay", "pdb",
    ),
    _none(
        "scheduling.k8s.io", "PriorityClass", "priorityclasses",
        "has no PriorityClass: tasks run where Amazon ECS puts them", "pc", namespaced=False,
    ),
    _none(
        "autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
        "has no HorizontalPodAutoscaler: ECS Service Auto Scaling changes the number of tasks", "hpa",
    ),
    _none("coordination.k8s.io", "Lease", "leases", "keeps no Lease: replicas of the control plane share a database"),
    _none(
        "certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests",
        "keeps no CertificateSigningRequest: `outrig kubeconfig` issues certificates of users", "csr", namespaced=False,
    ),
    _none(
        "apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions",
        "needs no CustomResourceDefinition: its kinds are built in", "crd", "crds", namespaced=False,
    ),
    _none("networking.k8s.io", "Ingress", "ingresses", f"has no Ingress: {BALANCER}", "ing"),
    _none("networking.k8s.io", "IngressClass", "ingressclasses", f"has no IngressClass: {BALANCER}", namespaced=False),
    _none(
        "networking.k8s.io", "NetworkPolicy", "networkpolicies", "has no NetworkPolicy: security groups do that",
        "netpol",
    ),
    _istio("networking.istio.io", "VirtualService", "virtualservices", "vs"),
    _istio("networking.istio.io", "DestinationRule", "destinationrules", "dr"),
    _istio("networking.istio.io", "Gateway", "gateways", "gw"),
    _istio("networking.istio.io", "EnvoyFilter", "envoyfilters"),
    _istio("security.istio.io", "RequestAuthentication", "requestauthentications", "ra"),
)  # fmt: skip

PARTS: Final = (
    _none(
        "", "TokenRequest", "serviceaccounts/token",
        "gives a ServiceAccount no token: `outrig kubeconfig` and `outrig token user` issue credentials of users",
    ),
    ForeignKind(
        "networking.istio.io", ("v1", "v1beta1", "v1alpha3"), "Scale", "workloadgroups/scale",
        "a WorkloadGroup has no scale: desiredCount of its ECS service says how many tasks run",
    ),
)  # fmt: skip
"""What a served kind has in Kubernetes besides, `plural/part`; not in discovery, as kubectl asks without it."""


def _of_kuma(kind: Kind | kuma.RefusedKind) -> ForeignKind:
    if isinstance(kind, kuma.RefusedKind):
        sentence = kind.sentence
    else:
        sentence = f"{kind.name} is served by Kuma's API: `outrig get {kind.plural}`, `outrig apply`, `outrig delete`"
    return ForeignKind(kind.group, ("v1alpha1",), kind.name, kind.plural, sentence, namespaced=False, elsewhere=True)


_CERTIFICATE: Final = "`outrig kubeconfig` issues, lists and revokes certificates of users"
_OF_KUMA: Final[tuple[Kind | kuma.RefusedKind, ...]] = (*kuma.KINDS, *kuma.REFUSED)
ELSEWHERE: Final = (
    ForeignKind(GROUP, ("v1",), "Certificate", PLURAL, _CERTIFICATE, namespaced=False, elsewhere=True),
    *map(_of_kuma, _OF_KUMA),
)
"""Kinds that have an API of their own, and whose rights are given by the same roles."""


def foreign_to(catalog: Catalog) -> tuple[ForeignKind, ...]:
    """Those that the catalog does not serve after all."""
    return tuple(kind for kind in FOREIGN if catalog.kind_of(kind.group, kind.name) is None)


def find_foreign(kinds: Iterable[ForeignKind], address: Address) -> ForeignKind | None:
    """Of those kinds, of foreign parts of served kinds, and of what is served elsewhere, the one that a URL names."""
    named = {(address.group, address.plural), (address.group, f"{address.plural}/{address.subresource}")}
    found = (kind for kind in (*kinds, *PARTS, *ELSEWHERE) if (kind.group, kind.plural) in named)
    return next((kind for kind in found if address.version in kind.versions), None)


def refusal(kind: ForeignKind, address: Address, method: str) -> ApiError:
    """The answer to any request about a foreign kind.

    `kubectl apply` first reads the object; only a plain 404 lets it go on to the POST, whose refusal it prints well.
    """
    subject = Subject(kind.group, kind.plural, kind.name, address.name)
    if method == "GET" and address.name:
        error = not_found(subject)
        return ApiError(error.reason, f"{error.message}: {kind.sentence}", details=error.details)
    allowed = () if kind.elsewhere else ("GET", "HEAD")
    return ApiError("MethodNotAllowed", kind.sentence, details=subject.details(), allowed=allowed)
