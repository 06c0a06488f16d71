"""OnboardingPolicy: who may join which WorkloadGroups of its namespace. Nobody may whom no policy allows.

Rules add up; there is no deny. Names are compared exactly: there are no wildcards, no ARNs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from outrig.dialects.columns import AGE
from outrig.dialects.findings import INVALID, MISSING, NOT_SUPPORTED, Place
from outrig.dialects.kind import Kind
from outrig.dialects.label_selector import LabelSelector, selector_findings
from outrig.dialects.schema import QUOTED, Form, parse
from outrig.errors import Finding
from outrig.resources import Resource


def _account(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = "quote it: YAML reads 012345678901 as a number and drops leading zeros"
        raise PydanticCustomError("unquoted_account", message)
    if not isinstance(value, str) or not (len(value) == 12 and value.isascii() and value.isdigit()):
        raise PydanticCustomError("account", "must be an AWS account id: 12 digits, in quotes")
    return value


_ZONE_ID: Final = re.compile(r"[a-z]+[0-9]+-az[0-9]+")
AccountId = Annotated[str, BeforeValidator(_account), Field(json_schema_extra={"example": "123456789012"})]
Name = Annotated[str, Field(min_length=1), QUOTED]


class Ec2(Form):
    """Instances of EC2."""

    iam_role_names: list[Name] = Field(default=[], description="Names of instance roles; empty means any.")


class Ecs(Form):
    """Tasks of ECS."""

    clusters: list[Name] = Field(default=[], description="Names of clusters; empty means any.")
    iam_role_names: list[Name] = Field(default=[], description="Names of task roles, without path; empty means any.")


class AwsWorkloads(Form):
    """Workloads on AWS that fit every field."""

    partitions: list[Name] = Field(default=[], description="Partitions (aws, aws-cn, aws-us-gov); empty means any.")
    accounts: list[AccountId] = Field(min_length=1, description="Account ids, 12 digits each, in quotes.")
    regions: list[Name] = Field(default=[], description="Regions (us-east-1); empty means any.")
    zones: list[Name] = Field(default=[], description="Availability zones by name (us-east-1a); empty means any.")
    ec2: Ec2 | None = Field(default=None, description="Instances of EC2. They cannot join yet.")
    ecs: Ecs | None = Field(default=None, description="Tasks of ECS; {} means any.")


class Attribute(Form):
    """A demand on an attribute of a token."""

    name: Name = Field(description="Name of the attribute.")
    values: list[Annotated[str, QUOTED]] = Field(
        default=[], description="Values, one of which it must have; empty means any."
    )


class JwtWorkloads(Form):
    """Workloads that present a token."""

    issuer: Name = Field(
        description="Issuer of the token: the URL in its iss, exactly. The control plane must know it."
    )
    subjects: list[Name] = Field(default=[], description="Subjects; empty means any.")
    attributes: list[Attribute] = Field(default=[], description="Attributes, all of which must fit.")


class Workloads(Form):
    """Some workloads: exactly one of aws and jwt."""

    aws: AwsWorkloads | None = Field(default=None, description="Workloads on AWS.")
    jwt: JwtWorkloads | None = Field(default=None, description="Workloads with a token.")


class Target(Form):
    """WorkloadGroups that may be joined."""

    workload_group_selector: LabelSelector = Field(
        description="Chooses by the labels in the group's metadata; {} means all groups of the namespace."
    )


class Rule(Form):
    """Lets any of the workloads join any of the groups."""

    workloads: list[Workloads] = Field(min_length=1, description="Who may join.")
    onboard_to: list[Target] = Field(min_length=1, description="Which groups they may join.")


class OnboardingPolicySpec(Form):
    """Who may join what."""

    allow: list[Rule] = Field(min_length=1, description="Rules, each of which lets workloads in.")


class OnboardingPolicyBody(Form):
    """Who may join which WorkloadGroups of this namespace."""

    spec: OnboardingPolicySpec = Field(description="Who may join what.")


def _findings(resource: Resource) -> tuple[Finding, ...]:
    rules = parse(OnboardingPolicyBody, resource).spec.allow
    allow = Place(resource.key) / "allow"
    return tuple(finding for index, rule in enumerate(rules) for finding in _rule(allow[index], rule))


def _rule(place: Place, rule: Rule) -> Iterator[Finding]:
    for index, workloads in enumerate(rule.workloads):
        yield from _workloads((place / "workloads")[index], workloads)
    for index, target in enumerate(rule.onboard_to):
        selector = (place / "onboardTo")[index] / "workloadGroupSelector"
        yield from selector_findings(selector, target.workload_group_selector)


def _workloads(place: Place, workloads: Workloads) -> Iterator[Finding]:
    yield from _exactly_one(place, {"aws": workloads.aws, "jwt": workloads.jwt}, hint="write aws: with its accounts")
    if workloads.jwt:
        yield from _jwt(place / "jwt", workloads.jwt)
    if workloads.aws:
        yield from _aws(place / "aws", workloads.aws)


def _aws(place: Place, aws: AwsWorkloads) -> Iterator[Finding]:
    yield from _exactly_one(place, {"ecs": aws.ecs, "ec2": aws.ec2}, hint="write ecs: {} for every task")
    if aws.ec2:
        problem = "identities of EC2 instances are not supported yet: this lets nobody in"
        yield (place / "ec2").warning(NOT_SUPPORTED, problem)
    yield from _exact_names(place / "partitions", aws.partitions)
    yield from _exact_names(place / "regions", aws.regions)
    yield from _exact_names(place / "zones", aws.zones)
    yield from _zone_names(place / "zones", aws.zones)
    for platform, part in (("ecs", aws.ecs), ("ec2", aws.ec2)):
        if part:
            yield from _exact_names(place / platform / "iamRoleNames", part.iam_role_names)
    if aws.ecs:
        yield from _exact_names(place / "ecs" / "clusters", aws.ecs.clusters)


def _jwt(place: Place, jwt: JwtWorkloads) -> Iterator[Finding]:
    if not jwt.issuer.startswith("https://"):
        yield (place / "issuer").error(INVALID, f"{jwt.issuer!r} is no https URL", "write what tokens have as iss")
    yield from _no_wildcards(place / "subjects", jwt.subjects)
    for index, attribute in enumerate(jwt.attributes):
        yield from _no_wildcards((place / "attributes")[index] / "values", attribute.values)


def _no_wildcards(place: Place, values: Sequence[str]) -> Iterator[Finding]:
    """Unlike names of AWS these may hold a `*`; whoever writes one probably means something else by it."""
    for index, value in enumerate(values):
        if "*" in value:
            yield place[index].warning(NOT_SUPPORTED, f"{value!r} is compared as it is: there are no wildcards")


def _exactly_one(place: Place, choices: Mapping[str, Form | None], *, hint: str) -> Iterator[Finding]:
    given = [name for name, choice in choices.items() if choice is not None]
    names = " and ".join(choices)
    if not given:
        yield place.error(MISSING, f"one of {names} is required", hint)
    elif len(given) > 1:
        yield place.error(INVALID, f"only one of {names} may be given", "write an entry of its own for each")


def _exact_names(place: Place, names: Sequence[str]) -> Iterator[Finding]:
    """Spellings that could match nobody, though their author surely meant somebody."""
    for index, name in enumerate(names):
        if "*" in name:
            yield place[index].error(INVALID, f"{name!r} is no name: there are no wildcards", "leave the list out")
        elif name.startswith("arn:"):
            last = name.rpartition("/")[2]
            yield place[index].error(INVALID, f"{name!r} is an ARN, a name is needed", f"write {last!r}")
        elif name != name.strip():
            yield place[index].error(INVALID, f"{name!r} has spaces around it")


def _zone_names(place: Place, zones: Sequence[str]) -> Iterator[Finding]:
    for index, zone in enumerate(zones):
        if _ZONE_ID.fullmatch(zone):
            yield place[index].error(INVALID, f"{zone!r} is the id of a zone, its name is needed", "like us-east-1a")


ONBOARDING_POLICY: Final = Kind(
    group="authorization.onboarding.tetrate.io",
    name="OnboardingPolicy",
    plural="onboardingpolicies",
    singular="onboardingpolicy",
    versions=("v1alpha1",),
    schema=OnboardingPolicyBody,
    columns=(AGE,),
    findings=_findings,
)
