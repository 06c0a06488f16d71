"""WorkloadGroup and WorkloadEntry: labels, identity, health; the entry of a task that has joined."""

from dataclasses import replace
from datetime import timedelta

import pytest

from outrig.dialects.conditions import Condition, condition_of, with_condition
from outrig.dialects.istio.registered_entry import Joined, registered_entry
from outrig.dialects.istio.workload_group import group_identity, group_labels
from outrig.dialects.readiness import ReadyReason, health_of, with_readiness
from outrig.model import AddressForm, Group, Health, TlsMode, Workload
from outrig.resources import Key, Owner, Resource
from tests.unit.dialect_making import KINDS, NOON, cells, facts, resource, said

LATER = NOON + timedelta(minutes=1)
OWNER = Owner(
    Key("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", "bookinfo", "ratings-aws-1"),
    uid="7",
    api_version="runtime.onboarding.tetrate.io/v1alpha1",
)
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: ratings, namespace: bookinfo, labels: {app: ratings, tier: own}}
spec:
  metadata: {labels: {tier: middle, class: middle}, annotations: {team: stars}}
  template:
    labels: {tier: template, class: template, cloud: aws}
    serviceAccount: bookinfo-ratings
    ports: {http: 9080}
    weight: 3
"""


def group(spec: str) -> Resource:
    return resource(
        "{apiVersion: networking.istio.io/v1, kind: WorkloadGroup, "
        f"metadata: {{name: g, namespace: n}}, spec: {spec}}}"
    )


def entry(spec: str, labels: str = "") -> Resource:
    return resource(
        "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, "
        f"metadata: {{name: e, namespace: n, labels: {{{labels}}}}}, spec: {spec}}}"
    )


def joined_entry() -> Resource:
    joined = Joined("10.0.0.5", "us-east-1", "us-east-1a", labels={"app": "evil", "version": "v5"})
    return registered_entry(resource(GROUP), joined, owner=OWNER, now=NOON)


def workload(made: Resource) -> Workload:
    (fact,) = facts(made)
    assert isinstance(fact, Workload)
    return fact


def test_labels_of_a_group_are_the_templates_then_the_metadatas_then_its_own() -> None:
    merged = {"app": "ratings", "tier": "own", "class": "middle", "cloud": "aws"}
    assert group_labels(resource(GROUP)) == merged
    (fact,) = facts(resource(GROUP))
    assert isinstance(fact, Group)
    assert dict(fact.labels) == merged


def test_a_group_without_account_has_the_default_one() -> None:
    assert group_identity(group("{template: {}}"), "cluster.local") == "spiffe://cluster.local/ns/n/sa/default"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{template: {}}", []),
        (
            "{template: {address: 10.0.0.1, locality: a/b, network: x}}",
            [
                f"warning OUT302 spec.template.{field}: has no effect: each workload brings its own"
                for field in ("address", "locality", "network")
            ],
        ),
        ("{template: {}, probe: {grpc: {port: 9080}}}", []),
        (
            "{template: {}, probe: {periodSeconds: 5}}",
            ["error OUT304 spec.probe: a probe needs a method (one of httpGet, tcpSocket, exec, grpc)"],
        ),
        (
            "{template: {}, probe: {httpGet: {port: 1}, exec: {command: [a]}}}",
            ["error OUT303 spec.probe: a probe has one method, not httpGet and exec"],
        ),
    ],
)
def test_what_is_said_about_a_group(spec: str, says: list[str]) -> None:
    assert said(group(spec)) == says


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("{address: 10.0.0.1}", []),
        ("{}", ["error OUT304 spec.address: address is required"]),
        (
            "{network: x}",
            ["warning OUT302 spec.address: address is unset with network (without an address nothing can call it)"],
        ),
        (
            "{address: a.example.com}",
            [
                "warning OUT302 spec.address: only entries with an IP address are behind Services "
                "(write its IP address, or select it by a ServiceEntry)"
            ],
        ),
        (
            "{address: 10.0.0.256}",
            ["error OUT303 spec.address: endpoint address '10.0.0.256' is not a valid FQDN or an IP address"],
        ),
        (
            "{address: 'unix://x', ports: {http: 80}}",
            [
                "error OUT303 spec.address: must be an absolute path, unix:///..., or unix://@name, "
                "of at most 107 bytes",
                "error OUT303 spec.address: UDS may not include ports",
            ],
        ),
        (
            "{address: 10.0.0.1, network: x}",
            ["warning OUT302 spec.network: has no effect yet: all addresses are called as they are"],
        ),
    ],
)
def test_what_is_said_about_an_entry(spec: str, says: list[str]) -> None:
    assert said(entry(spec)) == says


def test_an_entry_of_a_user_is_up_and_speaks_plaintext_unless_it_says_otherwise() -> None:
    plain = workload(entry("{address: 10.0.0.1, labels: {a: spec, b: spec}, ports: {http: 80}}", "a: own"))
    assert plain == Workload(
        origin=Key("networking.istio.io", "WorkloadEntry", "", "n", "e"),
        id="n/e",  # type: ignore[arg-type]
        namespace="n",
        labels=(("a", "own"), ("b", "spec")),
        address="10.0.0.1",
        identities=(),
        health=Health.READY,
        ports=(("http", 80),),
        proxied=False,
        tls_default=TlsMode.DISABLE,
    )


@pytest.mark.parametrize(
    ("spec", "labels", "identities"),
    [
        ("{address: 10.0.0.1, serviceAccount: sa}", "", ("spiffe://cluster.local/ns/n/sa/sa",)),
        ("{address: 10.0.0.1, serviceAccount: sa}", "security.istio.io/tlsMode: disabled", ()),
        ("{address: 10.0.0.1}", "security.istio.io/tlsMode: istio", ("spiffe://cluster.local/ns/n/sa/default",)),
        (
            "{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}",
            "",
            ("spiffe://cluster.local/ns/n/sa/default",),
        ),
    ],
)
def test_label_or_account_say_that_a_users_entry_speaks_mutual_tls(
    spec: str, labels: str, identities: tuple[str, ...]
) -> None:
    made = workload(entry(spec, labels))
    assert made.identities == identities
    assert made.tls_default is (TlsMode.STRICT if identities else TlsMode.DISABLE)


def test_a_workload_has_the_one_spelling_of_its_address_and_what_it_is() -> None:
    for written, address, form in (
        ("FD00:0::5", "fd00::5", AddressForm.IP),
        ("A.Example.com", "a.example.com", AddressForm.NAME),
        ("unix:///Run/x", "unix:///Run/x", AddressForm.SOCKET),
        ("unix://@x", "unix://@x", AddressForm.SOCKET),
    ):
        made = workload(entry(f"{{address: '{written}'}}"))
        assert (made.address, made.form) == (address, form)
    for spec in ("{network: x}", "{address: 'unix://x'}", "{address: 'unix:///x/'}"):
        assert facts(entry(spec)) == ()


def test_locality_is_the_field_or_the_label_with_dots_for_slashes() -> None:
    assert workload(entry("{address: 10.0.0.1, locality: r/z}", "istio-locality: a.b")).locality == "r/z"
    assert workload(entry("{address: 10.0.0.1}", "istio-locality: a.b.c")).locality == "a/b/c"


def test_the_entry_of_a_task_fits_its_schema_and_shows_all_that_is_known() -> None:
    made = joined_entry()
    kind = KINDS[made.key.group, made.key.kind]
    kind.schema.model_validate(dict(made.body))
    assert kind.findings(made) == ()
    labels = {"app": "ratings", "tier": "own", "class": "middle", "cloud": "aws", "version": "v5"}
    assert made == Resource(
        key=Key("networking.istio.io", "WorkloadEntry", "", "bookinfo", "ratings-aws-1"),
        body={
            "spec": {
                "address": "10.0.0.5",
                "labels": labels,
                "locality": "us-east-1/us-east-1a",
                "ports": {"http": 9080},
                "serviceAccount": "bookinfo-ratings",
                "weight": 3,
            }
        },
        labels=labels,
        annotations={"team": "stars", "istio.io/autoRegistrationGroup": "ratings"},
        owners=(OWNER,),
        status={
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "Starting", "lastTransitionTime": "2026-11-21T12:00:00Z"}
            ]
        },
    )


def test_a_task_never_changes_a_label_that_its_group_declares() -> None:
    assert joined_entry().labels["app"] == "ratings"


def test_the_entry_of_a_task_is_a_workload_with_a_proxy_and_its_groups_identity() -> None:
    made = workload(with_readiness(joined_entry(), ReadyReason.READY, now=NOON))
    assert made.id == "bookinfo/ratings-aws-1"
    assert made.proxied
    assert made.health is Health.READY
    assert made.tls_default is TlsMode.STRICT
    assert made.identities == ("spiffe://cluster.local/ns/bookinfo/sa/bookinfo-ratings",)
    assert (made.weight, made.locality, made.ports) == (3, "us-east-1/us-east-1a", (("http", 9080),))


def test_a_tls_label_cannot_turn_off_mutual_tls_for_a_task_that_has_joined() -> None:
    made = joined_entry()
    labelled = replace(made, labels={**made.labels, "security.istio.io/tlsMode": "disabled"})
    assert workload(labelled).tls_default is TlsMode.STRICT
    assert workload(labelled).identities


@pytest.mark.parametrize(
    ("reason", "health"),
    [
        (ReadyReason.READY, Health.READY),
        (ReadyReason.STARTING, Health.UNREADY),
        (ReadyReason.UNHEALTHY, Health.UNREADY),
        (ReadyReason.DISCONNECTED, Health.UNREADY),
        (ReadyReason.DRAINING, Health.DRAINING),
    ],
)
def test_health_is_what_the_ready_condition_says(reason: ReadyReason, health: Health) -> None:
    made = with_readiness(joined_entry(), reason, now=LATER)
    assert health_of(made) is workload(made).health is health
    ready = "True" if reason is ReadyReason.READY else "False"
    assert cells(made)[1:] == ["10.0.0.5", ready, reason.value, "", ""]


def test_an_entry_without_a_condition_is_not_ready() -> None:
    assert workload(replace(joined_entry(), status={})).health is Health.UNREADY


def test_the_time_of_a_condition_moves_only_when_true_turns_false_or_back() -> None:
    def since(made: Resource) -> str:
        (condition,) = made.status["conditions"]
        return str(condition["lastTransitionTime"])

    starting = joined_entry()
    assert with_readiness(starting, ReadyReason.STARTING, now=LATER) is starting
    unhealthy = with_readiness(starting, ReadyReason.UNHEALTHY, now=LATER, message="connection refused")
    assert since(unhealthy) == "2026-11-21T12:00:00Z"
    assert unhealthy.status["conditions"][0]["message"] == "connection refused"
    ready = with_readiness(unhealthy, ReadyReason.READY, now=LATER)
    assert since(ready) == "2026-11-21T12:01:00Z"
    assert "message" not in ready.status["conditions"][0]


def test_unknown_is_a_status_of_its_own_with_its_own_time() -> None:
    status = with_condition({}, Condition("Programmed", True, "Programmed"), now=NOON)
    lost = with_condition(status, Condition("Programmed", None, "ProxyDisconnected"), now=LATER)
    (entry,) = lost["conditions"]
    assert (entry["status"], entry["lastTransitionTime"]) == ("Unknown", "2026-11-21T12:01:00Z")
    assert condition_of(lost, "Programmed") == Condition("Programmed", None, "ProxyDisconnected")
    assert with_condition(lost, Condition("Programmed", None, "ProxyDisconnected"), now=LATER) is lost


def test_other_conditions_and_fields_of_a_status_are_left_alone() -> None:
    other = {"type": "Other", "status": "True"}
    made = replace(joined_entry(), status={"conditions": [other], "address": "x"})
    status = with_readiness(made, ReadyReason.READY, now=NOON).status
    assert status["address"] == "x"
    assert [one["type"] for one in status["conditions"]] == ["Other", "Ready"]
