"""Namespace: where names live, and which mesh they belong to (label `kuma.io/mesh`).

Its name is a label of it too, as in Kubernetes, so that selectors can choose it; those that were stored without are
shown with it.

Whether that mesh exists is for whoever has the store to say.
"""

from dataclasses import replace
from typing import Final

from pydantic import Field

from outrig.dialects.bans import ban_findings
from outrig.dialects.columns import AGE
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.schema import Form
from outrig.dialects.statuses import NamespaceStatus
from outrig.model import Namespace
from outrig.resources import Json, Resource

MESH_LABEL: Final = "kuma.io/mesh"
NAME_LABEL: Final = "kubernetes.io/metadata.name"
DEFAULT_MESH: Final = "default"


class NamespaceSpec(Form):
    """Nothing that Outrig acts on."""

    finalizers: list[str] = Field(default=[], description="Accepted as in Kubernetes; has no effect.")


class NamespaceBody(Form):
    """A namespace; what matters of it is its name and its labels."""

    spec: NamespaceSpec = Field(default=NamespaceSpec(), description="What the namespace is to be.")


def mesh_of(namespace: Resource) -> str:
    """The name of the mesh that the namespace belongs to."""
    return namespace.labels.get(MESH_LABEL) or DEFAULT_MESH


def with_name_label(namespace: Resource) -> Resource:
    """The namespace with its name as a label: the very same object if it has it."""
    labels = {**namespace.labels, **_name_label(namespace.key.name)}
    return namespace if labels == namespace.labels else replace(namespace, labels=labels)


def _name_label(name: str) -> Json:
    return {NAME_LABEL: name}


def _compile(resource: Resource, scope: Scope) -> tuple[Namespace, ...]:  # noqa: ARG001 - a Namespace *is* the scope
    return (Namespace(resource.key, resource.key.name, mesh_of(resource)),)


def _phase(resource: Resource) -> str:
    return "Terminating" if resource.deleting else "Active"


def _observed(resource: Resource) -> Json:
    return {**resource.status, "phase": _phase(resource)}


NAMESPACE: Final = Kind(
    group="",
    name="Namespace",
    plural="namespaces",
    singular="namespace",
    short_names=("ns",),
    versions=("v1",),
    schema=NamespaceBody,
    namespaced=False,
    status_schema=NamespaceStatus,
    strategic_merge=True,
    own_labels=_name_label,
    columns=(Column("Status", _phase, description="Active, or Terminating while it is being deleted"), AGE),
    observed=_observed,
    findings=lambda resource: tuple(ban_findings(resource)),
    compile=_compile,
)
