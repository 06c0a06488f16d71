"""The registration of a task that may join: its name, its fields, and the group as it was at that moment.

The snapshot of the group is kept in an annotation, so that later edits of the group do not reach running tasks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from outrig.dialects.onboarding.decision import AwsTask
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


def registration_name(group_name: str, caller: AwsTask) -> str:
    """`<group>-aws-<partition>-<account>-<zone>-ecs-<cluster>-<task id>`, made to be a resource name.

    Cluster names may hold upper case and `_`; those become lower case and `-`. A name that would be longer than 253
    is cut before the task id and told apart by eight digits of its hash.
    """
    where = f"aws-{caller.partition}-{caller.account}-{caller.zone}-ecs-{caller.cluster}"
    name = f"{group_name}-{where}-{caller.task_id}".lower().replace("_", "-")
    if len(name) <= _MAX_NAME:
        return name
    tail = f"-{sha256(name.encode()).hexdigest()[:8]}-{caller.task_id.lower()}"
    return name[: _MAX_NAME - len(tail)].rstrip("-.") + tail


def registration(group: Resource, caller: AwsTask, agent: AgentReport) -> Resource:
    """The registration of a task in a group, which owns it. The group must be stored (it needs a uid)."""
    owner = Owner(group.key, group.uid, api_version="networking.istio.io/v1")
    kind = WORKLOAD_AUTO_REGISTRATION
    return Resource(
        key=Key(kind.group, kind.name, "", group.key.namespace, registration_name(group.key.name, caller)),
        body={"spec": {"identity": {"aws": _identity(caller)}, "registration": _registration(agent)}},
        labels=dict(group.labels),
        annotations={GROUP_SNAPSHOT: _snapshot(group)},
        owners=(owner,),
    )


def group_of(registration: Resource) -> Resource:
    """The WorkloadGroup as it was when the task joined.

    Raises KeyError or ValueError if the registration has no intact snapshot, so was not made by `registration`.
    """
    kept = json.loads(registration.annotations[GROUP_SNAPSHOT])
    owner = registration.owners[0]
    return Resource(key=owner.key, body={"spec": kept["spec"]}, labels=kept["labels"], uid=owner.uid)


def task_arn_of(registration: Resource) -> str:
    """The ARN of the ECS task that the registration stands for; empty if it stands for something else."""
    aws = registration.spec.get("identity", {}).get("aws") or {}
    if not (ecs := aws.get("ecs")):
        return ""
    return f"arn:{aws['partition']}:ecs:{aws['region']}:{aws['account']}:task/{ecs['cluster']}/{ecs['taskId']}"


def _snapshot(group: Resource) -> str:
    return json.dumps({"labels": dict(group.labels), "spec": group.spec}, sort_keys=True, separators=(",", ":"))


def _identity(caller: AwsTask) -> dict[str, Any]:
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
