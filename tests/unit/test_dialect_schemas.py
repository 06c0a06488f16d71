"""Schemas hold against whatever arrives: all problems at once, each with its path, never anything but a refusal."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from outrig.dialects import kuma
from outrig.dialects.kind import Kind
from outrig.resources import Key, Resource
from tests.unit.dialect_making import KINDS, SCOPE, schema_problems

ALL_KINDS = sorted((*KINDS.values(), *kuma.KINDS), key=lambda kind: kind.name)
kinds = pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.name)


def field_names() -> list[str]:
    names: set[str] = set()
    for kind in ALL_KINDS:
        schema = kind.schema.model_json_schema()
        for part in (schema, *schema.get("$defs", {}).values()):
            names.update(part.get("properties", {}))
    return sorted(names)


WORDS = ["127.0.0.1:9080", "./*", "~/x.y", "*/*", "unix:///x", "HTTP", "None", "", "::", "0.0.0.0", "a-b", "STRICT"]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-1, 65536), st.floats(), st.text(), st.sampled_from(WORDS)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(field_names()), st.text(max_size=8)), inner, max_size=5),
    ),
    max_leaves=25,
)


def fitting(schema: dict[str, Any], parts: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a published schema describes: most of them fit the kind, some break its further rules."""
    if "$ref" in schema:
        return fitting(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return st.one_of([fitting(choice, parts) for choice in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        fields = {name: fitting(part, parts) for name, part in schema["properties"].items()}
        required = {name: fields.pop(name) for name in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=fields)
    return collections(schema, parts) if schema.get("type") in ("object", "array") else leaves(schema)


def collections(schema: dict[str, Any], parts: dict[str, Any]) -> st.SearchStrategy[Any]:
    if schema["type"] == "array":
        return st.lists(fitting(schema["items"], parts), min_size=schema.get("minItems", 0), max_size=3)
    values = schema.get("additionalProperties")
    inner = fitting(values, parts) if isinstance(values, dict) else st.text(max_size=3)
    return st.dictionaries(st.sampled_from(["app", "8080", "x.io/y"]), inner, max_size=2)


def leaves(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if schema.get("type") == "integer":
        return st.integers(schema.get("minimum", 0), min(schema.get("maximum", 70000), 70000))
    if schema.get("type") == "boolean":
        return st.booleans()
    words = [*WORDS, "123456789012", "ratings", "./a.b", "*/*.b"]
    return st.one_of(st.sampled_from(words), st.text(max_size=5)) if schema.get("type") == "string" else scalars


def made(kind: Kind, body: dict[str, Any], namespace: str) -> Resource:
    where = (namespace, "") if kind.mesh_scoped else ("", namespace)
    return Resource(Key(kind.group, kind.name, *where, "x"), kind.default(body))


@pytest.mark.slow
@kinds
@given(body=json_values)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_garbage_is_refused_as_such_and_what_fits_is_judged(kind: Kind, body: object) -> None:
    try:
        kind.schema.model_validate(body)
    except ValidationError:
        return
    assert isinstance(body, dict)
    kind.findings(made(kind, body, "bookinfo"))


@pytest.mark.slow
@kinds
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_what_fits_the_schema_never_makes_a_kind_raise(kind: Kind, data: st.DataObject) -> None:
    schema = kind.schema.model_json_schema()
    body = data.draw(fitting({**schema, "type": "object"}, schema.get("$defs", {})))
    try:
        kind.schema.model_validate(body)
    except ValidationError:
        return
    for namespace in ("bookinfo", "istio-system"):
        resource = made(kind, body, namespace)
        kind.schema.model_validate(dict(resource.body))
        assert kind.default(resource.body) == resource.body
        kind.findings(resource)
        for fact in kind.compile(resource, SCOPE):
            hash(fact)
        for column in kind.columns:
            assert isinstance(column.cell(resource), str | int)


@kinds
def test_every_field_is_described_for_kubectl_explain(kind: Kind) -> None:
    schema = kind.schema.model_json_schema()
    json.dumps(schema)
    for name, part in {kind.name: schema, **schema.get("$defs", {})}.items():
        for field, described in part.get("properties", {}).items():
            meant = schema["$defs"][described["$ref"].rpartition("/")[2]] if "$ref" in described else {}
            assert {**meant, **described}.get("description"), f"{name}.{field}"
            assert "null" not in json.dumps(described), f"{name}.{field}"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_says_to_kubectl_how_it_is_called_and_how_old_it_is(kind: Kind) -> None:
    assert kind.plural == kind.plural.lower()
    assert kind.singular == kind.name.lower()
    assert [column.name for column in kind.columns if column.name.upper() == "NAME"] == []
    assert "date" in [column.kind for column in kind.columns]


SIDECAR = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nspec: "
SERVICE = "apiVersion: v1\nkind: Service\nspec: "
GROUP = "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\n"
POLICY = "apiVersion: authorization.onboarding.tetrate.io/v1alpha1\nkind: OnboardingPolicy\nspec: "
PEER = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nspec: "
LABEL = "must be a label value: at most 63 letters, digits, '-', '_', '.'"
RULE = "{allow: [{workloads: [{aws: {accounts: [%s], ecs: {}}}], onboardTo: [%s]}]}"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (SIDECAR + "{ingres: []}", ["spec.ingres: Extra inputs are not permitted"]),
        (SIDECAR + "{workload_selector: {}}", ["spec.workload_selector: Extra inputs are not permitted"]),
        (SIDECAR + "{egress: [{}]}", ["spec.egress.0.hosts: Field required"]),
        (
            SIDECAR + '{ingress: [{port: {number: "9080", name: A_b}, bind: host, captureMode: none}]}',
            [
                "spec.ingress.0.port.number: Input should be a valid integer",
                "spec.ingress.0.port.name: must be a DNS label: at most 63 of a-z, 0-9, '-'",
                "spec.ingress.0.bind: must be an IPv4 or IPv6 address",
                "spec.ingress.0.captureMode: Input should be 'DEFAULT', 'IPTABLES' or 'NONE'",
            ],
        ),
        (
            SIDECAR + "{ingress: [{port: {number: true}}]}",
            ["spec.ingress.0.port.number: Input should be a valid integer"],
        ),
        (
            SIDECAR + "{workloadSelector: {labels: {'*': x}}}",
            [
                "spec.workloadSelector.labels.*.[key]: "
                "must be a label key: [prefix/]name of letters, digits, '-', '_', '.'"
            ],
        ),
        (GROUP, ["spec: Field required"]),
        (GROUP + "spec: {}", ["spec.template: Field required"]),
        (
            GROUP + "spec: {template: {labels: {version: 1.0, canary: true, app: 'a b'}, serviceAccount: a/../b}}",
            [
                'spec.template.labels.version: must be text: quote it ("1.0")',
                'spec.template.labels.canary: must be text: quote it ("true")',
                f"spec.template.labels.app: {LABEL}",
                "spec.template.serviceAccount: must be the name of a service account: a-z, 0-9, '-', '.'",
            ],
        ),
        (
            GROUP + "spec: {template: {ports: {http: 0, grpc: 65536}, weight: -1}}",
            [
                "spec.template.ports.http: Input should be greater than or equal to 1",
                "spec.template.ports.grpc: Input should be less than or equal to 65535",
                "spec.template.weight: Input should be greater than or equal to 0",
            ],
        ),
        (
            SERVICE
            + '{ports: [{port: 9080, targetPort: "9080"}, {port: 1, targetPort: 0}, {port: 2, targetPort: []}]}',
            [
                "spec.ports.0.targetPort: is no port name (write the number without quotes: 9080)",
                "spec.ports.1.targetPort: must be a port number from 1 to 65535 or the name of a port",
                "spec.ports.2.targetPort: must be a port number from 1 to 65535 or the name of a port",
            ],
        ),
        (SERVICE + "{clusterIP: nowhere}", ["spec.clusterIP: must be an IP address, or the word None"]),
        (
            PEER + "{mtls: {mode: strict}}",
            ["spec.mtls.mode: Input should be 'UNSET', 'DISABLE', 'PERMISSIVE' or 'STRICT'"],
        ),
        (
            PEER + "{portLevelMtls: {http: {mode: STRICT}}}",
            ["spec.portLevelMtls.http.[key]: must be a port number from 1 to 65535, in quotes"],
        ),
        (POLICY + "{allow: []}", ["spec.allow: List should have at least 1 item after validation, not 0"]),
        (
            POLICY + RULE % ("", "{}"),
            [
                "spec.allow.0.workloads.0.aws.accounts: List should have at least 1 item after validation, not 0",
                "spec.allow.0.onboardTo.0.workloadGroupSelector: Field required",
            ],
        ),
        (
            POLICY + RULE % ("'12345678901', '\uff1123456789012', '*'", "{workloadGroupSelector: {}}"),
            [
                f"spec.allow.0.workloads.0.aws.accounts.{index}: must be an AWS account id: 12 digits, in quotes"
                for index in range(3)
            ],
        ),
        (
            POLICY + RULE % ("'123456789012'", "{workloadGroupSelector: null}"),
            [
                "spec.allow.0.onboardTo.0.workloadGroupSelector: "
                "Input should be a valid dictionary or instance of LabelSelector"
            ],
        ),
    ],
)
def test_a_wrong_document_is_told_all_that_is_wrong(text: str, problems: list[str]) -> None:
    assert schema_problems(text) == problems
