"""The WorkloadEntry of a task that has joined: from its group, as it was then, and from what is known of the task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from outrig.dialects.istio.workload_group import WorkloadGroupBody, group_labels
from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.readiness import ReadyReason, with_readiness
from outrig.dialects.schema import parse
from outrig.resources import Key, Owner, Resource

GROUP_ANNOTATION: Final = "istio.io/autoRegistrationGroup"
OWN_ADDRESS: Final = "onboarding.outrig.dev/own-address"
"""Annotation of an entry whose address only leads to its host: the address that the host itself has."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What is known of a workload that has joined. `labels`: those its agent asked for, the weakest of all.

    `address`: where others reach it; `own_address`: the one its host has, empty if that is the same.
    """

    address: str
    region: str
    zone: str
    labels: Mapping[str, str]
    own_address: str = ""


def registered_entry(group: Resource, joined: Joined, *, owner: Owner, now: datetime) -> Resource:
    """The entry of a task, named after the registration that owns it; not ready yet.

    `group` is the WorkloadGroup as the registration remembers it. Labels that the group declares win over the task's.
    """
    spec = parse(WorkloadGroupBody, group).spec
    labels = {**joined.labels, **group_labels(group)}
    own = {} if joined.own_address in ("", joined.address) else {OWN_ADDRESS: joined.own_address}
    entry = Resource(
        key=Key("networking.istio.io", "WorkloadEntry", "", group.key.namespace, owner.key.name),
        body={"spec": _spec(spec.template, joined, labels)},
        labels=labels,
        annotations={**spec.metadata.annotations, GROUP_ANNOTATION: group.key.name, **own},
        owners=(owner,),
    )
    return with_readiness(entry, ReadyReason.STARTING, now=now)


def _spec(template: WorkloadTemplate, joined: Joined, labels: Mapping[str, str]) -> dict[str, Any]:
    fields = {
        "address": joined.address,
        "labels": labels,
        "locality": "/".join(part for part in (joined.region, joined.zone) if part),
        "ports": template.ports,
        "serviceAccount": template.service_account,
        "weight": template.weight,
    }
    return {field: value for field, value in fields.items() if value}
