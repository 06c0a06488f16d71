"""The pure parts that read what users send: bodies, selectors, metadata, paths, protobuf, Accept headers, ages."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrig.api import bodies
from outrig.api.kube.ages import age_of, human_duration
from outrig.api.kube.bodies import decode_object, read
from outrig.api.kube.catalog import Address, parse_path
from outrig.api.kube.forms import negotiate
from outrig.api.kube.metadata import name_problems, parse_metadata
from outrig.api.kube.protobuf import MAGIC, MEDIA_TYPE, from_protobuf
from outrig.api.kube.selectors import parse_selection
from outrig.api.refusals import ApiError
from outrig.dialects.core import EVENT, NAMESPACE, SERVICE
from outrig.resources import Key, Resource


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 20 * 60, "3h20m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (51 * 3600, "2d3h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (2 * 365 * 86400, "2y"),
        (3 * 365 * 86400 + 5 * 86400, "3y5d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_are_shown_as_kubectl_shows_them(seconds: int, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("moment", ["", "yesterday", "2024-01-01T00:00:00"])
def test_what_is_no_time_has_an_unknown_age(moment: str) -> None:
    assert age_of(moment, datetime.now(UTC)) == "<unknown>"


def _resource(body: dict[str, Any] | None = None, **labels: str) -> Resource:
    return Resource(Key("", "Event", "", "default", "one"), body=body or {}, labels=labels)


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app!=web", False),
        ("other!=web", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("other", False),
        ("app in (web, db)", True),
        ("app in(web)", True),
        ("app notin (web)", False),
        ("other notin (web)", True),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("app in (web),tier in (front,back),!x", True),
        ("example.com/a=b", False),
        ("empty=", True),
        ("size>5", True),
        ("size > +5,size<7", True),
        ("size>6", False),
        ("size<-1", False),
        ("app>1", False),
        ("other<1", False),
    ],
)
def test_label_selectors_select_as_kubernetes_does(selector: str, fits: bool) -> None:
    selection = parse_selection(labels=selector, fields="", kind=SERVICE)
    assert selection(_resource(app="web", tier="front", empty="", size="6")) is fits


@pytest.mark.parametrize(
    "selector",
    ["=", "a=b=c", "a in", "a in (", "a b", ",", "a=b,", "a>b", "a<", "a>=1", "a/b/c=d", "-a=b", "a=(b)", "a in b"],
)
def test_a_malformed_label_selector_is_refused(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse"):
        parse_selection(labels=selector, fields="", kind=SERVICE)


@given(st.text(max_size=30))
def test_no_selector_ends_in_another_error(text: str) -> None:
    for parts in ({"labels": text, "fields": ""}, {"labels": "", "fields": text}):
        try:
            parse_selection(**parts, kind=EVENT)(_resource())
        except ApiError:
            continue


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("metadata.name=one", True),
        ("metadata.name!=one", False),
        ("metadata.namespace=default", True),
        ("involvedObject.name=ratings,type!=Normal", True),
        ("involvedObject.kind=Pod", False),
        ("reason=OnboardingDenied", True),
        ("source=outrig", True),
    ],
)
def test_field_selectors_find_events(selector: str, fits: bool) -> None:
    body = {
        "involvedObject": {"name": "ratings", "kind": "WorkloadGroup"},
        "type": "Warning",
        "reason": "OnboardingDenied",
        "source": {"component": "outrig"},
    }
    assert parse_selection(labels="", fields=selector, kind=EVENT)(_resource(body)) is fits


def test_field_selectors_find_services_by_type_and_namespaces_by_phase() -> None:
    service = Resource(Key("", "Service", "", "default", "web"), body={"spec": {"type": "ClusterIP"}})
    assert parse_selection(labels="", fields="spec.type=ClusterIP", kind=SERVICE)(service)
    going = Resource(Key("", "Namespace", "", "", "shop"), deleting=datetime.now(UTC))
    assert parse_selection(labels="", fields="status.phase=Terminating", kind=NAMESPACE)(going)
    assert not parse_selection(labels="", fields="status.phase=Active", kind=NAMESPACE)(going)


def test_a_field_that_cannot_be_selected_by_is_named() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.ports; supported: .*spec\.type"):
        parse_selection(labels="", fields="spec.ports=x", kind=SERVICE)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/api/v1/namespaces", Address("", "v1", "namespaces")),
        ("/api/v1/namespaces/x", Address("", "v1", "namespaces", "", "x")),
        ("/api/v1/namespaces/x/status", Address("", "v1", "namespaces", "", "x", "status")),
        ("/api/v1/namespaces/x/services", Address("", "v1", "services", "x")),
        ("/api/v1/namespaces/x/services/s", Address("", "v1", "services", "x", "s")),
        ("/api/v1/namespaces/x/services/s/status", Address("", "v1", "services", "x", "s", "status")),
        ("/apis/a.io/v1/things", Address("a.io", "v1", "things")),
        ("/apis/a.io/v1/namespaces/x/things/t", Address("a.io", "v1", "things", "x", "t")),
    ],
)
def test_paths_name_what_kubernetes_says_they_do(path: str, address: Address) -> None:
    assert parse_path(path) == address


@pytest.mark.parametrize("path", ["/", "/x", "/api", "/apis/a.io", "/api/v1/a/b/c/d", "/api/v1/namespaces/x/a/b/c/d"])
def test_other_paths_name_nothing(path: str) -> None:
    with pytest.raises(ApiError, match="could not find"):
        parse_path(path)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b'{"a": 99999999999999999999}',
        b"[" * 100 + b"]" * 100,
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_json_that_cannot_be_kept_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read(body, "application/json")
    assert caught.value.http_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"a: [",
        b"a: &x {b: 1}\nc: *x",
        b"? [a]\n: b",
        b"a: !!python/object/apply:os.system ['true']",
        b"a: .inf",
        b"--- a\n--- b",
        b"a: {<<: {b: 1}}",
        b"[" * 1000,
        b"a: !!binary aGk=",
        b"a: !!set {b}",
    ],
)
def test_yaml_that_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read(body, "application/yaml")
    assert caught.value.http_code == 400


@pytest.mark.parametrize(
    ("body", "media"), [(b'{"a": [{"b": 1, "b": 2}]}', "application/json"), (b"a: [{b: 1, b: 2}]", "application/yaml")]
)
def test_a_field_is_said_twice_only_where_its_author_can_be_told(body: bytes, media: str) -> None:
    assert read(body, media).repeated == ("a[0].b",)
    for refuse in (bodies.decode, decode_object):
        with pytest.raises(ApiError, match=r'duplicate field "a\[0\]\.b"'):
            refuse(body, media)


def test_yaml_means_what_kubernetes_takes_it_to_mean() -> None:
    body = b"account: '012345678901'\ndate: 2024-01-01\nport: 80\non: [yes]\n"
    assert read(body, "application/yaml").value == {
        "account": "012345678901",
        "date": "2024-01-01",
        "port": 80,
        "on": [True],
    }


@given(st.binary(max_size=60))
def test_no_body_ends_in_another_error(body: bytes) -> None:
    for media in ("application/json", "application/yaml", MEDIA_TYPE):
        try:
            read(MAGIC + body if media == MEDIA_TYPE else body, media)
        except ApiError:
            continue


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def _part(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3) + _varint(content)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _envelope(api_version: bytes, kind: bytes, raw: bytes) -> bytes:
    return MAGIC + _part(1, _part(1, api_version) + _part(2, kind)) + _part(2, raw)


def test_a_protobuf_service_is_the_json_service() -> None:
    metadata = _part(1, b"web") + _part(8, b"") + _part(11, _part(1, b"app") + _part(2, b"web"))
    named = _part(1, b"http") + _part(3, 80) + _part(4, _part(1, 1) + _part(3, b"web"))
    numbered = _part(1, b"more") + _part(3, 300) + _part(4, _part(1, 0) + _part(2, 8080))
    body = _envelope(
        b"v1", b"Service", _part(1, metadata) + _part(2, _part(1, named) + _part(1, numbered) + _part(7, b""))
    )
    assert from_protobuf(body) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "ports": [
                {"name": "http", "port": 80, "targetPort": "web"},
                {"name": "more", "port": 300, "targetPort": 8080},
            ]
        },
    }


def test_a_protobuf_role_keeps_the_core_group_and_what_the_server_wrote() -> None:
    rule = _part(1, b"get") + _part(2, b"") + _part(2, b"kuma.io") + _part(3, b"services")
    managed = _part(1, b"kubectl") + _part(4, _part(1, 86400)) + _part(7, _part(1, b'{"f:rules":{}}'))
    written = _part(1, b"r") + _part(7, 2) + _part(8, _part(1, 86400)) + _part(17, managed)
    body = _envelope(b"rbac.authorization.k8s.io/v1", b"Role", _part(1, written) + _part(2, rule))
    managers = [{"manager": "kubectl", "time": "1970-01-02T00:00:00Z", "fieldsV1": {"f:rules": {}}}]
    created = {"generation": 2, "creationTimestamp": "1970-01-02T00:00:00Z", "managedFields": managers}
    assert from_protobuf(body) == {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", **created},
        "rules": [{"verbs": ["get"], "apiGroups": ["", "kuma.io"], "resources": ["services"]}],
    }


@pytest.mark.parametrize("part", [_part(8, b"\x08" + b"\xff" * 9 + b"\x01"), _part(17, _part(7, _part(1, b"{")))])
def test_protobuf_times_and_json_that_are_none_are_refused(part: bytes) -> None:
    with pytest.raises(ApiError):
        from_protobuf(_envelope(b"v1", b"Namespace", _part(1, part)))


def test_a_protobuf_field_that_is_not_known_is_refused_rather_than_dropped() -> None:
    with pytest.raises(ApiError, match="application/json only"):
        from_protobuf(_envelope(b"v1", b"Namespace", _part(99, b"\x08\x01")))


def test_endless_nesting_in_protobuf_is_refused() -> None:
    nested = b""
    for _ in range(5000):
        nested = _part(99, nested)
    with pytest.raises(ApiError):
        from_protobuf(_envelope(b"v1", b"Namespace", nested))


@pytest.mark.parametrize(
    ("accept", "shape"),
    [
        ("", "whole"),
        ("*/*", "whole"),
        ("application/json", "whole"),
        ("application/vnd.kubernetes.protobuf,application/json", "whole"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "table"),
        ("application/json;as=Table;v=v99;g=meta.k8s.io,application/json", "whole"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "partial"),
        ("text/html, */*;q=0.1", "whole"),
    ],
)
def test_the_first_form_we_write_is_chosen(accept: str, shape: str) -> None:
    form = negotiate(accept)
    assert (form.table is not None, form.partial) == (shape == "table", shape == "partial")


@pytest.mark.parametrize("accept", ["text/html", "application/vnd.kubernetes.protobuf", "application/json;as=Cake"])
def test_a_form_nobody_writes_is_not_acceptable(accept: str) -> None:
    with pytest.raises(ApiError) as caught:
        negotiate(accept)
    assert caught.value.http_code == 406


def test_every_problem_of_the_metadata_is_found_at_once() -> None:
    _, unknown, causes = parse_metadata(
        {
            "lables": {},
            "labels": {"bad key": "x", "a": "b/c", "n": 5},
            "annotations": {"/x": "y"},
            "finalizers": [1],
            "resourceVersion": "abc",
            "ownerReferences": [{"kind": "X"}],
        }
    )
    assert unknown == ("metadata.lables",)
    assert {cause.field for cause in causes} >= {
        "metadata.labels",
        "metadata.labels[a]",
        "metadata.labels[n]",
        "metadata.annotations",
        "metadata.finalizers[0]",
        "metadata.resourceVersion",
        "metadata.ownerReferences[0].name",
    }
    assert any('quote it: "5"' in cause.message for cause in causes)


FIELDS = st.sampled_from(["name", "labels", "annotations", "ownerReferences", "finalizers", "uid", "x"])
SCALARS = st.none() | st.integers() | st.text(max_size=3)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner), max_leaves=10))
def test_no_metadata_ends_in_an_error(value: Any) -> None:
    parse_metadata(value)


@pytest.mark.parametrize(("name", "as_label", "good"), [
    ("a", True, True), ("a-b", True, True), ("a.b", False, True), ("a.b", True, False), ("A", False, False),
    ("-a", False, False), ("a" * 63, True, True), ("a" * 64, True, False), ("a" * 253, False, True),
    ("a" * 254, False, False), ("", False, False), ("a\n", False, False), ("a..b", False, False),
])  # fmt: skip
def test_names_are_dns_names(name: str, as_label: bool, good: bool) -> None:
    assert (not list(name_problems(name, as_label=as_label))) is good


def test_a_body_of_another_media_type_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        read(json.dumps({}).encode(), "text/plain")
    assert caught.value.http_code == 415
