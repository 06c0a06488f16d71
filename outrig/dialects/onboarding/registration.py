"""The registration of a workload that may join: its name, its fields, and the group as it was at that moment.

The snapshot of the group is kept in an annotation, so that later edits of the group do not reach running tasks.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from outrig.dialects.onboarding.decision import AwsTask, Caller, TokenHolder
from outrig.dialects.onboarding.names import ROLE, caller_of, task_arn
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.resources import Key, Owner, Resource

GROUP_SNAPSHOT: Final = "onboarding.outrig.dev/workload-group"
_MAX_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What the agent said of itself. `addresses`: pairs of IP and VPC or INTERNET. `labels`: beside the group's."""

    version: str
    envoy_version: str
    addresses: tuple[tuple[str, str], ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    connected_over: str = "VPC"


def registration_name(group_name: str, caller: Caller) -> str:
    """`<group>-aws-<partition>-<account>-<zone>-ecs-<cluster>-<task id>` or `<group>-jwt-<issuer>-<subject>`.

    Made to be a resource's name. Cluster names may hold upper case and `_`; those become lower case and `-`. A name
    that would be longer than 253 is cut before the task id and told apart by eight digits of its hash; so is one whose
    subject had to be changed to stand in a name.
    """
    if isinstance(caller, TokenHolder):
        return _token_name(group_name, caller)
    where = f"aws-{caller.partition}-{caller.account}-{caller.zone}-ecs-{caller.cluster}"
    name = f"{group_name}-{where}-{caller.task_id}".lower().replace("_", "-")
    return _shortened(name, end=caller.task_id.lower())


def _token_name(group_name: str, caller: TokenHolder) -> str:
    """Subjects may hold anything; what cannot stand in a name becomes `-`, and a hash of the subject is added."""
    plain = re.sub(r"[^a-z0-9]+", "-", caller.subject.lower()).strip("-")
    digest = sha256(caller.subject.encode()).hexdigest()[:8]
    end = plain if plain == caller.subject else f"{plain}-{digest}".lstrip("-")
    return _shortened(f"{group_name}-jwt-{caller.issuer_name}-{end}", end=digest)


def _shortened(name: str, *, end: str) -> str:
    """A name that is too long keeps its beginning, a hash of its whole and that end."""
    if len(name) <= _MAX_NAME:
        return name
    tail = f"-{sha256(name.encode()).hexdigest()[:8]}-{end}"
    return name[: _MAX_NAME - len(tail)].rstrip("-.") + tail


def registration(group: Resource, caller: Caller, agent: AgentReport) -> Resource:
    """The registration of a workload in a group, which owns it. The group must be stored (it needs a uid)."""
    owner = Owner(group.key, group.uid, api_version="networking.istio.io/v1")
    kind = WORKLOAD_AUTO_REGISTRATION
    return Resource(
        key=Key(kind.group, kind.name, "", group.key.namespace, registration_name(group.key.name, caller)),
        body={"spec": {"identity": _identity(caller), "registration": _registration(agent)}},
        labels=dict(group.labels),
        annotations={GROUP_SNAPSHOT: _snapshot(group), **_role(caller)},
        owners=(owner,),
    )


def group_of(registration: Resource) -> Resource:
    """The WorkloadGroup as it was when the task joined.

    Raises KeyError or ValueError if the registration has no intact snapshot, so was not made by `registration`.
    """
    kept = json.loads(registration.annotations[GROUP_SNAPSHOT])
    owner = registration.owners[0]
    return Resource(key=owner.key, body={"spec": kept["spec"]}, labels=kept["labels"], uid=owner.uid)


def is_of(registration: Resource, caller: Caller) -> bool:
    """Whether the registration is the caller's. Attributes of a token are not what makes somebody the same."""
    held, now = registration.spec.get("identity", {}), _identity(caller)
    return bool(_without_attributes(held) == _without_attributes(now))


def task_arn_of(registration: Resource) -> str:
    """The ARN of the ECS task that the registration stands for; empty if it stands for something else."""
    caller = caller_of(registration)
    return task_arn(caller) if isinstance(caller, AwsTask) else ""


def _role(caller: Caller) -> dict[str, str]:
    return {ROLE: caller.role_name} if isinstance(caller, AwsTask) else {}


def _snapshot(group: Resource) -> str:
    return json.dumps({"labels": dict(group.labels), "spec": group.spec}, sort_keys=True, separators=(",", ":"))


def _identity(caller: Caller) -> dict[str, Any]:
    if isinstance(caller, TokenHolder):
        said = {"issuer": caller.issuer, "subject": caller.subject, "attributes": dict(caller.attributes)}
        return {"jwt": said if caller.attributes else _without(said, "attributes")}
    return {"aws": _aws_identity(caller)}


def _without_attributes(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: _without(said, "attributes") for kind, said in identity.items()}


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in fields.items() if field != name}


def _aws_identity(caller: AwsTask) -> dict[str, Any]:
    return {
        "partition": caller.partition,
        "account": caller.account,
        "region": caller.region,
        "zone": caller.zone,
        "ecs": {"cluster": caller.cluster, "taskId": caller.task_id},
    }


def _registration(agent: AgentReport) -> dict[str, Any]:
    return {
        "agent": {"version": agent.version},
        "sidecar": {"envoy": {"version": agent.envoy_version}},
        "host": {"addresses": [{"ip": ip, "type": kind} for ip, kind in agent.addresses]},
        "workload": {"labels": dict(agent.labels)},
        "settings": {"connectedOver": agent.connected_over},
    }
