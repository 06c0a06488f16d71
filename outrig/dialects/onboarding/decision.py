"""May this caller join this group? Policies, group and caller in, a decision out. Without a rule that allows: no.

The caller's facts must be proven before: account and role by STS, cluster and zone by ECS, what a token says by its
issuer's signature. Nothing is guessed: names are compared exactly, and a policy that does not fit its schema allows
nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from outrig.dialects.onboarding.onboarding_policy import (
    ONBOARDING_POLICY,
    Attribute,
    AwsWorkloads,
    JwtWorkloads,
    OnboardingPolicyBody,
    Rule,
    Workloads,
)
from outrig.dialects.schema import parse
from outrig.resources import Key, Resource

NOT_AUTHORIZED: Final = "Not authorized by OnboardingPolicy"


@dataclass(frozen=True, slots=True)
class AwsTask:
    """A running ECS task, after the proof: every field is what AWS said, none what the caller said.

    `zone`: name of the availability zone. `cluster`, `role_name`: names, not ARNs.
    """

    partition: str
    account: str
    region: str
    zone: str
    cluster: str
    role_name: str
    task_id: str


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """A workload that presented a token, after its verification: every field is the issuer's word.

    `issuer`: its URL, as in the token. `issuer_name`: short, for names of resources.
    """

    issuer: str
    issuer_name: str
    subject: str
    attributes: Mapping[str, str]


Caller = AwsTask | TokenHolder


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. `policy` and `rule` (index in `spec.allow`) say who allowed it.

    `reason` is for the caller, empty if allowed. `nearest` is for logs and Events only: what the rule that came
    closest still missed; it tells what policies say, so a caller does not get it.
    """

    allowed: bool
    policy: Key | None = None
    rule: int | None = None
    reason: str = ""
    nearest: str = ""


def decide(policies: Sequence[Resource], group: Resource, caller: Caller) -> Decision:
    """Whether any policy of the group's own namespace lets the caller join the group."""
    misses: list[tuple[int, str]] = []
    for policy in sorted(policies, key=lambda one: one.key):
        if not _concerns(policy, group):
            continue
        for index, rule in enumerate(_rules(policy)):
            missed = min(_misses(rule, group, caller), key=len)
            if not missed:
                return Decision(True, policy.key, index)
            misses.append((len(missed), f"policy {policy.key.name}: {'; '.join(missed)}"))
    nearest = min(misses, default=(0, f"no OnboardingPolicy in namespace {group.key.namespace} allows anybody"))
    return Decision(False, reason=NOT_AUTHORIZED, nearest=nearest[1])


def _concerns(policy: Resource, group: Resource) -> bool:
    kind = (ONBOARDING_POLICY.group, ONBOARDING_POLICY.name)
    same_place = policy.key.namespace == group.key.namespace
    return same_place and (policy.key.group, policy.key.kind) == kind and policy.deleting is None


def _rules(policy: Resource) -> Sequence[Rule]:
    try:
        return parse(OnboardingPolicyBody, policy).spec.allow
    except ValidationError:
        return ()  # not what the API accepted: it allows nobody


def _misses(rule: Rule, group: Resource, caller: Caller) -> Iterator[list[str]]:
    """For each of the rule's workloads, what keeps the caller from being one of them and joining; empty: nothing."""
    fits = any(target.workload_group_selector.chooses(group.labels) for target in rule.onboard_to)
    shown = ",".join(f"{key}={value}" for key, value in sorted(group.labels.items())) or "none"
    unfit = [] if fits else [f"no workloadGroupSelector chooses group {group.key.name} (labels {shown})"]
    for workloads in rule.workloads:
        yield [*_differences(workloads, caller), *unfit]


def _differences(workloads: Workloads, caller: Caller) -> Iterator[str]:
    if isinstance(caller, AwsTask):
        if workloads.aws is None or workloads.jwt is not None:
            yield "is not about workloads on AWS"
        else:
            yield from _aws_misses(workloads.aws, caller)
    elif workloads.jwt is None or workloads.aws is not None:
        yield "is not about workloads with a token"
    else:
        yield from _jwt_misses(workloads.jwt, caller)


def _aws_misses(aws: AwsWorkloads, caller: AwsTask) -> Iterator[str]:
    if caller.account not in aws.accounts:
        yield _not_among("account", caller.account, aws.accounts)
    yield from _unless_listed("partition", caller.partition, aws.partitions)
    yield from _unless_listed("region", caller.region, aws.regions)
    yield from _unless_listed("zone", caller.zone, aws.zones)
    if aws.ecs is None or aws.ec2 is not None:
        yield "is not about ECS tasks"
    else:
        yield from _unless_listed("cluster", caller.cluster, aws.ecs.clusters)
        yield from _unless_listed("role", caller.role_name, aws.ecs.iam_role_names)


def _jwt_misses(jwt: JwtWorkloads, caller: TokenHolder) -> Iterator[str]:
    if caller.issuer != jwt.issuer:
        yield _not_among("issuer", caller.issuer, [jwt.issuer])
    yield from _unless_listed("subject", caller.subject, jwt.subjects)
    for attribute in jwt.attributes:
        yield from _attribute_misses(attribute, caller.attributes.get(attribute.name))


def _attribute_misses(demanded: Attribute, value: str | None) -> Iterator[str]:
    """A missing attribute is not an empty one."""
    if value is None:
        yield f"attribute {demanded.name} is missing"
    else:
        yield from _unless_listed(f"attribute {demanded.name}", value, demanded.values)


def _unless_listed(what: str, value: str, allowed: Sequence[str]) -> Iterator[str]:
    """An empty list means any."""
    if allowed and value not in allowed:
        yield _not_among(what, value, allowed)


def _not_among(what: str, value: str, allowed: Sequence[str]) -> str:
    shown = ", ".join(allowed[:5]) + (", ..." if len(allowed) > 5 else "")
    return f"{what} {value} is not among {shown}"
