"""Deleting with dependents: what Kubernetes garbage collection would collect, and a namespace with all in it."""

from dataclasses import replace

import pytest

from outrig.resources import Key, Owner, Resource
from outrig.store.cascade import FOREGROUND, delete_with_dependents, go_on, take_away
from outrig.store.protocol import Conflict, NotFound, Query, Store
from tests.contract.store_making import NOON, create, key, owner_of, resource, update

NAMESPACE = Key("", "Namespace", "", "", "shop")


async def delete_all(store: Store, key: Key, **condition: object) -> list[str]:
    async with store.transaction() as tx:
        return [gone.key.name for gone in await delete_with_dependents(tx, key, **condition)]


async def names(store: Store) -> list[str]:
    return [item.key.name for item in (await store.list(Query())).items]


async def grow(store: Store, **owners: str) -> None:
    """Make resources in the order given, each with the owners named."""
    made: dict[str, Resource] = {}
    for name, its in owners.items():
        (made[name],) = await create(store, resource(name, owners=tuple(owner_of(made[one]) for one in its.split())))


async def test_dependents_go_with_their_last_owner_however_far(store: Store) -> None:
    await grow(store, a="", b="a", c="b", d="b", e="")
    assert await delete_all(store, key("a")) == ["a", "b", "c", "d"]
    assert await names(store) == ["e"]


async def test_a_dependent_with_another_owner_stays(store: Store) -> None:
    await grow(store, a="", b="", c="a b")
    assert await delete_all(store, key("a")) == ["a"]
    assert await delete_all(store, key("b")) == ["b", "c"]


async def test_a_dependent_goes_when_its_other_owner_goes_too(store: Store) -> None:
    await grow(store, a="", c="a", b="a c")
    assert sorted(await delete_all(store, key("a"))) == ["a", "b", "c"]


async def test_an_owner_that_does_not_exist_keeps_nothing(store: Store) -> None:
    (a,) = await create(store, resource("a"))
    absent = Owner(key("absent"), "u", "v1")
    await create(store, resource("b", owners=(owner_of(a), absent)))
    assert await delete_all(store, key("a")) == ["a", "b"]


async def test_an_owner_that_was_made_anew_is_not_the_owner(store: Store) -> None:
    await grow(store, a="", b="")
    outdated = Owner(key("b"), "the uid of an earlier b", "v1")
    a = await store.get(key("a"))
    await create(store, resource("c", owners=(owner_of(a), outdated)))
    assert await delete_all(store, key("a")) == ["a", "c"]


async def test_owners_in_a_circle_end(store: Store) -> None:
    await grow(store, a="", b="a", c="b")
    c = await store.get(key("c"))
    await update(store, replace(await store.get(key("a")), owners=(owner_of(c),)))
    assert await delete_all(store, key("b")) == ["b", "c", "a"]


async def test_a_resource_that_owns_itself_is_deleted_once(store: Store) -> None:
    (a,) = await create(store, resource("a"))
    await update(store, replace(a, owners=(owner_of(a),)))
    assert await delete_all(store, key("a")) == ["a"]


async def test_a_namespace_takes_everything_in_it(store: Store) -> None:
    await grow(store, a="", b="a", c="a b")
    await create(
        store,
        Resource(key("out", namespace="bank"), owners=(owner_of(await store.get(key("b"))),)),
        Resource(key("kept", namespace="bank"), owners=(Owner(NAMESPACE, "another uid", "v1"),)),
    )
    await create(store, Resource(NAMESPACE), Resource(Key("other.group", "Namespace", "", "", "shop")))
    gone = await delete_all(store, NAMESPACE)
    assert gone[0] == "shop"
    assert sorted(gone[1:]) == ["a", "b", "c", "out"]
    assert await names(store) == ["kept", "shop"]


async def test_a_kind_of_another_group_called_namespace_takes_nothing(store: Store) -> None:
    await grow(store, a="")
    false_namespace = Key("other.group", "Namespace", "", "", "shop")
    await create(store, Resource(false_namespace))
    assert await delete_all(store, false_namespace) == ["shop"]


async def test_each_deletion_is_a_change_of_its_own(store: Store) -> None:
    await grow(store, a="", b="a", c="b")
    async with store.transaction() as tx:
        gone = await delete_with_dependents(tx, key("a"))
    assert [last.revision for last in gone] == [4, 5, 6]


async def test_what_is_missing_or_changed_is_refused_before_anything_goes(store: Store) -> None:
    await grow(store, a="", b="a")
    with pytest.raises(NotFound):
        await delete_all(store, key("absent"))
    with pytest.raises(Conflict):
        await delete_all(store, key("a"), uid="another")
    with pytest.raises(Conflict):
        await delete_all(store, key("a"), revision=99)
    assert await names(store) == ["a", "b"]


async def test_a_deletion_that_is_cut_short_takes_nothing_so_that_there_are_no_orphans(store: Store) -> None:
    await grow(store, a="", b="a", c="b")

    async def delete_and_die() -> None:
        async with store.transaction() as tx:
            await delete_with_dependents(tx, key("a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await delete_and_die()
    assert await names(store) == ["a", "b", "c"]
    assert await delete_all(store, key("a")) == ["a", "b", "c"]


async def test_what_is_deleted_in_the_foreground_is_written_once_and_only_where_it_is_held(store: Store) -> None:
    await grow(store, a="", b="a", c="b", d="a")
    held = await update(store, replace(await store.get(key("c")), finalizers=("example.com/cleanup",)))
    async with store.transaction() as tx:
        assert (await take_away(tx, await tx.get(key("a")), now=NOON, policy=FOREGROUND)).deleting == NOON
    left = {item.key.name: item for item in (await store.list(Query())).items}
    assert {name: item.finalizers for name, item in left.items()} == {
        "a": (FOREGROUND,), "b": (FOREGROUND,), "c": held.finalizers,
    }  # fmt: skip
    assert await store.revision() == held.revision + 4
    freed = await update(store, replace(left["c"], finalizers=()))
    async with store.transaction() as tx:
        await go_on(tx, freed, before=left["c"], now=NOON)
    assert await names(store) == []
    assert await store.revision() == freed.revision + 3


async def test_an_owner_that_nobody_knows_keeps_what_names_it(store: Store) -> None:
    (a,) = await create(store, resource("a"))
    unknown = Owner(key("absent"), "u", "v1", unknown=True)
    await create(store, resource("b", owners=(owner_of(a), unknown)))
    assert await delete_all(store, key("a")) == ["a"]
    assert (await store.get(key("b"))).owners == (unknown,)


async def test_a_forced_deletion_forces_nothing_that_waited_for_what_went(store: Store) -> None:
    await grow(store, a="", b="a")
    for name in "ab":
        await update(store, replace(await store.get(key(name)), finalizers=("example.com/cleanup",)))
    async with store.transaction() as tx:
        await take_away(tx, await tx.get(key("a")), now=NOON, policy=FOREGROUND)
    assert await delete_all(store, key("b")) == ["b"]
    assert (await store.get(key("a"))).finalizers == ("example.com/cleanup",)


async def test_a_forced_deletion_takes_what_is_marked_and_held_already(store: Store) -> None:
    await grow(store, a="", b="a")
    held = await update(store, replace(await store.get(key("b")), finalizers=("example.com/cleanup",)))
    async with store.transaction() as tx:
        assert (await take_away(tx, held, now=NOON)).deleting == NOON
    assert await delete_all(store, key("a")) == ["a", "b"]
