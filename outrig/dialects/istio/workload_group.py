"""WorkloadGroup: workloads yet to come, their labels and their identity."""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import Field

from outrig.dialects.columns import AGE
from outrig.dialects.findings import NOT_HONOURED, Place
from outrig.dialects.istio.identity import spiffe_id
from outrig.dialects.istio.probe import Probe, probe_findings
from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.kind import Kind, Scope
from outrig.dialects.schema import Annotations, Form, Labels, parse
from outrig.errors import Finding
from outrig.model import Group, labels_of
from outrig.resources import Resource


class EntryMetadata(Form):
    """Metadata of the WorkloadEntries to come."""

    labels: Labels = Field(default={}, max_length=256, description="Labels for each entry.")
    annotations: Annotations = Field(default={}, max_length=256, description="Annotations for each entry.")


class WorkloadGroupSpec(Form):
    """What the workloads of the group have in common."""

    metadata: EntryMetadata = Field(default=EntryMetadata(), description="Metadata for each WorkloadEntry.")
    template: WorkloadTemplate = Field(description="What is known of every workload of the group.")
    probe: Probe | None = Field(default=None, description="How to tell that a workload is ready.")


class WorkloadGroupBody(Form):
    """A group of workloads."""

    spec: WorkloadGroupSpec = Field(description="What the workloads of the group have in common.")


def group_labels(group: Resource) -> Mapping[str, str]:
    """The labels that every workload of the group has: of the template, then of `spec.metadata`, then the group's own.

    Later ones win. A workload may add labels, but never change one of these.
    """
    spec = parse(WorkloadGroupBody, group).spec
    return {**spec.template.labels, **spec.metadata.labels, **group.labels}


def group_identity(group: Resource, trust_domain: str) -> str:
    """The SPIFFE URI that workloads of the group get."""
    account = parse(WorkloadGroupBody, group).spec.template.service_account
    return spiffe_id(trust_domain=trust_domain, namespace=group.key.namespace, service_account=account)


def _findings(resource: Resource) -> tuple[Finding, ...]:
    spec = parse(WorkloadGroupBody, resource).spec
    place = Place(resource.key)
    return (
        *_no_effect(place / "template", spec.template),
        *(probe_findings(place / "probe", spec.probe) if spec.probe else ()),
    )


def _no_effect(place: Place, template: WorkloadTemplate) -> Iterator[Finding]:
    for field, value in (("address", template.address), ("locality", template.locality), ("network", template.network)):
        if value:
            yield (place / field).warning(NOT_HONOURED, "has no effect: each workload brings its own")


def _compile(resource: Resource, scope: Scope) -> tuple[Group, ...]:
    namespace = resource.key.namespace
    identity = group_identity(resource, scope.trust_domain(scope.mesh_of(namespace)))
    return (Group(resource.key, namespace, labels_of(group_labels(resource)), (identity,)),)


WORKLOAD_GROUP: Final = Kind(
    group="networking.istio.io",
    name="WorkloadGroup",
    plural="workloadgroups",
    singular="workloadgroup",
    short_names=("wg",),
    categories=("istio-io", "networking-istio-io"),
    versions=("v1", "v1beta1", "v1alpha3"),
    deprecated=("v1beta1",),
    schema=WorkloadGroupBody,
    columns=(AGE,),
    findings=_findings,
    compile=_compile,
)
