"""WorkloadAutoRegistration: a workload that has joined. Made by the control plane; users may look and delete.

Deleting one makes the agent join again, with the group as it is then.
"""

from typing import Final, Literal

from pydantic import Field

from outrig.dialects.columns import AGE, condition_column, reason_column
from outrig.dialects.conditions import AGENT_CONNECTED, PROGRAMMED, READY, condition_of
from outrig.dialects.kind import Column, Kind
from outrig.dialects.schema import Form
from outrig.dialects.statuses import WorkloadStatus
from outrig.resources import Resource


class EcsIdentity(Form):
    """A task of ECS."""

    cluster: str = Field(description="Name of the cluster.")
    task_id: str = Field(description="Id of the task.")


class Ec2Identity(Form):
    """An instance of EC2."""

    instance_id: str = Field(description="Id of the instance.")


class AwsIdentity(Form):
    """A workload on AWS, as AWS describes it."""

    partition: str = Field(description="Partition.")
    account: str = Field(description="Account id.")
    region: str = Field(description="Region.")
    zone: str = Field(description="Availability zone.")
    ecs: EcsIdentity | None = Field(default=None, description="The ECS task.")
    ec2: Ec2Identity | None = Field(default=None, description="The EC2 instance.")


class JwtIdentity(Form):
    """A workload that presented a token."""

    issuer: str = Field(description="Issuer of the token.")
    subject: str = Field(description="Subject of the token.")
    attributes: dict[str, str] = Field(default={}, description="Attributes in the token.")


class Identity(Form):
    """Who the workload proved to be."""

    aws: AwsIdentity | None = Field(default=None, description="A workload on AWS.")
    jwt: JwtIdentity | None = Field(default=None, description="A workload with a token.")


class Version(Form):
    """A version."""

    version: str = Field(default="", description="The version.")


class SidecarVersions(Form):
    """The proxy beside the workload."""

    envoy: Version | None = Field(default=None, description="The Envoy that runs.")
    istio: Version | None = Field(default=None, description="Not used by Outrig, whose sidecar is a stock Envoy.")


class HostAddress(Form):
    """An address of the workload."""

    ip: str = Field(description="The IP address.")
    type: Literal["VPC", "INTERNET"] = Field(description="Where it can be reached from.")


class Host(Form):
    """Where the workload runs."""

    addresses: list[HostAddress] = Field(default=[], description="Its addresses.")


class WorkloadSettings(Form):
    """What the agent asked for."""

    labels: dict[str, str] = Field(default={}, description="Labels beside those of the group.")


class ConnectionSettings(Form):
    """How the agent reaches the control plane."""

    connected_over: Literal["VPC", "INTERNET"] = Field(default="VPC", description="VPC or INTERNET.")


class Registration(Form):
    """What the agent said of itself."""

    agent: Version = Field(default=Version(), description="The agent.")
    sidecar: SidecarVersions = Field(default=SidecarVersions(), description="The proxy.")
    host: Host = Field(default=Host(), description="Where the workload runs.")
    workload: WorkloadSettings = Field(default=WorkloadSettings(), description="What the agent asked for.")
    settings: ConnectionSettings = Field(default=ConnectionSettings(), description="How the agent is connected.")


class WorkloadAutoRegistrationSpec(Form):
    """Who joined, and how."""

    identity: Identity = Field(description="Who the workload proved to be.")
    registration: Registration = Field(description="What the agent said of itself.")


class WorkloadAutoRegistrationBody(Form):
    """A workload that has joined."""

    spec: WorkloadAutoRegistrationSpec = Field(description="Who joined, and how.")


def _connected(resource: Resource) -> str:
    condition = condition_of(resource.status, AGENT_CONNECTED)
    return str(condition.status) if condition else "Unknown"


WORKLOAD_AUTO_REGISTRATION: Final = Kind(
    group="runtime.onboarding.tetrate.io",
    name="WorkloadAutoRegistration",
    plural="workloadautoregistrations",
    singular="workloadautoregistration",
    short_names=("war",),
    versions=("v1alpha1",),
    schema=WorkloadAutoRegistrationBody,
    status_schema=WorkloadStatus,
    system=True,
    columns=(
        Column("Agent Connected", _connected, description="Whether its agent is connected"),
        AGE,
        condition_column(READY, "Ready", "Whether the workload takes calls"),
        reason_column(READY, "Reason", "Why it does, or does not"),
        condition_column(PROGRAMMED, "Programmed", "Whether its proxy has accepted its configuration"),
    ),
)
