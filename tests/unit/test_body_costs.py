"""What a body costs: it is counted before it is read, read beside the event loop, and looked through once."""

import asyncio
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from outrig.api.bodies import (
    MAX_BYTES,
    MAX_QUESTION_BYTES,
    MAX_REPEATED,
    MAX_SLOW_BYTES,
    MAX_VALUES,
    check_values,
    read_body,
)
from outrig.api.kube.belonging import followed
from outrig.api.kube.bodies import read
from outrig.api.kube.managed import MOST_SENT, read_entries
from outrig.api.kube.options import write_options
from outrig.api.kube.patches import Inapplicable, apply_operations
from outrig.api.kube.protobuf import MAGIC, MEDIA_TYPE
from outrig.api.kube.review_kinds import AccessBody
from outrig.api.kube.selectors import MOST_TERMS
from outrig.api.kube.statuses import MOST_CAUSES
from outrig.api.kube.strategic import strategic_merge
from outrig.api.refusals import ApiError
from outrig.api.turns import aside
from outrig.api.writing import Written
from outrig.dialects.causes import check_body
from outrig.resources import Key, Owner, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Listing, Query, Transaction
from tests.unit.access_making import Scene

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ACCOUNTS = "/api/v1/namespaces/shop/serviceaccounts"
MANY = f"more than {MAX_VALUES} keys and values"
SPOILT = b"}]}"
"""The end of a body that no parser takes; so whoever says something else has not got there."""


def decode(body: bytes, media: str) -> Any:
    """What a body of kubectl's API says."""
    return read(body, media).value


def account(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x", **metadata}}


@pytest.mark.parametrize(
    ("body", "media", "why"),
    [
        (b"[" + b"{}," * MAX_VALUES, "json", MANY),
        (b"[" + b"1," * MAX_VALUES, "json", MANY),
        (b"[" + b'"],",' * MAX_VALUES, "json", MANY),
        (b'{"a":' * 65, "json", "nested deeper"),
        (b"[" + b"[]," * MAX_VALUES, "yaml", MANY),
        (b"{" + b"a," * (MAX_VALUES // 2), "yaml", MANY),
        (b"[" * 65, "yaml", "nested deeper"),
        (b"- " * 65, "yaml", "nested deeper"),
    ],
)
def test_reading_ends_at_the_first_value_too_many_or_too_deep(body: bytes, media: str, why: str) -> None:
    with pytest.raises(ApiError, match=why):
        decode(body + SPOILT, f"application/{media}")


@pytest.mark.parametrize("media", ["json", "yaml"])
def test_what_is_counted_beforehand_is_what_there_is(media: str) -> None:
    """Empty lists in YAML's short form: it has a limit for bytes too."""
    tricky = {'a"]': ["[{", "\\", '\\"', " ", -1.5e3, True, None, {}], "b,:": {"é": "\u2028"}}
    inside = 17  # keys and values, the list of empty ones included
    there = {**tricky, "f": [[]] * (MAX_VALUES - inside)}
    text = json.dumps(there, ensure_ascii=False, separators=(",", ":") if media == "json" else (", ", ": "))
    body = text.replace("[], ", "[],").encode()
    assert decode(body, f"application/{media}") == there
    with pytest.raises(ApiError, match=MANY):
        decode(body[:-2] + b",[]]}", f"application/{media}")


def test_times_of_day_are_texts_in_yaml() -> None:
    assert decode(b"{a: 12:30, b: 1:2:3.5, c: !!int '1:1'}", "application/yaml") == {
        "a": "12:30",
        "b": "1:2:3.5",
        "c": "1:1",
    }


@pytest.mark.parametrize(
    ("body", "media"),
    [(b"#" * (MAX_SLOW_BYTES + 1), "application/yaml"), (MAGIC + b"\0" * MAX_SLOW_BYTES, MEDIA_TYPE)],
)
def test_forms_that_take_long_to_read_have_a_limit_of_their_own(body: bytes, media: str) -> None:
    with pytest.raises(ApiError, match="too large") as caught:
        decode(body, media)
    assert caught.value.http_code == 413


def test_the_names_of_places_do_not_repeat_a_long_key_for_ever() -> None:
    text = f'{{"{"k" * 10_000}":{{"a":1,"a":2,"b":1,"b":2}}}}'
    assert all(len(place) < 1000 for place in read(text.encode(), "application/json").repeated)
    long = "l" * 10_000
    checked = check_body({"spec": {"user": "u", "extra": {long: [1, 2]}, long: 1}}, AccessBody)
    assert all(len(place) < 1000 for place in (str(checked.unknown), str(checked.wrong)))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_that_no_store_can_keep_is_named_by_its_place(number: int) -> None:
    body = json.dumps({"a": 1, "b": [2**63 - 1, {"c": number}]}).encode()
    with pytest.raises(ApiError, match=r"request: b\[1\]\.c: whole numbers must fit in 64 bits"):
        decode(body, "application/json")


async def test_a_length_of_more_digits_than_python_reads_is_not_believed() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    scope = {"type": "http", "headers": [(b"content-length", b"9" * 5000)]}
    assert await read_body(Request(scope, receive)) == b"{}"


def test_of_fields_said_twice_not_all_are_named() -> None:
    twice = ",".join(f'"k{number}":1' for number in range(1000))
    assert len(read(f"{{{twice},{twice}}}".encode(), "application/json").repeated) == MAX_REPEATED


def test_text_that_is_there_again_and_again_counts_each_time() -> None:
    text = "x" * (MAX_BYTES // 10)
    check_values([text] * 10)
    with pytest.raises(ApiError, match="too large") as caught:
        check_values([text] * 11)
    assert caught.value.http_code == 413


async def test_a_question_is_short_whoever_asks(api: Scene) -> None:
    body = b'{"spec":' + b" " * MAX_QUESTION_BYTES + b"{}}"
    await api.of("bob").told("POST", REVIEWS, 413, content=body, headers={"content-type": "application/json"})


async def test_a_selector_of_thousands_of_terms_is_asked_of_no_object(api: Scene) -> None:
    for selector in ("labelSelector", "fieldSelector"):
        few, many = (",".join(["metadata.name!=x"] * times) for times in (MOST_TERMS, MOST_TERMS + 1))
        await api.of().told("GET", ACCOUNTS, 200, params={selector: few})
        told = await api.of().told("GET", ACCOUNTS, 400, params={selector: many})
        assert "at most 100 terms" in told["message"]


async def test_work_that_is_put_aside_does_not_hold_the_loop() -> None:
    """The loop has to get on, or the work would wait for it in vain."""
    awaited = threading.Event()
    working = asyncio.ensure_future(aside(awaited.wait, 30))
    await asyncio.sleep(0)
    awaited.set()
    assert await working


async def test_one_work_is_aside_at_a_time() -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.001)
        with lock:
            at_once -= 1

    await asyncio.gather(*(aside(work) for _ in range(5)))
    assert most == 1


class Compared(str):
    """A text that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("field", ["finalizers", "$deleteFromPrimitiveList/finalizers", "$setElementOrder/finalizers"])
def test_a_list_is_not_looked_through_for_each_item_of_another(field: str) -> None:
    there, sent = ([Compared(f"{side}/{number}") for number in range(200)] for side in "ab")
    Compared.times = 0
    strategic_merge({"metadata": {"finalizers": there}}, {"metadata": {field: sent}})
    assert Compared.times <= len(there) + len(sent)


def test_items_are_taken_out_and_put_in_by_one_patch() -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}, {"port": 81}]
    patch = [
        {"port": 80, "protocol": "TCP", "$patch": "delete"},
        {"port": 80, "name": "u"},
        {"port": 82, "name": "n"},
        {"port": 82, "name": "m"},
        {"port": 81, "$patch": "delete"},
        {"port": 81, "name": "new"},
    ]
    merged = strategic_merge({"spec": {"ports": ports}}, {"spec": {"ports": patch}})
    assert merged["spec"]["ports"] == [
        {"port": 80, "name": "u"}, {"port": 82, "name": "m"}, {"port": 81, "name": "new"},
    ]  # fmt: skip


def test_a_patch_that_nests_without_end_does_not_apply() -> None:
    deeper = [
        {"op": "add", "path": "/y", "value": {}},
        {"op": "move", "from": "/x", "path": "/y/x"},
        {"op": "move", "from": "/y", "path": "/x"},
    ]
    with pytest.raises(Inapplicable):
        apply_operations({"x": {}}, [*deeper * 2000, {"op": "copy", "from": "/x", "path": "/z"}])


def test_a_manager_that_is_too_long_is_quoted_by_nobody() -> None:
    with pytest.raises(ApiError) as caught:
        write_options({"fieldManager": "\x01" * 10_000}, "create", agent="", at=datetime.now(UTC))
    (cause,) = caught.value.details["causes"]
    assert "Too long" in cause["message"]


def test_managers_in_megabytes_are_not_believed() -> None:
    def entries(step: str) -> list[dict[str, Any]]:
        fields: dict[str, Any] = {"f:spec": {step: {}}}
        return [
            {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}
        ]

    assert read_entries(entries('v:"x"'))
    assert read_entries(entries("v:[" + "1," * MOST_SENT + "1]")) is None


async def test_of_thousands_of_problems_the_first_are_told_and_that_there_are_more(api: Scene) -> None:
    labels = {f"bad!{number}": "v" for number in range(1000)}
    told = await api.of().told("POST", ACCOUNTS, 422, json=account(labels=labels))
    causes = told["details"]["causes"]
    assert len(causes) == MOST_CAUSES + 1
    assert "more than 200 problems" in causes[0]["message"]


class Reads:
    """A transaction that counts what is listed."""

    def __init__(self, tx: Transaction) -> None:
        self._tx, self.lists = tx, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def list(self, query: Query) -> tuple[Resource, ...] | Listing:
        self.lists += 1
        return await self._tx.list(query)


async def test_owners_of_one_kind_are_looked_for_together() -> None:
    owners = tuple(Owner(Key("", "Service", "", "shop", f"s{number}"), f"u{number}", "v1") for number in range(50))
    async with MemoryStore().transaction() as tx:
        reads = Reads(tx)
        owned = await tx.create(Resource(Key("", "ServiceAccount", "", "shop", "x"), owners=owners))
        left = await followed(reads, Written(owned), before=None, now=datetime.now(UTC))  # type: ignore[arg-type]
    assert left.warnings
    assert reads.lists <= 2


async def test_an_answer_in_yaml_is_that_in_json(api: Scene) -> None:
    made = await api.of().told("POST", ACCOUNTS, 201, json=account(annotations={"a": "12:30", "b": "yes", "c": "é\n"}))
    answer = await api.of(accept="application/yaml").get(f"{ACCOUNTS}/x")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert decode(answer.content, "application/yaml") == made
