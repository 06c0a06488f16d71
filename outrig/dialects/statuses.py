"""What a status may hold, for `kubectl explain`. The control plane writes it.

Others may write it too: of Kubernetes' own kinds it must then fit its form; of the others what is known must have its
type, and anything else is kept, as there.
"""

from typing import Annotated, Literal

from pydantic import Field

from outrig.dialects.schema import Form, Generation, GenerationOrText, Time, keyed_by


class _Condition(Form):
    """What conditions of all kinds say."""

    type: str = Field(description="What it is about, as one CamelCase word: Ready, AgentConnected, Programmed.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: str = Field(default="", description="Why, as one CamelCase word.")
    message: str = Field(default="", description="Why, for people.")
    last_transition_time: Time | None = Field(
        default=None, description="When the status last became another (RFC 3339)."
    )


class StatusCondition(_Condition):
    """One thing that is so, or is not."""

    observed_generation: Generation | None = Field(default=None, description="Generation that it was found of.")


class ProbedCondition(_Condition):
    """One thing that is so, or is not."""

    # of kinds that are not Kubernetes' own: Istio's say besides when somebody looked

    last_probe_time: Time | None = Field(default=None, description="When somebody last looked (RFC 3339).")
    observed_generation: GenerationOrText | None = Field(default=None, description="Generation that it was found of.")


class ValidationMessage(Form):
    """One doubt about what was written."""

    level: Literal["WARNING"] = Field(default="WARNING", description="How much it matters. Errors are refused.")
    message: str = Field(default="", description="The field and what is doubtful about it, as its author was told.")


class Status(Form):
    """What the control plane observed."""

    conditions: list[ProbedCondition] = Field(default=[], description="What is so of it now, each type once.")
    validation_messages: list[ValidationMessage] = Field(
        default=[], description="What is doubtful about it, for those who did not apply it."
    )
    observed_generation: GenerationOrText | None = Field(
        default=None, description="Generation that the messages are about."
    )


class ActiveConnection(Form):
    """A connection to the control plane."""

    connected_to: str = Field(default="", description="Name of the replica at its other end.")


class WorkloadStatus(Form):
    """What the control plane knows of a workload that has joined."""

    conditions: list[ProbedCondition] = Field(
        default=[],
        description="AgentConnected: its agent has a stream open. Ready: callers are sent to it. Programmed: its proxy "
        "has accepted its configuration. PartiallyInvalid: some of what was written could not be made into one.",
    )
    active_agent_connection: ActiveConnection | None = Field(default=None, description="Where its agent is connected.")
    active_proxy_connection: ActiveConnection | None = Field(
        default=None, description="Where its proxy is connected, or was last."
    )


class NamespaceStatus(Form):
    """How far a namespace is."""

    phase: Literal["Active", "Terminating"] = Field(
        default="Active", description="Terminating while it is being deleted: then nothing new is taken into it."
    )
    conditions: list[StatusCondition] = Field(
        default=[],
        description="While it is being deleted, what holds it up.",
        json_schema_extra=keyed_by("type"),
    )


class PortStatus(Form):
    """Of a port of a load balancer."""

    port: Annotated[int, Field(ge=0, le=65535)] = Field(description="Its number.")
    protocol: str = Field(description="TCP, UDP or SCTP.")
    error: str | None = Field(default=None, description="What is wrong with it.")


class LoadBalancerIngress(Form):
    """A point of a load balancer."""

    ip: str = Field(default="", description="Its address.")
    hostname: str = Field(default="", description="Its name.")
    ip_mode: str | None = Field(default=None, description="VIP or Proxy.")
    ports: list[PortStatus] = Field(default=[], description="Its ports.")


class LoadBalancerStatus(Form):
    """Of a load balancer."""

    ingress: list[LoadBalancerIngress] = Field(default=[], description="Kept as written; Outrig makes none.")


class ServiceStatus(Form):
    """Outrig allots nothing to a service: it tells what is doubtful about it, and keeps what others tell."""

    load_balancer: LoadBalancerStatus | None = Field(default=None, description="Kept as written: Outrig makes none.")
    conditions: list[StatusCondition] = Field(
        default=[], description="Kept as written.", json_schema_extra=keyed_by("type")
    )
    validation_messages: list[ValidationMessage] = Field(
        default=[], description="What is doubtful about it, for those who did not apply it."
    )
    observed_generation: Generation | None = Field(default=None, description="Generation that the messages are about.")
