"""The SPIFFE identity of Istio's workloads: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`."""

from typing import Final

DEFAULT_ACCOUNT: Final = "default"  # what an empty service account means


def spiffe_id(*, trust_domain: str, namespace: str, service_account: str) -> str:
    """The one URI of a workload. The parts have been checked as DNS names, so none of them can hold a `/`."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account or DEFAULT_ACCOUNT}"
