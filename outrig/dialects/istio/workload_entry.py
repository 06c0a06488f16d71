"""WorkloadEntry: one workload. The control plane makes one for each onboarded task; users may write others.

An entry whose owner is a registration has a proxy of ours, and its health is in its `Ready` condition. One that a
user wrote is taken to be up; it is called by mutual TLS where label or service account say that it speaks it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pydantic import Field

from outrig.dialects.columns import AGE, condition_column, reason_column
from outrig.dialects.conditions import AGENT_CONNECTED, PROGRAMMED, READY
from outrig.dialects.findings import NOT_HONOURED, Place
from outrig.dialects.istio.endpoint import address_findings, endpoint_of, form_of, identity_of, network_findings
from outrig.dialects.istio.registered_entry import OWN_ADDRESS
from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.readiness import health_of
from outrig.dialects.schema import Form, parse
from outrig.dialects.statuses import WorkloadStatus
from outrig.errors import Finding
from outrig.model import AddressForm, TlsMode, Workload
from outrig.resources import Resource

NETWORKING: Final = "networking.istio.io"
REGISTRATION: Final = ("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration")


class WorkloadEntryBody(Form):
    """A workload."""

    spec: WorkloadTemplate = Field(description="What is known of the workload.")


def _findings(resource: Resource) -> tuple[Finding, ...]:
    spec = parse(WorkloadEntryBody, resource).spec
    place = Place(resource.key)
    address = place / "address"
    return (*address_findings(address, spec), *_only_for_entries(address, spec), *network_findings(place, spec))


def _only_for_entries(place: Place, spec: WorkloadTemplate) -> Iterator[Finding]:
    if form_of(spec.address) in (AddressForm.NAME, AddressForm.SOCKET):
        hint = "write its IP address, or select it by a ServiceEntry"
        yield place.warning(NOT_HONOURED, "only entries with an IP address are behind Services", hint)


def is_registered(entry: Resource) -> bool:
    """Whether the control plane made this entry, for a task that has joined."""
    return any((owner.key.group, owner.key.kind) == REGISTRATION for owner in entry.owners)


def _compile(resource: Resource, scope: Scope) -> tuple[Workload, ...]:
    spec = parse(WorkloadEntryBody, resource).spec
    labels = {**spec.labels, **resource.labels}
    written = endpoint_of(spec, labels, origin=resource.key, name=resource.key.name, scope=scope)
    if written is None or not is_registered(resource):
        return (written,) if written else ()
    identity = identity_of(spec, resource.key.namespace, scope)
    return (
        replace(
            written,
            identities=(identity,),
            health=health_of(resource),
            proxied=True,
            tls_default=TlsMode.STRICT,
            own_address=resource.annotations.get(OWN_ADDRESS, ""),
        ),
    )


WORKLOAD_ENTRY: Final = Kind(
    group=NETWORKING,
    name="WorkloadEntry",
    plural="workloadentries",
    singular="workloadentry",
    short_names=("we",),
    categories=("istio-io", "networking-istio-io"),
    versions=("v1", "v1beta1", "v1alpha3"),
    deprecated=("v1beta1",),
    schema=WorkloadEntryBody,
    status_schema=WorkloadStatus,
    columns=(
        AGE,
        Column("Address", lambda entry: str(entry.spec.get("address") or ""), description="Address of the workload"),
        condition_column(READY, "Ready", "Whether it takes calls, if it was onboarded", priority=0),
        reason_column(READY, "Reason", "Why it does, or does not"),
        condition_column(AGENT_CONNECTED, "Agent Connected", "Whether its agent is connected"),
        condition_column(PROGRAMMED, "Programmed", "Whether its proxy has accepted its configuration"),
    ),
    findings=_findings,
    ours=is_registered,
    compile=_compile,
)
