"""What is taken can be read back: one time or number that Go's clients cannot decode hides every object of the kind."""

from collections.abc import Iterator
from typing import Any

import pytest

from outrig.dialects.causes import check_body
from outrig.dialects.core.event import EventBody
from outrig.dialects.kind import Kind
from outrig.dialects.statuses import NamespaceStatus, ServiceStatus, Status, WorkloadStatus
from outrig.dialects.syntax import is_micro_time, is_time
from tests.unit.access_making import SERVICES, Person, service
from tests.unit.dialect_making import KINDS

APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
EVENTS = "/api/v1/namespaces/shop/events"
ABOUT = {"involvedObject": {"kind": "Service", "name": "cart", "namespace": "shop"}}
EVENT = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, **ABOUT}
CONDITION = {"type": "Mine", "status": "True", "reason": "So", "message": ""}
HUGE = 10**12
EVERY_READS = ["2024-01-01T00:00:00.123456Z", "2024-02-29T23:59:59.000000+02:00", "0001-01-01T00:00:00.000000-23:59"]
SECONDS = [
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00+00:00",
    "2024-01-01T00:00:00.5Z",
    "2024-01-01T00:00:00.123456789Z",
]
NO_TIME = [
    "", "garbage", "yesterday", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00Z", "2024-01-01 00:00:00Z",
    "2024-01-01t00:00:00z", "2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z",
    "2024-01-01T00:00:00+0200", "2024-01-01T00:00:00+24:00", "0000-01-01T00:00:00Z", "20240101T000000Z",
    "2024-W01-1T00:00:00Z", "2024-01-01T00:00:00,5Z", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n",
    "\u0662024-01-01T00:00:00Z", "2024-01-01T00:00:00.Z",
]  # fmt: skip


@pytest.mark.parametrize("text", EVERY_READS)
def test_a_time_to_the_microsecond_is_taken_everywhere(text: str) -> None:
    assert (is_time(text), is_micro_time(text)) == (True, True)


@pytest.mark.parametrize("text", SECONDS)
def test_where_kubernetes_counts_microseconds_there_are_six_digits(text: str) -> None:
    assert (is_time(text), is_micro_time(text)) == (True, False)


@pytest.mark.parametrize("text", NO_TIME)
def test_what_go_does_not_read_is_no_time(text: str) -> None:
    assert (is_time(text), is_micro_time(text)) == (False, False)


@pytest.mark.parametrize(
    ("form", "body", "fields"),
    [
        (EventBody, {**ABOUT, "firstTimestamp": "x", "lastTimestamp": ""}, ["firstTimestamp", "lastTimestamp"]),
        (EventBody, {**ABOUT, "eventTime": SECONDS[0]}, ["eventTime"]),
        (
            EventBody,
            {**ABOUT, "series": {"lastObservedTime": "2024-01-01", "count": HUGE}, "count": 2**31},
            ["series.lastObservedTime", "series.count", "count"],
        ),
        (EventBody, {**ABOUT, "lastTimestamp": None, "eventTime": None, "count": 2**31 - 1}, []),
        (
            NamespaceStatus,
            {"conditions": [{**CONDITION, "lastTransitionTime": "x"}]},
            ["conditions[0].lastTransitionTime"],
        ),
        (
            ServiceStatus,
            {
                "conditions": [{**CONDITION, "lastTransitionTime": "x", "observedGeneration": 2**63}],
                "loadBalancer": {"ingress": [{"ports": [{"port": HUGE, "protocol": "TCP"}]}]},
                "observedGeneration": -1,
            },
            [
                "conditions[0].lastTransitionTime",
                "conditions[0].observedGeneration",
                "loadBalancer.ingress[0].ports[0].port",
                "observedGeneration",
            ],
        ),
        *(
            (form, {"conditions": [{**CONDITION, "lastProbeTime": "x"}]}, ["conditions[0].lastProbeTime"])
            for form in (Status, WorkloadStatus)
        ),
        (
            Status,
            {"observedGeneration": "7", "conditions": [{**CONDITION, "observedGeneration": str(2**63 - 1)}]},
            [],
        ),
        *(
            (Status, {"observedGeneration": wrong}, ["observedGeneration"])
            for wrong in ("", "-1", "x", "1" * 20, str(2**63), True, 1.5, -1, 2**64, ["1"])
        ),
    ],
)
def test_what_no_client_can_decode_is_refused_by_its_field(form: Any, body: dict[str, Any], fields: list[str]) -> None:
    checked = check_body(body, form)
    assert sorted(cause.field for cause in checked.causes) == sorted(fields)


def fields_of(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that a published schema describes, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from fields_of(inner)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_number_has_a_bound_and_every_time_its_form(kind: Kind) -> None:
    """A port that may be a name besides has its bound in a rule of its own."""
    fields = [one for form in (kind.schema, kind.status_schema) for one in fields_of(form.model_json_schema())]
    assert [name for name, field in fields if field.get("type") == "integer" and "maximum" not in field] == []
    times = [(name, field) for name, field in fields if "(RFC 3339" in field.get("description", "")]
    assert times or kind.name == "ServiceAccount"
    assert [name for name, field in times if field.get("format") != "date-time"] == []


def typed(document: dict[str, Any]) -> dict[str, Any]:
    """What an apply names its object by."""
    return {field: document[field] for field in ("apiVersion", "kind")}


async def test_no_such_value_is_stored_by_any_way_that_there_is(admin: Person) -> None:
    for field, value in (("lastTimestamp", "garbage"), ("eventTime", "2024-01-01T00:00:00Z"), ("count", HUGE)):
        told = await admin.told("POST", EVENTS, 422, json={**EVENT, field: value})
        assert [cause["field"] for cause in told["details"]["causes"]] == [field]
    assert (await admin.told("GET", EVENTS, 200))["items"] == []
    await admin.makes(SERVICES, service())
    wrong = {"status": {"conditions": [{**CONDITION, "lastTransitionTime": "yesterday"}]}}
    for path in (f"{SERVICES}/cart/status", "/api/v1/namespaces/shop/status"):
        before = await admin.told("GET", path, 200)
        for headers, sent in ((MERGE, wrong), (APPLY, {**typed(before), **wrong})):
            told = await admin.told("PATCH", f"{path}?fieldManager=me", 422, json=sent, headers=headers)
            assert [cause["field"] for cause in told["details"]["causes"]] == [
                "status.conditions[0].lastTransitionTime"
            ]
        assert await admin.told("GET", path, 200) == before
