"""An object against its schema: all that is wrong is told at once, and what can be judged beside it is judged."""

from typing import Any

import pytest
import yaml
from pydantic import Field

from outrig.api.kube.catalog import Target
from outrig.api.kube.validation import Strictness, read_draft
from outrig.api.refusals import ApiError
from outrig.dialects.causes import Cause, check_body, in_order
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
        ({"items": [{"port": 0}, {"port": 2}], "kept": "a"}, {"kept": "a"}, ["items[0].port"]),
        ({"items": [{}, 5], "kept": "a"}, {"kept": "a"}, ["items[0].port", "items[1]"]),
        ({"itmes": [], "Kept": "b"}, {}, []),
    ],
)
def test_what_fits_is_left_without_what_does_not(body: Any, sound: Any, wrong: list[str]) -> None:
    checked = check_body(body, Body)
    assert checked.sound == sound
    assert [cause.field for cause in checked.wrong] == wrong
    Body.model_validate(checked.sound)


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
