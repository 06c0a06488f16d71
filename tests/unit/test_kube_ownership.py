"""Owners of fields: how sets of fields are spelt, what an apply and an update do to claims, and what never changes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from outrig.api.kube.ownership.claims import APPLY, UPDATE, Claims, Conflicts, Edit, Writer, apply, update
from outrig.api.kube.ownership.paths import FieldSet, paths_of, spelled, tree_of
from outrig.api.kube.ownership.shapes import Shape, shape_of
from outrig.api.kube.ownership.walks import MISSING, BadListError, check_lists, compare, fields_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FEW = settings(max_examples=20, deadline=None)
LETTERS = ("a", "b", "c")
SCHEMA = {
    "properties": {
        "text": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "whole": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
        "list": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "free": {"type": "object"},
        "part": {"$ref": "#/$defs/Part"},
        "ports": {
            "type": "array",
            "items": {"$ref": "#/$defs/Port"},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
        },
    }
}
DEFINITIONS = {
    "Part": {"properties": {"one": {"type": "string"}, "two": {"type": "string"}}},
    "Port": {
        "properties": {
            "port": {"type": "integer"},
            "protocol": {"type": "string", "default": "TCP"},
            "name": {"type": "string"},
        }
    },
}
SHAPE = shape_of(SCHEMA, DEFINITIONS)
TEXTS = st.sampled_from(LETTERS)
PORTS = st.lists(
    st.fixed_dictionaries({"port": st.integers(1, 3)}, optional={"name": TEXTS, "protocol": st.just("UDP")}),
    max_size=3,
    unique_by=lambda port: (port["port"], port.get("protocol", "TCP")),
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS,
        "labels": st.dictionaries(TEXTS, TEXTS),
        "whole": st.dictionaries(TEXTS, TEXTS),
        "list": st.lists(TEXTS, max_size=2),
        "set": st.lists(TEXTS, max_size=3, unique=True),
        "free": st.dictionaries(TEXTS, st.dictionaries(TEXTS, TEXTS) | TEXTS, max_size=2),
        "part": st.fixed_dictionaries({}, optional={"one": TEXTS, "two": TEXTS}),
        "ports": PORTS,
    },
)


def edit(name: str, operation: str = APPLY, *, at: datetime = NOW) -> Edit:
    return Edit(Writer(operation, name, "v1" if operation == UPDATE else ""), "v1", at)


def applied(live: Any, config: Any, claims: Claims, name: str, *, force: bool = True) -> tuple[Any, Claims]:
    return apply(live, config, SHAPE, claims=claims, edit=edit(name), force=force)


def owned(claims: Claims, name: str, operation: str = APPLY) -> Any:
    claim = claims.get(edit(name, operation).writer)
    return tree_of(claim.fields) if claim else None


def filled(value: Any) -> Any:
    """Without objects that were emptied: nobody owns them, as in Kubernetes."""
    if not isinstance(value, dict):
        return value
    inner = {name: filled(member) for name, member in value.items()}
    return {name: member for name, member in inner.items() if member != {}}


def port(number: int, **more: Any) -> dict[str, Any]:
    return {"port": number, **more}


def test_fields_are_spelt_as_in_kubernetes() -> None:
    found = tree_of(
        fields_of({"ports": [port(80, name="http")], "set": ["x"], "whole": {"a": "b"}, "labels": {}}, SHAPE)
    )
    assert found == {
        "f:labels": {},
        "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
        "f:set": {'v:"x"': {}},
        "f:whole": {},
    }


def test_members_whose_names_no_schema_knows_are_owned_themselves() -> None:
    assert tree_of(fields_of({"free": {"a": {"b": 1}}, "part": {"one": "x"}}, SHAPE)) == {
        "f:free": {"f:a": {".": {}, "f:b": {}}},
        "f:part": {"f:one": {}},
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name"), '.spec.ports[port=80,protocol="TCP"].name'),
        (("f:metadata", "f:finalizers", 'v:"a/b"'), '.metadata.finalizers[="a/b"]'),
        (("f:x", "i:3"), ".x[3]"),
    ],
)
def test_a_path_is_shown_as_in_kubernetes(path: tuple[str, ...], text: str) -> None:
    assert spelled(path) == text


def test_fields_are_read_however_they_are_spaced_and_unknown_steps_are_left_out() -> None:
    tree: dict[str, Any] = {'k:{"protocol": "TCP", "port": 80}': {".": {}, "f:a": {}}, "z:new": {}, "f:b": {"f:c": {}}}
    item = 'k:{"port":80,"protocol":"TCP"}'
    assert paths_of(tree) == {(item,), (item, "f:a"), ("f:b", "f:c")}


@pytest.mark.parametrize("tree", [5, [], {"f:a": 1}, {"k:x": {}}, {"v:": {}}, {"k:5": {}}])
def test_what_is_no_set_of_fields_is_refused(tree: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        paths_of(tree)


class Unread(list[str]):
    def __iter__(self) -> Iterator[str]:
        raise AssertionError("somebody looks through it")


def test_a_list_that_a_configuration_does_not_speak_of_is_not_looked_through() -> None:
    live = {"set": Unread(["x"]), "text": "a"}
    merged, claims = applied(live, {"text": "b"}, {}, "one")
    assert merged["set"] is live["set"]
    assert owned(claims, "one") == {"f:text": {}}


@FEW
@given(OBJECTS)
def test_a_set_of_fields_survives_its_spelling(value: Any) -> None:
    fields = fields_of(value, SHAPE)
    assert paths_of(json.loads(json.dumps(tree_of(fields)))) == fields


def changes(old: Any, new: Any) -> tuple[Any, Any, Any]:
    found = compare(old, new, SHAPE)
    return tree_of(found.added), tree_of(found.modified), tree_of(found.removed)


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({}, {"part": {"one": "a"}}, {"f:part": {".": {}, "f:one": {}}}, {}, {}),
        ({"part": {}}, {"part": {"one": "a"}}, {"f:part": {"f:one": {}}}, {}, {}),
        ({"text": "a"}, {"text": "b"}, {}, {"f:text": {}}, {}),
        ({"text": "a"}, {"text": None}, {}, {"f:text": {}}, {}),
        ({"list": ["a"]}, {"list": ["a", "b"]}, {}, {"f:list": {}}, {}),
        ({"set": ["a"]}, {"set": ["b"]}, {"f:set": {'v:"b"': {}}}, {}, {"f:set": {'v:"a"': {}}}),
        ({"whole": {"a": "b"}}, {"whole": {"c": "d"}}, {}, {"f:whole": {}}, {}),
        ({"set": ["a", "a"]}, {"set": ["a"]}, {}, {"f:set": {'v:"a"': {}}}, {}),
        ({"free": {"a": {"b": 1}}}, {"free": {"a": 1}}, {}, {"f:free": {"f:a": {}}}, {"f:free": {"f:a": {"f:b": {}}}}),
        ({"free": {"a": 1}}, {"free": {"a": True}}, {}, {"f:free": {"f:a": {}}}, {}),
        ({"labels": {"a": "b"}}, {}, {}, {}, {"f:labels": {".": {}, "f:a": {}}}),
    ],
)  # fmt: skip
def test_two_values_differ_where_a_field_does(old: Any, new: Any, added: Any, modified: Any, removed: Any) -> None:
    assert changes(old, new) == (added, modified, removed)


@FEW
@given(OBJECTS, OBJECTS)
def test_what_one_way_adds_the_other_way_removes(old: Any, new: Any) -> None:
    there, back = compare(old, new, SHAPE), compare(new, old, SHAPE)
    assert (there.added, there.modified) == (back.removed, back.modified)
    assert compare(old, old, SHAPE) == compare(new, new, SHAPE)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"ports": [port(80), port(80, protocol="TCP")]}, '.ports: duplicate entries for key [port=80,protocol="TCP"]'),
        ({"set": ["a", "a"]}, '.set: duplicate entries for key [="a"]'),
        ({"ports": [{"name": "x"}]}, '.ports: element 0: associative list with keys has an element that omits key '
         'field "port" (and doesn\'t have default value)'),
        ({"ports": [5]}, ".ports: element 0: associative list with keys may not have non-map element"),
    ],
)  # fmt: skip
def test_a_list_whose_items_cannot_be_told_apart_cannot_be_applied(value: Any, problem: str) -> None:
    with pytest.raises(BadListError) as refused:
        check_lists(value, SHAPE)
    assert str(refused.value) == problem


def test_items_of_a_list_stand_as_applied_and_others_stay_where_they_were() -> None:
    live = {"set": ["1", "x", "2", "y"]}
    assert applied(live, {"set": ["n", "2", "1"]}, {}, "a")[0] == {"set": ["x", "n", "2", "y", "1"]}
    assert applied(live, {"set": ["1", "2"]}, {}, "a")[0] == {"set": ["1", "x", "2", "y"]}
    assert applied(live, {"set": ["z"]}, {}, "a")[0] == {"set": ["1", "x", "2", "y", "z"]}


def test_a_port_keeps_what_others_say_of_it_and_goes_with_its_last_owner() -> None:
    live, claims = applied({}, {"ports": [port(80, name="a"), port(81)]}, {}, "one")
    live, claims = applied(live, {"ports": [port(80)]}, claims, "two", force=False)
    assert live["ports"] == [port(80, name="a"), port(81)]
    live, claims = applied(live, {"text": "x"}, claims, "one")
    assert live == {"ports": [port(80)], "text": "x"}
    live, claims = applied(live, {"text": "y"}, claims, "two")
    assert live == {"text": "y"}
    assert owned(claims, "one") is None, "two took over what one had applied"


def test_an_item_goes_with_its_last_applier_and_takes_along_what_was_written_into_it() -> None:
    live, claims = applied({}, {"ports": [port(80), port(81)]}, {}, "one")
    named = {"ports": [port(80, name="by hand"), port(81, name="by hand")]}
    claims = update(live, named, SHAPE, claims=claims, edit=edit("hand", UPDATE))
    live, claims = applied(named, {"ports": [port(80)]}, claims, "one", force=False)
    assert live == {"ports": [port(80, name="by hand")]}
    assert owned(claims, "hand", UPDATE) == {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:name": {}}}}


def test_a_field_that_somebody_updated_stays_when_its_applier_lets_go() -> None:
    claims = update({}, {"text": "a"}, SHAPE, claims={}, edit=edit("hand", UPDATE))
    live, claims = applied({"text": "a"}, {"text": "a", "labels": {"a": "b"}}, claims, "one", force=False)
    live, claims = applied(live, {"labels": {"a": "b"}}, claims, "one", force=False)
    assert live == {"text": "a", "labels": {"a": "b"}}
    assert owned(claims, "hand", UPDATE) == {"f:text": {}}


def test_what_the_server_filled_in_goes_with_the_part_that_it_is_in() -> None:
    live, claims = applied({}, {"part": {"one": "a"}, "text": "x"}, {}, "one")
    defaulted = {**live, "part": {"one": "a", "two": "filled in"}}
    assert applied(defaulted, {"text": "x"}, claims, "one")[0] == {"text": "x"}


def test_conflicts_name_each_manager_and_field_and_change_nothing() -> None:
    live, claims = applied({}, {"text": "a", "labels": {"a": "1"}}, {}, "one")
    claims = update(live, {**live, "list": []}, SHAPE, claims=claims, edit=edit("hand", UPDATE))
    live = {**live, "list": []}
    with pytest.raises(Conflicts) as refused:
        applied(live, {"text": "b", "labels": {"a": "2", "b": "3"}, "list": ["x"]}, claims, "two", force=False)
    assert [(str(writer), spelled(path)) for writer, path in refused.value.found] == [
        ('"one"', ".labels.a"),
        ('"one"', ".text"),
        ('"hand" using v1', ".list"),
    ]


def test_force_takes_fields_over() -> None:
    live, claims = applied({}, {"text": "a", "labels": {"a": "1"}}, {}, "one")
    live, claims = applied(live, {"text": "b"}, claims, "two")
    assert (live["text"], owned(claims, "one"), owned(claims, "two")) == (
        "b", {"f:labels": {"f:a": {}}}, {"f:text": {}},
    )  # fmt: skip


def test_an_update_takes_what_it_changes_and_frees_what_it_removes() -> None:
    live, claims = applied({}, {"text": "a", "labels": {"a": "1", "b": "2"}}, {}, "one")
    claims = update(live, {"text": "z", "labels": {"a": "1"}}, SHAPE, claims=claims, edit=edit("hand", UPDATE))
    assert owned(claims, "one") == {"f:labels": {"f:a": {}}}
    assert owned(claims, "hand", UPDATE) == {"f:text": {}}


def test_an_update_that_changes_nothing_claims_nothing() -> None:
    assert update({"text": "a"}, {"text": "a"}, SHAPE, claims={}, edit=edit("hand", UPDATE)) == {}


def test_names_and_what_the_server_sets_are_nobodys() -> None:
    document = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n", "uid": "u", "labels": {"a": "b"}}}
    _, claims = apply({}, document, Shape(SHAPE.form), claims={}, edit=edit("one"), force=False)
    assert owned(claims, "one") == {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}


def test_the_oldest_of_too_many_updaters_become_one() -> None:
    claims: Claims = {}
    before: dict[str, Any] = {"labels": {}}
    for number in range(13):
        after = {"labels": {**before["labels"], f"l{number}": "x"}}
        by = edit(f"m{number:02}", UPDATE, at=NOW + timedelta(seconds=number))
        before, claims = after, update(before, after, SHAPE, claims=claims, edit=by)
    names = sorted(writer.name for writer in claims)
    assert names == ["ancient-changes", *(f"m{number:02}" for number in range(4, 13))]
    assert owned(claims, "ancient-changes", UPDATE) == {"f:labels": {f"f:l{number}": {} for number in range(4)}}


@FEW
@given(OBJECTS, OBJECTS)
def test_what_was_applied_is_there_and_applying_it_again_changes_nothing(live: Any, config: Any) -> None:
    once, claims = applied(live, config, {}, "one")
    change = compare(config, once, SHAPE)
    assert not change.modified & fields_of(config, SHAPE)
    assert not change.removed & fields_of(config, SHAPE)
    again, same = applied(once, config, claims, "one", force=False)
    assert (again, same) == (once, claims)


@FEW
@given(OBJECTS, OBJECTS)
def test_applying_nothing_gives_back_what_was_there_before_but_for_what_was_written_over(
    live: Any, config: Any
) -> None:
    assume(not compare(live, merged := applied(live, config, {}, "one")[0], SHAPE).modified)
    by_hand = update({}, live, SHAPE, claims={}, edit=edit("hand", UPDATE))
    _, claims = applied(live, config, by_hand, "one", force=False)
    restored, left = applied(merged, {}, claims, "one", force=False)
    change = compare(live, restored, SHAPE)
    assert not change.written - _empty_holders(config)
    assert not change.removed
    assert left == by_hand


def _empty_holders(config: Any) -> FieldSet:
    """Lists that were applied without items: nobody owns them, so nobody takes them away."""
    return frozenset((f"f:{name}",) for name, value in config.items() if value == [])


@FEW
@given(OBJECTS, OBJECTS, OBJECTS)
def test_configurations_that_share_nothing_can_be_applied_in_any_order(live: Any, one: Any, two: Any) -> None:
    assume(not one.keys() & two.keys())
    assert _both(live, ("one", one), ("two", two)) == _both(live, ("two", two), ("one", one))


def _both(live: Any, *configs: tuple[str, Any]) -> tuple[Any, Claims]:
    claims: Claims = {}
    for name, config in configs:
        live, claims = applied(live, config, claims, name, force=False)
    return live, claims


@FEW
@given(st.lists(st.tuples(st.sampled_from(["one", "two"]), st.booleans(), OBJECTS), max_size=4))
def test_every_field_has_an_owner_and_every_claim_a_field(steps: list[tuple[str, bool, Any]]) -> None:
    live: Any = {}
    claims: Claims = {}
    for name, applies, value in steps:
        if applies:
            live, claims = applied(live, value, claims, name)
        else:
            live, claims = value, update(live, value, SHAPE, claims=claims, edit=edit(name, UPDATE))
        there, owned_ones = fields_of(live, SHAPE), [claim.fields for claim in claims.values()]
        assert all(owned_ones)
        assert fields_of(filled(live), SHAPE) <= frozenset().union(*owned_ones)
        assert frozenset().union(*owned_ones) <= there | compare(MISSING, live, SHAPE).added
