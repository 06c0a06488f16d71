"""An object against its schema: all that is wrong is told at once, and what can be judged beside it is judged."""

from typing import Any

import pytest
import yaml
from pydantic import Field

from outrig.api.kube.catalog import Target
from outrig.api.kube.validation import Strictness, read_draft
from outrig.api.refusals import ApiError
from outrig.dialects.causes import Cause, check_body, in_order, steps_of
from outrig.dialects.findings import INVALID, MISSING
from outrig.dialects.schema import Form, Port
from outrig.errors import Finding
from outrig.resources import Key
from outrig.server.kinds import KINDS

HERE = Key("", "Thing", "", "", "x")


class Item(Form):
    port: Port
    name: str = ""


class Body(Form):
    items: list[Item] = []
    other: dict[str, Port] = {}
    kept: str = ""
    items_by_name: bool = Field(default=False)


@pytest.mark.parametrize(
    ("body", "sound", "wrong"),
    [
        ({"kept": "a"}, {"kept": "a"}, []),
        ({"kept": 1, "other": {"a": 1}}, {"other": {"a": 1}}, ["kept"]),
        ({"other": {"a": 0, "b": 2}, "kept": "a"}, {"other": {"b": 2}, "kept": "a"}, ["other.a"]),
        ({"items": [{"name": 1, "port": 1}, {"port": 2}]}, {"items": [{"port": 1}, {"port": 2}]}, ["items[0].name"]),
        ({"items": [{"port": 0}, {"port": 2}]}, {"items": [{"port": 65535}, {"port": 2}]}, ["items[0].port"]),
        ({"items": [{}, 5]}, {"items": [{"port": 65535}, {"port": 65535}]}, ["items[0].port", "items[1]"]),
        ({"items": 5, "kept": "a"}, {"kept": "a"}, ["items"]),
        ({"itmes": [], "Kept": "b"}, {}, []),
    ],
)
def test_what_fits_is_left_and_what_has_to_be_there_is_stood_in_for(body: Any, sound: Any, wrong: list[str]) -> None:
    checked = check_body(body, Body)
    assert checked.sound == sound
    assert [cause.field for cause in checked.wrong] == wrong
    Body.model_validate(checked.sound)


@pytest.mark.parametrize(("port", "hinted"), [("80", True), ("\uff18\uff10", False), ("eighty", False)])
def test_a_number_in_quotes_is_told_to_have_none_where_it_is_one(port: str, hinted: bool) -> None:
    (cause,) = check_body({"other": {"a": port}}, Body).wrong
    assert ("without quotes: 80" in str(cause)) is hinted
    assert "must be a whole number" in str(cause)


def test_a_misspelt_field_is_told_in_whatever_case_it_is() -> None:
    told = [str(cause) for cause in check_body({"KEPT": "a", "itemsbyname": True, "zzz": 1}, Body).causes]
    assert told == [
        "KEPT: unknown field (did you mean 'kept'?)",
        "itemsbyname: unknown field (did you mean 'itemsByName'?)",
        "zzz: unknown field",
    ]


def test_what_comes_of_what_is_left_out_is_not_found_wrong() -> None:
    checked = check_body({"items": [{"port": 1, "name": 5}, {"port": 2}], "kept": "a"}, Body)
    found = [
        Finding(code, HERE, path, "")
        for path, code in [
            ("items[0].name", INVALID),  # left out
            ("items[0]", INVALID),  # above it
            ("items[0].name.first", INVALID),  # below it
            ("items[0].weight", INVALID),  # beside it, and nobody wrote it
            ("items[0].weight", MISSING),
            ("items[0].port", INVALID),
            ("items[1]", INVALID),
            ("kept", INVALID),
        ]
    ]
    assert [(one.path, one.code) for one in checked.own(found)] == [
        ("items[0].weight", MISSING),
        ("items[0].port", INVALID),
        ("items[1]", INVALID),
        ("kept", INVALID),
    ]


def test_problems_are_in_the_order_of_the_document_each_once() -> None:
    written = {"b": [{"x": 1}, {"k.l": 2}], "a": {"z": 1}}
    fields = ["name", "a.z", 'b[1]["k.l"]', "b[1]", "a", "b[0].missing", "b[0].x", "a.z"]
    assert [cause.field for cause in in_order((Cause(field, "is wrong") for field in fields), written)] == [
        "b[0].x", "b[0].missing", "b[1]", 'b[1]["k.l"]', "a", "a.z", "name",
    ]  # fmt: skip


SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ratings, labels: {"a b": c}}
spec:
  egress:
  - {port: {number: "9080", protocol: HTTP}, bind: 127.0.0.1, hosts: [x]}
  - {port: {number: 80, protocol: FOO}, bind: 127.0.0.1, hosts: ["./reviews.default"]}
  ingress:
  - {port: {number: 9080, protocol: HTTP}, defaultEndpoint: "tcp://x"}
"""


def test_kubectl_is_told_wrong_types_and_what_the_kind_finds_at_once() -> None:
    kind = next(kind for kind in KINDS if kind.name == "Sidecar")
    target = Target(kind, "v1", "default", "ratings", "")
    with pytest.raises(ApiError) as refused:
        read_draft(yaml.safe_load(SIDECAR), target, Strictness.STRICT)
    assert [cause["field"] for cause in refused.value.details["causes"]] == [
        "metadata.labels",
        "spec.egress[0].port.number",
        "spec.egress[0].hosts[0]",
        "spec.egress[1].port.protocol",
        "spec.ingress[0].defaultEndpoint",
    ]


def test_what_is_around_a_stand_in_is_judged_and_the_stand_in_is_not() -> None:
    checked = check_body({"items": [{"port": 0, "name": "a"}, {"port": 2}]}, Body)
    paths = ["items", "items[0]", "items[0].port", "items[0].port.x", "items[0].name", "items[1]"]
    found = [Finding(code=INVALID, origin=HERE, path=path, problem="") for path in paths]
    assert [one.path for one in checked.own(found)] == ["items", "items[0]", "items[0].name", "items[1]"]


PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
TOLD_BESIDE = [
    (
        "Service",
        {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}, {"port": 0}], "selector": {"a": "b"}},
        ["spec.ports[1].port", "spec.ports[2].port", "spec.ports[2].name"],
    ),
    (
        "ServiceEntry",
        {
            "hosts": ["*"],
            "ports": [
                {"number": 0, "name": "a", "protocol": "HTTP"},
                {"number": 80, "name": "a", "protocol": "FOO"},
                {"number": 81, "name": 5, "protocol": "HTTP"},
            ],
            "endpoints": [{"address": "10.0.0.1", "ports": {"a": 8080, "b": 1}}],
            "resolution": "STATIC",
        },
        [
            "spec.hosts[0]",
            "spec.ports[0].number",
            "spec.ports[1].name",
            "spec.ports[1].protocol",
            "spec.ports[2].name",
        ],
    ),
    (
        "WorkloadGroup",
        {"template": {"serviceAccount": "x"}, "probe": {"httpGet": {"port": 0}, "tcpSocket": {"port": 90}}},
        ["spec.probe", "spec.probe.httpGet.port"],
    ),
    (
        "ServiceEntry",
        {
            "hosts": [],
            "ports": [{"number": 80, "name": "a", "protocol": "X"}, {"number": 80, "name": "a"}],
            "endpoints": [{"address": "bad addr"}],
            "resolution": "STATIC",
        },
        [
            "spec.hosts",
            "spec.ports[0].protocol",
            "spec.ports[1].number",
            "spec.ports[1].name",
            "spec.endpoints[0].address",
        ],
    ),
    (
        "ServiceEntry",
        {"addresses": ["x"], "exportTo": ["a", "*"]},
        ["spec.addresses[0]", "spec.exportTo[1]", "spec.hosts"],
    ),
    ("ServiceEntry", {"hosts": 5, "addresses": ["x"]}, ["spec.hosts", "spec.addresses[0]"]),
    *(
        ("ServiceEntry", {"hosts": [], "ports": [PORT], "resolution": resolution}, ["spec.hosts"])
        for resolution in ("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN")
    ),
    (
        "Sidecar",
        {"egress": [{"hosts": []}, {"hosts": ["", "a/b/c"]}, {"port": {"number": 80, "protocol": "X"}, "hosts": []}]},
        [
            "spec.egress[0]",
            "spec.egress[0].hosts",
            "spec.egress[1]",
            "spec.egress[1].hosts[0]",
            "spec.egress[1].hosts[1]",
            "spec.egress[2].port.protocol",
            "spec.egress[2].hosts",
        ],
    ),
    (
        "WorkloadGroup",
        {"template": {}, "probe": {"httpGet": {"port": 80}, "exec": {"command": []}}},
        ["spec.probe", "spec.probe.exec.command"],
    ),
    ("WorkloadGroup", {"template": {}, "probe": {"exec": {"command": []}}}, ["spec.probe.exec.command"]),
    (
        "OnboardingPolicy",
        {
            "allow": [
                {
                    "workloads": [{"aws": {"accounts": [], "zones": ["use1-az1"], "ecs": {"clusters": ["*"]}}}, {}],
                    "onboardTo": [],
                }
            ]
        },
        [
            "spec.allow[0].workloads[0].aws.accounts",
            "spec.allow[0].workloads[0].aws.zones[0]",
            "spec.allow[0].workloads[0].aws.ecs.clusters[0]",
            "spec.allow[0].workloads[1]",
            "spec.allow[0].onboardTo",
        ],
    ),
    (
        "OnboardingPolicy",
        {"allow": [{"workloads": [], "onboardTo": []}, {}]},
        ["spec.allow[0].workloads", "spec.allow[0].onboardTo", "spec.allow[1].workloads", "spec.allow[1].onboardTo"],
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"from": [{"source": {"principals": [""]}}], "when": [{"key": "x", "values": []}]}]},
        ["spec.rules[0].from[0].source.principals[0]", "spec.rules[0].when[0]", "spec.rules[0].when[0].key"],
    ),
]


@pytest.mark.parametrize(("name", "spec", "fields"), TOLD_BESIDE)
def test_what_is_wrong_beside_a_wrong_value_is_told_with_it(name: str, spec: Any, fields: list[str]) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)
    target = Target(kind, kind.versions[0], "default", "cart", "")
    document = {"apiVersion": target.api_version, "kind": name, "metadata": {"name": "cart"}, "spec": spec}
    with pytest.raises(ApiError) as refused:
        read_draft(document, target, Strictness.STRICT)
    assert [cause["field"] for cause in refused.value.details["causes"]] == fields


def test_a_text_that_is_too_short_is_not_spoken_of_as_a_list() -> None:
    policy = next(kind for kind in KINDS if kind.name == "AuthorizationPolicy")
    body = {"spec": {"rules": [{"from": [{"source": {"principals": [""]}}]}]}}
    (told,) = check_body(body, policy.schema).wrong
    assert told.message == 'Invalid value: "": must have at least 1 characters'


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ('a.b[0]["c.d"]', ("a", "b", 0, "c.d")),
        (f"labels[{'9' * 5000}]", ("labels", "9" * 5000)),
        ("labels[\u0663]", ("labels", "\u0663")),
    ],
)
def test_digits_are_a_place_in_a_list_where_they_can_be_one(path: str, steps: tuple[str | int, ...]) -> None:
    assert steps_of(path) == steps
