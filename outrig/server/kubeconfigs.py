"""A kubeconfig as text: one cluster, one user, one context.

In: where the API is and how to trust it; who uses it, by client certificate. Out: YAML.
"""

import base64
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API. `root`: PEM, empty: what the system trusts. `name`: in the server's certificate, if not the URL's."""

    server: str
    root: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """A user's certificate and key, PEM. `namespace`: where its commands are about by default."""

    user: str
    chain: str
    key: str
    namespace: str = "default"


def written(at: Cluster, who: Credential) -> str:
    """The kubeconfig. Cluster and context are called `outrig`."""
    cluster = {
        "server": at.server,
        "certificate-authority-data": _base64(at.root),
        "tls-server-name": at.name,
    }
    credential = {"client-certificate-data": _base64(who.chain), "client-key-data": _base64(who.key)}
    context = {"cluster": "outrig", "user": who.user, "namespace": who.namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "outrig", "cluster": {field: value for field, value in cluster.items() if value}}],
        "users": [{"name": who.user, "user": credential}],
        "contexts": [{"name": "outrig", "context": context}],
        "current-context": "outrig",
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
