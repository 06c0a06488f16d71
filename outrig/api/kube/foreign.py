"""Kinds that people apply out of habit and that Outrig does not have: named in discovery so that kubectl asks, and
then prints our sentence instead of "no matches for kind".

They are listed without verbs, which hides them from `kubectl api-resources` and `kubectl get all`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from outrig.api.kube.catalog import Address, Catalog
from outrig.api.kube.statuses import Subject, not_found
from outrig.api.refusals import ApiError

WORKLOADS = "run it as an Amazon ECS service and describe it with a WorkloadGroup"
STORAGE = "mount volumes in the ECS task definition"
TRAFFIC = "Sidecar, ServiceEntry, WorkloadGroup, WorkloadEntry, PeerAuthentication and AuthorizationPolicy are served"


@dataclass(frozen=True, slots=True)
class ForeignKind:
    """A kind we do not serve. `reason` completes the sentence `Outrig <reason>`."""

    group: str
    versions: tuple[str, ...]
    name: str
    plural: str
    reason: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True

    @property
    def sentence(self) -> str:
        """What its author is told."""
        return f"Outrig {self.reason}"


def _containers(group: str, name: str, *short_names: str) -> ForeignKind:
    reason = f"runs no containers, so it has no {name}: {WORKLOADS}"
    return ForeignKind(group, ("v1",), name, name.lower() + "s", reason, short_names)


def _istio(group: str, name: str, plural: str, *short_names: str) -> ForeignKind:
    versions = ("v1", "v1beta1", "v1alpha3") if group == "networking.istio.io" else ("v1", "v1beta1")
    return ForeignKind(group, versions, name, plural, f"does not serve {name} yet: {TRAFFIC}", short_names)


def _none(group: str, name: str, plural: str, reason: str, *short_names: str, namespaced: bool = True) -> ForeignKind:
    return ForeignKind(group, ("v1",), name, plural, reason, short_names, namespaced)


FOREIGN = (
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
    _none("", "Endpoints", "endpoints", "keeps no Endpoints: WorkloadEntries say what is behind a Service", "ep"),
    _none("", "PersistentVolumeClaim", "persistentvolumeclaims", f"keeps no PersistentVolumeClaim: {STORAGE}", "pvc"),
    _none("", "PersistentVolume", "persistentvolumes", f"keeps no PersistentVolume: {STORAGE}", "pv", namespaced=False),
    _none("", "Node", "nodes", "has no Node: tasks run where Amazon ECS puts them", "no", namespaced=False),
    _none(
        "apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions",
        "needs no CustomResourceDefinition: its kinds are built in", "crd", "crds", namespaced=False,
    ),
    _none("networking.k8s.io", "Ingress", "ingresses", "has no Ingress: a load balancer does that", "ing"),
    _none("networking.k8s.io", "NetworkPolicy", "networkpolicies", "has no NetworkPolicy: security groups do that"),
    _istio("networking.istio.io", "VirtualService", "virtualservices", "vs"),
    _istio("networking.istio.io", "DestinationRule", "destinationrules", "dr"),
    _istio("networking.istio.io", "Gateway", "gateways", "gw"),
    _istio("networking.istio.io", "EnvoyFilter", "envoyfilters"),
    _istio("security.istio.io", "RequestAuthentication", "requestauthentications", "ra"),
)  # fmt: skip


def foreign_to(catalog: Catalog) -> tuple[ForeignKind, ...]:
    """Those that the catalog does not serve after all."""
    return tuple(kind for kind in FOREIGN if catalog.kind_of(kind.group, kind.name) is None)


def find_foreign(kinds: Iterable[ForeignKind], address: Address) -> ForeignKind | None:
    """The foreign kind that a URL names."""
    named = (address.group, address.plural)
    return next(
        (kind for kind in kinds if (kind.group, kind.plural) == named and address.version in kind.versions), None
    )


def refusal(kind: ForeignKind, address: Address, method: str) -> ApiError:
    """The answer to any request about a foreign kind.

    `kubectl apply` first reads the object; only a plain 404 lets it go on to the POST, whose refusal it prints well.
    """
    subject = Subject(kind.group, kind.plural, kind.name, address.name)
    if method == "GET" and address.name:
        error = not_found(subject)
        return ApiError(error.reason, f"{error.message}: {kind.sentence}", details=error.details)
    return ApiError("MethodNotAllowed", kind.sentence, details=subject.details())
