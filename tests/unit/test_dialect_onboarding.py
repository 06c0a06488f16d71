"""OnboardingPolicy and the decision; the registration of a task that may join."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrig.dialects.onboarding.connection import with_agent, without_agent
from outrig.dialects.onboarding.decision import AwsTask, Caller, Decision, TokenHolder, decide
from outrig.dialects.onboarding.registration import (
    AgentReport,
    group_of,
    is_of,
    registration,
    registration_name,
    task_arn_of,
)
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.dialects.syntax import is_dns_subdomain
from outrig.resources import Key, Owner, Resource
from tests.unit.dialect_making import KINDS, NOON, cells, resource, said

TASK = AwsTask(
    "aws", "123456789012", "us-east-1", "us-east-1a", "bookinfo", "ratings-task", "3a151358f03a4e32bf8cd401c1c74653"
)
HOST = TokenHolder("https://a.b", "corp", "host-1", {"team": "books", "empty": ""})
GROUP = resource(
    "{apiVersion: networking.istio.io/v1, kind: WorkloadGroup, "
    "metadata: {name: ratings, namespace: bookinfo, labels: {app: ratings}}, spec: {template: {labels: {cloud: aws}}}}"
)
AGENT = AgentReport("0.1", "1.36.2", addresses=(("10.0.0.5", "VPC"),), labels={"version": "v5"})


def policy(*rules: str, name: str = "allow-ecs", namespace: str = "bookinfo") -> Resource:
    return resource(
        "{apiVersion: authorization.onboarding.tetrate.io/v1alpha1, kind: OnboardingPolicy, "
        f"metadata: {{name: {name}, namespace: {namespace}}}, spec: {{allow: [{', '.join(rules)}]}}}}"
    )


def rule(workloads: str, selector: str = "{}") -> str:
    return f"{{workloads: [{workloads}], onboardTo: [{{workloadGroupSelector: {selector}}}]}}"


def aws(more: str = "", *, accounts: str = "'123456789012'", platform: str = "ecs: {}") -> str:
    return f"{{aws: {{accounts: [{accounts}], {platform}{', ' if more else ''}{more}}}}}"


def nearest(*policies: Resource, caller: Caller = TASK) -> str:
    decision = decide(policies, GROUP, caller)
    assert not decision.allowed
    assert decision.reason == "Not authorized by OnboardingPolicy"
    assert (decision.policy, decision.rule) == (None, None)
    return decision.nearest


def test_without_a_policy_nobody_may_join() -> None:
    assert nearest() == "no OnboardingPolicy in namespace bookinfo allows anybody"


def test_the_guides_policy_lets_the_task_in_and_is_named() -> None:
    allowing = policy(rule(aws()))
    assert decide([allowing], GROUP, TASK) == Decision(True, allowing.key, 0)


def test_rules_and_policies_add_up_and_the_one_that_allows_is_named() -> None:
    elsewhere, here = rule(aws(accounts="'999999999999'")), rule(aws())
    policies = [policy(elsewhere, name="a"), policy(elsewhere, here, name="b")]
    assert decide(policies, GROUP, TASK) == decide(policies[::-1], GROUP, TASK) == Decision(True, policies[1].key, 1)


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ("partitions: [aws]", "partition", "aws-cn"),
        ("regions: [us-east-1]", "region", "us-east-2"),
        ("zones: [us-east-1a]", "zone", "us-east-1b"),
        ("", "account", "111111111111"),
    ],
)
def test_every_list_lets_in_whom_it_names_and_nobody_else(more: str, field: str, value: str) -> None:
    allowing = policy(rule(aws(more)))
    assert decide([allowing], GROUP, TASK).allowed
    assert nearest(allowing, caller=replace(TASK, **{field: value})).startswith(
        f"policy allow-ecs: {field} {value} is not among"
    )


@pytest.mark.parametrize(
    ("ecs", "field", "values"),
    [
        ("clusters: [bookinfo]", "cluster", ["bookinfo-2", "book", "Bookinfo", ""]),
        ("iamRoleNames: [ratings-task]", "role_name", ["ratings", "ratings-task2", "Ratings-Task", ""]),
    ],
)
def test_clusters_and_roles_are_compared_exactly(ecs: str, field: str, values: list[str]) -> None:
    allowing = policy(rule(aws(platform=f"ecs: {{{ecs}}}")))
    assert decide([allowing], GROUP, TASK).allowed
    for value in values:
        assert not decide([allowing], GROUP, replace(TASK, **{field: value})).allowed


@pytest.mark.parametrize(
    "workloads",
    [
        aws(platform="ec2: {}"),
        aws(platform="ecs: {}, ec2: {}"),
        "{jwt: {issuer: 'https://a.b'}}",
        "{aws: {accounts: ['123456789012']}}",
        "{aws: {accounts: ['123456789012'], ecs: {}}, jwt: {issuer: a}}",
        "{}",
    ],
)
def test_a_rule_that_is_not_plainly_about_ecs_tasks_lets_none_in(workloads: str) -> None:
    nearest(policy(rule(workloads)))


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("{}", True),
        ("{matchLabels: {app: ratings}}", True),
        ("{matchLabels: {app: details}}", False),
        ("{matchLabels: {cloud: aws}}", False),  # a label of the template, not of the group
        ("{matchExpressions: [{key: app, operator: In, values: [a, ratings]}]}", True),
        ("{matchExpressions: [{key: app, operator: In, values: [a]}]}", False),
        ("{matchExpressions: [{key: tier, operator: In, values: [a]}]}", False),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [ratings]}]}", False),
        ("{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}", True),
        ("{matchExpressions: [{key: tier, operator: NotIn, values: [a]}]}", True),
        ("{matchExpressions: [{key: app, operator: Exists}]}", True),
        ("{matchExpressions: [{key: tier, operator: Exists}]}", False),
        ("{matchExpressions: [{key: app, operator: DoesNotExist}]}", False),
        ("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", True),
        ("{matchLabels: {app: ratings}, matchExpressions: [{key: app, operator: DoesNotExist}]}", False),
    ],
)
def test_a_selector_chooses_by_the_labels_of_the_group(selector: str, chosen: bool) -> None:
    assert decide([policy(rule(aws(), selector))], GROUP, TASK).allowed is chosen


def test_policies_of_other_namespaces_deleted_ones_and_other_kinds_do_not_count() -> None:
    allowing = policy(rule(aws()))
    assert not decide([policy(rule(aws()), namespace="other")], GROUP, TASK).allowed
    assert not decide([replace(allowing, deleting=NOON)], GROUP, TASK).allowed
    assert not decide([replace(allowing, key=replace(allowing.key, kind="WorkloadGroup"))], GROUP, TASK).allowed


def test_a_policy_that_does_not_fit_its_schema_lets_nobody_in() -> None:
    whole = policy(rule(aws()))
    broken: list[dict[str, Any]] = [
        {},
        {"allow": [{}]},
        {"allow": [{"workloads": [{"aws": {"ecs": {}}}], "onboardTo": [{}]}]},
    ]
    for spec in broken:
        assert not decide([replace(whole, body={"spec": spec})], GROUP, TASK).allowed


def test_the_nearest_miss_is_of_the_rule_that_lacked_least() -> None:
    far = rule(aws("regions: [eu-west-1]", accounts="'111111111111', '222222222222'"))
    near = rule(aws(platform="ecs: {clusters: [prod]}"))
    assert nearest(policy(far, near)) == "policy allow-ecs: cluster bookinfo is not among prod"
    assert nearest(policy(far)) == (
        "policy allow-ecs: account 123456789012 is not among 111111111111, 222222222222; "
        "region us-east-1 is not among eu-west-1"
    )
    assert nearest(policy(rule(aws(), "{matchLabels: {app: details}}"))) == (
        "policy allow-ecs: no workloadGroupSelector chooses group ratings (labels app=ratings)"
    )


def test_what_a_caller_is_told_says_nothing_of_what_policies_say() -> None:
    decision = decide([policy(rule(aws(accounts="'999999999999'")))], GROUP, TASK)
    assert decision.reason == "Not authorized by OnboardingPolicy"


@given(st.sampled_from([field.name for field in fields(AwsTask)]), st.text())
def test_whoever_is_let_in_has_an_allowed_account(field: str, value: str) -> None:
    caller = replace(TASK, **{field: value})
    if decide([policy(rule(aws()))], GROUP, caller).allowed:
        assert caller.account == "123456789012"


@pytest.mark.parametrize(
    ("workloads", "says"),
    [
        (aws(), []),
        (aws("partitions: [aws], regions: [us-east-1], zones: [us-east-1a]"), []),
        ("{jwt: {issuer: 'https://a.b'}}", []),
        (
            "{jwt: {issuer: a.b, subjects: ['host-*'], attributes: [{name: team, values: ['*']}]}}",
            [
                "error OUT303 jwt.issuer: 'a.b' is no https URL (write what tokens have as iss)",
                "warning OUT301 jwt.subjects[0]: 'host-*' is compared as it is: there are no wildcards",
                "warning OUT301 jwt.attributes[0].values[0]: '*' is compared as it is: there are no wildcards",
            ],
        ),
        (
            aws(platform="ec2: {}"),
            ["warning OUT301 aws.ec2: identities of EC2 instances are not supported yet: this lets nobody in"],
        ),
        ("{}", ["error OUT304: one of aws and jwt is required (write aws: with its accounts)"]),
        (
            "{aws: {accounts: ['123456789012']}}",
            ["error OUT304 aws: one of ecs and ec2 is required (write ecs: {} for every task)"],
        ),
        (
            aws(
                "zones: [use1-az1], regions: ['us-*']", platform="ecs: {clusters: ['arn:aws:ecs:r:1:cluster/a', ' a']}"
            ),
            [
                "error OUT303 aws.regions[0]: 'us-*' is no name: there are no wildcards (leave the list out)",
                "error OUT303 aws.zones[0]: 'use1-az1' is the id of a zone, its name is needed (like us-east-1a)",
                "error OUT303 aws.ecs.clusters[0]: 'arn:aws:ecs:r:1:cluster/a' is an ARN, a name is needed (write 'a')",
                "error OUT303 aws.ecs.clusters[1]: ' a' has spaces around it",
            ],
        ),
    ],
)
def test_what_is_said_about_a_policy(workloads: str, says: list[str]) -> None:
    place = "spec.allow[0].workloads[0]"
    assert [one.replace(f" {place}.", " ").replace(f" {place}:", ":") for one in said(policy(rule(workloads)))] == says


def jwt(more: str = "") -> str:
    return f"{{jwt: {{issuer: 'https://a.b'{', ' if more else ''}{more}}}}}"


@pytest.mark.parametrize(
    "more",
    [
        "",
        "subjects: [host-1]",
        "subjects: [other, host-1]",
        "attributes: [{name: team, values: [books, films]}, {name: team}]",
        "attributes: [{name: empty, values: ['']}]",
    ],
)
def test_a_holder_of_a_token_is_let_in_by_issuer_subject_and_attributes(more: str) -> None:
    assert decide([policy(rule(jwt(more)))], GROUP, HOST).allowed


@pytest.mark.parametrize(
    ("workloads", "lacks"),
    [
        (jwt("subjects: [host-11]"), "subject host-1 is not among host-11"),
        (jwt("attributes: [{name: team, values: [films]}]"), "attribute team books is not among films"),
        (jwt("attributes: [{name: team}, {name: site}]"), "attribute site is missing"),
        (jwt("attributes: [{name: site, values: ['']}]"), "attribute site is missing"),
        ("{jwt: {issuer: 'https://a.b/'}}", "issuer https://a.b is not among https://a.b/"),
        (aws(), "is not about workloads with a token"),
    ],
)
def test_what_keeps_a_holder_of_a_token_out_is_named(workloads: str, lacks: str) -> None:
    assert nearest(policy(rule(workloads)), caller=HOST) == f"policy allow-ecs: {lacks}"


def test_a_policy_about_tokens_lets_no_task_in() -> None:
    assert nearest(policy(rule(jwt()))) == "policy allow-ecs: is not about workloads on AWS"


def test_a_policy_about_ec2_lets_no_task_in() -> None:
    assert nearest(policy(rule(aws(platform="ec2: {}")))) == "policy allow-ecs: is not about ECS tasks"


def test_expressions_must_go_with_their_operator() -> None:
    expressions = "{key: a, operator: In}, {key: a, operator: Exists, values: [b]}"
    place = "spec.allow[0].onboardTo[0].workloadGroupSelector.matchExpressions"
    assert said(policy(rule(aws(), f"{{matchExpressions: [{expressions}]}}"))) == [
        f"error OUT304 {place}[0].values: operator In needs values",
        f"error OUT303 {place}[1].values: operator Exists takes no values",
    ]


def test_a_registration_is_named_as_in_the_guide() -> None:
    assert registration_name("ratings", TASK) == (
        "ratings-aws-aws-123456789012-us-east-1a-ecs-bookinfo-3a151358f03a4e32bf8cd401c1c74653"
    )


names = st.from_regex(r"[A-Za-z0-9_-]{1,255}", fullmatch=True)


@given(group=st.from_regex(r"[a-z0-9]([a-z0-9]{0,40}[a-z0-9])?(\.[a-z0-9]{1,60}){0,3}", fullmatch=True), cluster=names)
def test_every_registration_has_a_valid_name_that_ends_with_the_task(group: str, cluster: str) -> None:
    name = registration_name(group, replace(TASK, cluster=cluster))
    assert is_dns_subdomain(name)
    assert name.endswith(TASK.task_id)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("host-1", "ratings-jwt-corp-host-1"),
        ("Host-1", "ratings-jwt-corp-host-1-6dd0a726"),
        ("system:serviceaccount:a:b", "ratings-jwt-corp-system-serviceaccount-a-b-"),
        ("///", "ratings-jwt-corp-"),
    ],
)
def test_a_token_holder_is_named_by_issuer_and_subject(subject: str, name: str) -> None:
    made = registration_name("ratings", replace(HOST, subject=subject))
    assert made.startswith(name)
    assert is_dns_subdomain(made)


@given(group=st.from_regex(r"[a-z0-9]{1,200}", fullmatch=True), subject=st.from_regex(r"[!-~]{1,255}", fullmatch=True))
def test_every_subject_makes_a_valid_name_of_its_own(group: str, subject: str) -> None:
    made = registration_name(group, replace(HOST, subject=subject))
    assert is_dns_subdomain(made)
    assert made != registration_name(group, replace(HOST, subject=subject + "x"))


def test_a_registration_of_a_token_holder_is_of_that_holder_and_of_no_task() -> None:
    made = registration(GROUP, HOST, AGENT)
    KINDS[made.key.group, made.key.kind].schema.model_validate(dict(made.body))
    assert made.spec["identity"]["jwt"]["attributes"] == {"team": "books", "empty": ""}
    assert is_of(made, replace(HOST, attributes={}))
    assert not is_of(made, replace(HOST, subject="host-2"))
    assert not is_of(made, replace(HOST, issuer="https://c.d"))
    assert not is_of(made, TASK)
    assert task_arn_of(made) == ""


def test_names_that_are_cut_stay_apart() -> None:
    made = {registration_name("g" * 200, replace(TASK, cluster="c" * 200 + last)) for last in ("a", "b")}
    assert len(made) == 2


def test_a_registration_says_who_joined_and_remembers_the_group_as_it_was() -> None:
    made = registration(GROUP, TASK, AGENT)
    KINDS[made.key.group, made.key.kind].schema.model_validate(dict(made.body))
    assert made.key == Key(
        "runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", "bookinfo", registration_name("ratings", TASK)
    )
    assert made.owners == (Owner(GROUP.key, GROUP.uid, "networking.istio.io/v1"),)
    assert made.spec == {
        "identity": {
            "aws": {
                "partition": "aws",
                "account": "123456789012",
                "region": "us-east-1",
                "zone": "us-east-1a",
                "ecs": {"cluster": "bookinfo", "taskId": "3a151358f03a4e32bf8cd401c1c74653"},
            }
        },
        "registration": {
            "agent": {"version": "0.1"},
            "sidecar": {"envoy": {"version": "1.36.2"}},
            "host": {"addresses": [{"ip": "10.0.0.5", "type": "VPC"}]},
            "workload": {"labels": {"version": "v5"}},
            "settings": {"connectedOver": "VPC"},
        },
    }
    remembered = group_of(made)
    assert (remembered.key, remembered.body, remembered.labels) == (GROUP.key, GROUP.body, GROUP.labels)


def test_a_registration_shows_whether_its_agent_is_connected() -> None:
    made = registration(GROUP, TASK, AGENT)
    assert cells(made)[0] == "Unknown"
    here = with_agent(made, control_plane="cp-1", now=NOON)
    assert cells(here)[0] == "True"
    assert here.status["activeAgentConnection"] == {"connectedTo": "cp-1"}
    assert with_agent(here, control_plane="cp-1", now=NOON) is here
    moved = with_agent(here, control_plane="cp-2", now=NOON)
    assert moved.status["activeAgentConnection"] == {"connectedTo": "cp-2"}
    gone = without_agent(here, closed=False, now=NOON)
    assert cells(gone)[0] == "False"
    assert "activeAgentConnection" not in gone.status
    assert gone.status["conditions"][0]["reason"] == "AgentLostConnection"
    assert without_agent(gone, closed=False, now=NOON) is gone


def test_a_registration_shows_its_agent_and_the_rest_only_when_asked() -> None:
    shown = [column.name for column in WORKLOAD_AUTO_REGISTRATION.columns if column.priority == 0]
    assert shown == ["Agent Connected", "Age"]
    assert cells(registration(GROUP, TASK, AGENT))[2:] == ["", "", ""]
