"""`explain` for listeners that lead to one service each, whatever name it is called by: those of Dataplanes."""

from collections.abc import Mapping
from typing import Any

import pytest

from outrig.compile import compile_meshes
from outrig.model import WorkloadId
from outrig.resources import Resource
from outrig.why import Ending, Explanation, Known, Part, Question, Verdict, explain, parse_call
from tests.mesh_making import KINDS, dataplane, mesh, offer, service, tagged, trust

APP = WorkloadId("dataplane/default/app-1")


def asked(target: str, tags: Mapping[str, str], *more: Resource) -> Explanation:
    """What `app` is told, which calls these tags at port 1080."""
    outbound: list[Any] = [{"port": 1080, "tags": tags}]
    app = dataplane("app-1", "10.0.0.1", inbound={"app": 8080}, outbound=outbound)
    found = compile_meshes((trust(), mesh(), app, *more), KINDS)["default"]
    workloads = {one.id: one for one in found.workloads}
    return explain(Question(workloads[APP], parse_call(target), None), Known(found, workloads, {}))


@pytest.mark.parametrize(
    ("scheme", "tags", "ending"),
    [("tcp", {}, Ending.CUT), ("http", {"kuma.io/protocol": "http"}, Ending.NO_ENDPOINT)],
)
def test_a_name_that_was_never_there_is_told_as_such(scheme: str, tags: Mapping[str, str], ending: Ending) -> None:
    answer = asked(f"{scheme}://127.0.0.1:1080", {"kuma.io/service": "kvv", **tags})
    last = answer.steps[-1]
    assert (answer.ending, last.part, last.verdict) == (ending, Part.ROUTE, Verdict.STOPS)
    assert "networking.outbound[0]: there is no service 'kvv'" in last.says
    assert last.resource == "Dataplane default/app-1"
    assert "is the name right" in " ".join((*last.notes, last.do))


def test_a_service_of_the_other_dialect_is_looked_for_where_its_name_says() -> None:
    wanted = {"kuma.io/service": "ratings_shop_svc_9080"}
    assert asked("tcp://127.0.0.1:1080", wanted).steps[-1].do == (
        "is there a Service ratings in namespace shop? (that has none)"
    )
    assert asked("tcp://127.0.0.1:1080", wanted, service("rating")).steps[-1].do == (
        "is there a Service ratings in namespace shop? (did you mean 'rating'?)"
    )


def test_a_service_that_is_kept_says_that_nobody_offers_it_now() -> None:
    answer = asked("http://127.0.0.1:1080", {"kuma.io/service": "kv"}, offer("kv", (6379, "http")))
    last = answer.steps[-1]
    assert (answer.ending, last.part) == (Ending.NO_ENDPOINT, Part.ENDPOINTS)
    assert last.says == "no endpoint: nobody offers kv.mesh now"


def test_tags_that_nobody_has_are_told_apart_from_a_service_that_nobody_offers() -> None:
    v1 = dataplane("kv-1", "10.0.0.2", inbound=[tagged("kv", 6379, version="v1")])
    answer = asked("http://127.0.0.1:1080", {"kuma.io/service": "kv", "version": "v9"}, v1)
    assert answer.ending is Ending.NO_ENDPOINT
    assert answer.steps[-1].says == "no endpoint: none of the 1 behind kv.mesh has version=v9"
    assert answer.steps[-1].notes == ("there version is v1",)
    assert (
        asked("http://127.0.0.1:1080", {"kuma.io/service": "kv", "version": "v1"}, v1).ending is not Ending.NO_ENDPOINT
    )


KV = dataplane("kv-1", "10.0.0.2", inbound=[tagged("kv", 6379, version="v1")])


@pytest.mark.parametrize(
    ("target", "address"),
    [("http://kv:9000/x", "http://127.0.0.1:1080/x"), ("kv.mesh:6379", "127.0.0.1:1080")],
)
def test_who_calls_by_name_is_told_the_address(target: str, address: str) -> None:
    answer = asked(target, {"kuma.io/service": "kv"}, KV)
    assert (answer.ending, answer.steps[-1].part) == (Ending.REFUSED, Part.LISTENER)
    assert answer.steps[-1].notes == ("calls go by address: 127.0.0.1:1080 for kv",)
    assert answer.steps[-1].do == f"call {address}"


@pytest.mark.parametrize(
    ("host", "notes", "do"),
    [
        ("cart", "no outbound leads to cart.mesh", "give Dataplane default/app-1 an outbound for it"),
        ("kvv", "no outbound leads to 'kvv'", "did you mean 'kv'?"),
    ],
)
def test_a_name_without_an_outbound_is_told(host: str, notes: str, do: str) -> None:
    cart = dataplane("cart-1", "10.0.0.3", inbound={"cart": 9000})
    last = asked(f"http://{host}:9000", {"kuma.io/service": "kv"}, KV, cart).steps[-1]
    assert (last.notes[-1], last.do) == (notes, do)


@pytest.mark.parametrize("speaks", ["http", "tcp"])
def test_a_name_at_the_port_of_another_service_is_doubted(speaks: str) -> None:
    kv = dataplane("kv-1", "10.0.0.2", inbound=[tagged("kv", 6379, speaks)])
    step = asked("cart.mesh:1080", {"kuma.io/service": "kv"}, kv).steps[2]
    assert (step.part, step.verdict) == (Part.ROUTE, Verdict.DOUBTFUL)
    assert step.notes == ("all that is called there goes to kv: the name 'cart.mesh' does not matter",)
    for name in ("kv", "kv.mesh", "localhost", "127.0.0.1"):
        assert asked(f"{name}:1080", {"kuma.io/service": "kv"}, kv).steps[2].verdict is Verdict.OK


def test_who_calls_the_address_of_another_is_told_of_outbounds() -> None:
    last = asked("http://10.0.0.2:6379", {"kuma.io/service": "kv"}, KV).steps[-1]
    assert (last.verdict, last.do) == (
        Verdict.STOPS, "call its service at the address of an outbound, through the proxy",
    )  # fmt: skip


def test_a_dataplane_that_no_agent_has_joined_as_is_doubted() -> None:
    first = asked("http://127.0.0.1:1080", {"kuma.io/service": "kv"}, KV).steps[0]
    assert (first.verdict, first.notes[-1]) == (
        Verdict.DOUBTFUL, "no agent has joined as it yet, as far as is known here",
    )  # fmt: skip
    assert first.do == "start one beside its application: `outrig dp run`"


def test_a_dataplane_that_calls_nobody_is_told_to_list_what_it_calls() -> None:
    app = dataplane("app-1", "10.0.0.1", inbound={"app": 8080})
    found = compile_meshes((trust(), mesh(), app, KV), KINDS)["default"]
    workloads = {one.id: one for one in found.workloads}
    last = explain(Question(workloads[APP], parse_call("http://kv:6379")), Known(found, workloads)).steps[-1]
    assert last.notes == ("no outbound leads to kv.mesh",)
    assert last.do == "give Dataplane default/app-1 an outbound for it"


def test_an_address_that_nothing_listens_at_is_told_with_what_does() -> None:
    last = asked("http://127.0.0.1:9", {"kuma.io/service": "kv", "version": "v1"}, KV).steps[-1]
    assert last.notes == ("it listens at 127.0.0.1:1080 for kv with version=v1",)
    assert last.do == "connect to that"
