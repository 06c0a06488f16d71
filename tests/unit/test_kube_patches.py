"""Patches on plain values: what each kind of patch does, and that the original stays as it was."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrig.api.kube.patches import BadPatch, Inapplicable, apply_operations, merge
from outrig.api.kube.strategic import strategic_merge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ],
)
def test_merge_patches_do_what_rfc_7386_says(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


@given(JSON, JSON)
def test_a_merge_patch_leaves_the_original_alone_and_applied_twice_changes_nothing_more(
    target: Any, patch: Any
) -> None:
    before = copy.deepcopy(target)
    once = merge(target, patch)
    assert target == before
    assert merge(once, patch) == once


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/b", "value": 2}], {"a": [1, 2], "b": 2}),
        ([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9]}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ([{"op": "replace", "path": "/a/0", "value": 7}], {"a": [7, 2]}),
        ([{"op": "move", "from": "/a/0", "path": "/c"}], {"a": [2], "c": 1}),
        ([{"op": "copy", "from": "/a", "path": "/c"}], {"a": [1, 2], "c": [1, 2]}),
        ([{"op": "test", "path": "/a/0", "value": 1}], {"a": [1, 2]}),
        ([{"op": "add", "path": "/x~1y~0z", "value": 1}], {"a": [1, 2], "x/y~z": 1}),
        ([{"op": "add", "path": "", "value": {}}], {}),
        ([{"op": "test", "path": "/b", "value": None}], {"a": [1, 2]}),
        ([{"op": "test", "path": "/a/-1", "value": 2}], {"a": [1, 2]}),
        ([{"op": "replace", "path": "/a/-2", "value": 7}], {"a": [7, 2]}),
        ([{"op": "remove", "path": "/a/-1"}], {"a": [1]}),
        ([{"op": "add", "path": "/a/-1", "value": 9}], {"a": [1, 2, 9]}),
        ([{"op": "add", "path": "/a/-3", "value": 9}], {"a": [9, 1, 2]}),
    ],
)
def test_json_patches_do_what_rfc_6902_says_and_what_kubernetes_adds(operations: Any, result: Any) -> None:
    original = {"a": [1, 2]}
    assert apply_operations(original, operations) == result
    assert original == {"a": [1, 2]}


@pytest.mark.parametrize(
    "operations",
    [
        {"op": "add"},
        "add",
        [1],
        [{"op": "add", "path": "/b"}],
        [{"op": "add", "path": "b", "value": 1}],
        [{"op": "add", "path": "/b/c", "value": 1}],
        [{"op": "add", "path": "/a/3", "value": 1}],
        [{"op": "add", "path": "/a/01", "value": 1}],
        [{"op": "remove", "path": "/a/-"}],
        [{"op": "remove", "path": "/b"}],
        [{"op": "remove", "path": ""}],
        [{"op": "replace", "path": "/b", "value": 1}],
        [{"op": "test", "path": "/a/0", "value": True}],
        [{"op": "test", "path": "/a", "value": None}],
        [{"op": "test", "path": "/b", "value": 1}],
        [{"op": "test", "path": "/b/c", "value": None}],
        [{"op": "test", "path": "/a/2", "value": None}],
        [{"op": "remove", "path": "/a/-3"}],
        [{"op": "remove", "path": "/a/-0"}],
        [{"op": "add", "path": "/a/-4", "value": 1}],
        [{"op": "remove", "path": f"/a/{'9' * 5000}"}],
        [{"op": "move", "from": "/a", "path": "/a/0"}],
        [{"op": "explode", "path": "/a"}],
        [{"op": "add", "path": 5, "value": 1}],
    ],
)
def test_json_patches_that_do_not_apply_are_refused(operations: Any) -> None:
    with pytest.raises(BadPatch):
        apply_operations({"a": [1, 2]}, operations)


def test_operations_that_copy_without_measure_are_refused_before_they_fill_memory() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/x{number}"} for number in range(64)]
    with pytest.raises(Inapplicable, match="more than 20000 values"):
        apply_operations({"a": {"b": 1}}, doubling)


@given(JSON, JSON)
def test_no_json_patch_ends_in_another_error(target: Any, operations: Any) -> None:
    try:
        apply_operations(target, operations)
    except BadPatch:
        return


PORTS = {"spec": {"ports": [{"port": 80, "name": "a", "targetPort": 8080}, {"port": 81, "name": "b"}], "type": "x"}}


def _ports(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"spec": {"ports": list(items), **more}}


@pytest.mark.parametrize(
    ("patch", "ports"),
    [
        (_ports({"port": 80, "name": "c"}), [(80, "c"), (81, "b")]),
        (_ports({"port": 82, "name": "c"}), [(80, "a"), (81, "b"), (82, "c")]),
        (_ports({"port": 80, "$patch": "delete"}), [(81, "b")]),
        (_ports({"port": 9, "name": "z"}, {"$patch": "replace"}), [(9, "z")]),
        ({"spec": {"ports": None}}, []),
        ({"spec": {"$setElementOrder/ports": [{"port": 81}, {"port": 80}]}}, [(81, "b"), (80, "a")]),
        (
            {"spec": {"$setElementOrder/ports": [{"port": 7}, {"port": 80}], "ports": [{"port": 7, "name": "n"}]}},
            [(7, "n"), (80, "a"), (81, "b")],
        ),
    ],
)
def test_a_strategic_patch_merges_ports_by_their_number(patch: Any, ports: list[tuple[int, str]]) -> None:
    before = copy.deepcopy(PORTS)
    merged = strategic_merge(PORTS, patch)
    assert [(port["port"], port["name"]) for port in merged["spec"].get("ports", [])] == ports
    assert before == PORTS


def test_a_merged_port_keeps_what_the_patch_does_not_name() -> None:
    merged = strategic_merge(PORTS, _ports({"port": 80, "name": "c"}))
    assert merged["spec"]["ports"][0] == {"port": 80, "name": "c", "targetPort": 8080}


def test_one_number_for_tcp_and_udp_is_two_ports() -> None:
    dns = _ports({"port": 53, "protocol": "TCP", "name": "t"}, {"port": 53, "protocol": "UDP", "name": "u"})
    merged = strategic_merge(dns, _ports({"port": 53, "protocol": "UDP", "name": "v"}))
    assert [port["name"] for port in merged["spec"]["ports"]] == ["t", "v"]


def test_items_are_deleted_before_others_of_the_same_key_are_merged() -> None:
    """What kubectl sends where a port's UDP twin goes and the other is renamed."""
    twins = _ports({"port": 80, "name": "h"}, {"port": 80, "protocol": "UDP", "name": "u"}, {"port": 90, "name": "z"})
    order = {"$setElementOrder/ports": [{"port": 80}, {"port": 90}]}
    renamed, gone = {"name": "http", "port": 80, "protocol": None}, {"$patch": "delete", "port": 80}
    merged = strategic_merge(twins, _ports(renamed, gone, **order))
    assert merged["spec"]["ports"] == [{"port": 80, "name": "http"}, {"port": 90, "name": "z"}]


def test_retain_keys_drops_every_other_field() -> None:
    assert strategic_merge(PORTS, {"spec": {"$retainKeys": ["type"], "type": "y"}}) == {"spec": {"type": "y"}}


def test_patch_replace_and_delete_work_on_objects() -> None:
    assert strategic_merge(PORTS, {"spec": {"$patch": "replace", "type": "y"}}) == {"spec": {"type": "y"}}
    assert strategic_merge(PORTS, {"spec": {"$patch": "delete"}}) == {}


def test_finalizers_are_a_set_and_can_be_taken_out() -> None:
    target = {"metadata": {"finalizers": ["a", "b"]}}
    assert strategic_merge(target, {"metadata": {"finalizers": ["b", "c"]}}) == {
        "metadata": {"finalizers": ["a", "b", "c"]}
    }
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert strategic_merge(target, removal) == {"metadata": {"finalizers": ["b"]}}


@pytest.mark.parametrize(
    "patch",
    [
        5,
        {"$what": 1},
        {"spec": {"$patch": "explode"}},
        {"spec": {"$retainKeys": 5}},
        {"spec": {"$retainKeys": ["type"], "type": "x", "selector": {}}},
        {"spec": {"$setElementOrder/ports": 5}},
        _ports({"name": "no number"}),
        {"spec": {"ports": [5]}},
        {"spec": {"ports": [{"$patch": "replace"}, 5]}},
        {"spec": {"ports": [{"$patch": "replace"}, None]}},
    ],
)
def test_a_malformed_strategic_patch_is_refused(patch: Any) -> None:
    with pytest.raises(BadPatch):
        strategic_merge(PORTS, patch)


@given(JSON, JSON)
def test_no_strategic_patch_ends_in_another_error(target: Any, patch: Any) -> None:
    try:
        strategic_merge(target, patch)
    except BadPatch:
        return
