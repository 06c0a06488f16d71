"""The fields of AuthorizationPolicy, with their descriptions."""

from typing import Annotated, Any, Literal

from pydantic import Field

from outrig.dialects.schema import QUOTED, Form, Labels

Value = Annotated[str, Field(min_length=1, max_length=1024), QUOTED]
Values = list[Value]

_STRINGS = "Exact, prefix*, *suffix, or * for any"


class Source(Form):
    """A caller. All fields hold at once; of a field's values any."""

    principals: Values = Field(
        default=[],
        description=f"Identities without spiffe://, such as cluster.local/ns/shop/sa/web, or default/kv for a "
        f"Dataplane of service kv in mesh default. {_STRINGS}.",
    )
    not_principals: Values = Field(default=[], description="None of these identities; plaintext callers have none.")
    request_principals: Values = Field(default=[], description="Not supported yet: requests carry no token.")
    not_request_principals: Values = Field(default=[], description="Not supported yet: requests carry no token.")
    namespaces: Values = Field(
        default=[], description=f"Namespaces of callers; kuma-MESH for Dataplanes of a mesh. {_STRINGS}."
    )
    not_namespaces: Values = Field(default=[], description="None of these namespaces.")
    service_accounts: Values = Field(
        default=[],
        max_length=16,
        description="Service accounts: NAMESPACE/NAME, or NAME in the policy's own namespace.",
    )
    not_service_accounts: Values = Field(default=[], max_length=16, description="None of these service accounts.")
    ip_blocks: Values = Field(default=[], description="Addresses from which the connection comes: one, or in CIDR.")
    not_ip_blocks: Values = Field(default=[], description="None of these addresses.")
    remote_ip_blocks: Values = Field(default=[], description="Not supported yet: no header is trusted for it.")
    not_remote_ip_blocks: Values = Field(default=[], description="Not supported yet: no header is trusted for it.")


class Operation(Form):
    """What is asked for. All fields hold at once; of a field's values any."""

    hosts: Values = Field(
        default=[], description=f"Hosts of the request, in any case, compared without their port. {_STRINGS}."
    )
    not_hosts: Values = Field(default=[], description="None of these hosts.")
    ports: Values = Field(default=[], description="Ports of the workload: the numbers of its ingress, in quotes.")
    not_ports: Values = Field(default=[], description="None of these ports.")
    methods: Values = Field(default=[], description="HTTP methods; POST for gRPC.")
    not_methods: Values = Field(default=[], description="None of these methods.")
    paths: Values = Field(
        default=[],
        description=f"Paths without query; /package.Service/Method for gRPC. {_STRINGS}; "
        "{*} stands for a segment, {**} at the end for the rest.",
    )
    not_paths: Values = Field(default=[], description="None of these paths.")


class From(Form):
    """A caller."""

    source: Source = Field(description="What is said of the caller.")


class To(Form):
    """What is asked for."""

    operation: Operation = Field(description="What is said of the request or connection.")


class When(Form):
    """A further condition."""

    key: Annotated[str, Field(min_length=1)] = Field(
        description="request.headers[NAME], source.ip, source.namespace, source.serviceAccount, source.principal, "
        "destination.port or connection.sni."
    )
    values: Values = Field(default=[], description="Any of these values.")
    not_values: Values = Field(default=[], description="None of these values.")


class RuleForm(Form):
    """A rule: callers, what they ask for, and further conditions. What is left out does not matter."""

    from_: list[From] = Field(default=[], alias="from", max_length=512, description="Any of these callers.")
    to: list[To] = Field(default=[], description="Any of these.")
    when: list[When] = Field(default=[], description="All of these.")


class Chosen(Form):
    """Chooses workloads."""

    match_labels: Labels = Field(default={}, max_length=4096, description="Labels that a workload must have.")


class AuthorizationPolicySpec(Form):
    """Who may do what."""

    selector: Chosen | None = Field(
        default=None,
        description="Workloads it is for; without it all of the namespace, or, from istio-system, of the mesh.",
    )
    target_ref: dict[str, Any] | None = Field(default=None, description="Not supported yet: use selector.")
    target_refs: list[dict[str, Any]] = Field(default=[], description="Not supported yet: use selector.")
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = Field(
        default="ALLOW",
        description="ALLOW: of all that is asked of these workloads, only what some rule of some such policy allows "
        "may pass. DENY: what a rule fits is refused, whatever is allowed. AUDIT and CUSTOM are not supported yet.",
    )
    provider: dict[str, Any] | None = Field(default=None, description="Not supported yet.")
    rules: list[RuleForm] = Field(
        default=[], max_length=512, description="Any of these. Without a rule ALLOW allows nothing; {} fits everything."
    )


class AuthorizationPolicyBody(Form):
    """Who may call workloads, and for what."""

    spec: AuthorizationPolicySpec = Field(default=AuthorizationPolicySpec(), description="Who may do what.")
