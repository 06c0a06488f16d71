"""Reading and writing resources: keys, uids, revisions, generations, and that nobody shares a dict with the store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import AlreadyExists, Conflict, NotFound, Query, Store
from tests.contract.store_making import create, delete, key, resource, update

FULL = Resource(
    key=Key("networking.istio.io", "Sidecar", "", "shop", "web"),
    body={"spec": {"ingress": [{"port": {"number": 9080}}], "empty": {}, "none": None, "on": True}, "extra": []},
    status={"conditions": [{"type": "Ready", "status": "True"}]},
    labels={"app": "web", "größe": "ж"},
    annotations={"note": "line\nbreak"},
    owners=(Owner(Key("", "Namespace", "", "", "shop"), "u-1", "v1", controller=False),),
    finalizers=("outrig.io/one", "outrig.io/two"),
    deleting=datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
)


async def test_what_is_created_can_be_read_back_whole(store: Store) -> None:
    (made,) = await create(store, FULL)
    assert await store.get(FULL.key) == made
    assert made == replace(FULL, uid=made.uid, generation=1, revision=1, created=made.created)


async def test_a_missing_resource_is_none(store: Store) -> None:
    assert await store.get(key()) is None
    async with store.transaction() as tx:
        assert await tx.get(key()) is None


async def test_the_store_gives_uid_creation_time_generation_and_revision_itself(store: Store) -> None:
    before = datetime.now(UTC)
    lies = {"uid": "mine", "generation": 9, "revision": 99, "created": datetime(1999, 1, 1, tzinfo=UTC)}
    one, two = await create(store, resource("a", **lies), resource("b"))
    assert {one.uid, two.uid}.isdisjoint({"", "mine"})
    assert one.uid != two.uid
    assert (one.generation, one.revision, two.revision) == (1, 1, 2)
    assert one.created is not None
    assert before <= one.created <= datetime.now(UTC)


async def test_creating_a_taken_key_is_refused_and_changes_nothing(store: Store) -> None:
    (made,) = await create(store, resource())
    with pytest.raises(AlreadyExists, match="Sidecar shop/a"):
        await create(store, resource(body={"spec": {"x": 2}}))
    assert await store.get(key()) == made
    assert await store.revision() == 1


async def test_a_refusal_may_be_caught_and_the_transaction_go_on(store: Store) -> None:
    await create(store, resource())
    async with store.transaction() as tx:
        with pytest.raises(AlreadyExists):
            await tx.create(resource())
        with pytest.raises(NotFound):
            await tx.update(resource("missing"))
        with pytest.raises(Conflict):
            await tx.delete(key(), revision=99)
        await tx.create(resource("b"))
    assert [(item.key.name, item.revision) for item in (await store.list(Query())).items] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("part", ["group", "kind", "mesh", "namespace", "name"])
async def test_each_part_of_the_key_tells_resources_apart(store: Store, part: str) -> None:
    other = replace(resource(), key=replace(key(), **{part: "other"}))
    await create(store, resource(), other)
    assert len((await store.list(Query())).items) == 2


async def test_a_key_is_free_again_after_deletion_with_another_uid(store: Store) -> None:
    (first,) = await create(store, resource())
    await delete(store, key())
    (second,) = await create(store, resource())
    assert second.uid != first.uid
    assert (second.generation, second.revision) == (1, 3)


async def test_an_update_of_the_body_grows_generation_and_revision(store: Store) -> None:
    (made,) = await create(store, resource())
    changed = await update(store, replace(made, body={"spec": {"x": 2}}))
    assert changed == replace(made, body={"spec": {"x": 2}}, generation=2, revision=2)
    assert await store.get(key()) == changed


async def test_the_mark_of_deletion_grows_the_generation_once(store: Store) -> None:
    (made,) = await create(store, resource())
    marked = await update(store, replace(made, deleting=datetime(2030, 1, 1, tzinfo=UTC)))
    changed = await update(store, replace(marked, labels={"app": "web"}))
    assert (marked.generation, changed.generation) == (2, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"ready": True}},
        {"labels": {"app": "web"}},
        {"annotations": {"note": "x"}},
        {"finalizers": ("outrig.io/x",)},
        {"owners": (Owner(key("o"), "u", "v1"),)},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_is_not_the_body_grows_the_revision_only(store: Store, change: dict[str, object]) -> None:
    (made,) = await create(store, resource())
    changed = await update(store, replace(made, **change))
    assert changed == replace(made, revision=2, **change)


async def test_an_update_that_changes_nothing_keeps_the_revision(store: Store) -> None:
    (made,) = await create(store, FULL)
    assert await update(store, made) == made
    assert await update(store, replace(FULL, uid="", generation=77, created=None)) == made
    assert await store.revision() == 1


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), (0.0, -0.0), ("1", 1), ([], {}), (None, 0)])
async def test_values_that_only_python_holds_equal_are_a_change(store: Store, old: object, new: object) -> None:
    (made,) = await create(store, resource(body={"spec": [{"value": old}]}))
    changed = await update(store, replace(made, body={"spec": [{"value": new}]}))
    assert changed.generation == 2
    assert repr(changed.body) == repr({"spec": [{"value": new}]})


async def test_the_order_of_fields_is_no_change(store: Store) -> None:
    (made,) = await create(store, resource(body={"spec": {"a": 1, "b": 2}}))
    assert await update(store, replace(made, body={"spec": {"b": 2, "a": 1}})) == made


async def test_updating_what_is_missing_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="Sidecar shop/a"):
        await update(store, resource())


async def test_an_update_from_an_old_revision_is_refused(store: Store) -> None:
    (made,) = await create(store, resource())
    await update(store, replace(made, body={"spec": {"x": 2}}))
    with pytest.raises(Conflict):
        await update(store, replace(made, body={"spec": {"x": 3}}))
    assert (await store.get(key())).body == {"spec": {"x": 2}}


async def test_an_update_of_another_uid_is_refused(store: Store) -> None:
    await create(store, resource())
    with pytest.raises(Conflict):
        await update(store, resource(uid="another"))


async def test_revision_zero_and_no_uid_update_whatever_is_there(store: Store) -> None:
    (made,) = await create(store, resource())
    changed = await update(store, resource(body={"spec": {"x": 2}}))
    assert (changed.uid, changed.created, changed.revision) == (made.uid, made.created, 2)


async def test_deleting_gives_the_last_state_with_the_deletions_revision(store: Store) -> None:
    (made,) = await create(store, FULL)
    assert await delete(store, FULL.key) == replace(made, revision=2)
    assert await store.get(FULL.key) is None
    assert await store.revision() == 2


async def test_deleting_what_is_missing_is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        await delete(store, key())


@pytest.mark.parametrize("condition", [{"uid": "another"}, {"revision": 99}])
async def test_deleting_another_uid_or_revision_is_refused(store: Store, condition: dict[str, object]) -> None:
    (made,) = await create(store, resource())
    with pytest.raises(Conflict):
        async with store.transaction() as tx:
            await tx.delete(key(), **condition)
    assert await store.get(key()) == made


async def test_deleting_with_the_right_uid_and_revision_deletes(store: Store) -> None:
    (made,) = await create(store, resource())
    async with store.transaction() as tx:
        await tx.delete(key(), uid=made.uid, revision=made.revision)
    assert await store.get(key()) is None


async def test_a_list_is_ordered_by_key_and_names_its_revision(store: Store) -> None:
    keys = [
        Key(group, kind, mesh, namespace, name)
        for group in ("", "g")
        for kind in ("B", "a")
        for mesh in ("", "default")
        for namespace in ("", "shop", "é", "\U0001f600", "\uffff")
        for name in ("x", "X", "x-1")
    ]
    await create(store, *(Resource(one) for one in reversed(keys)))
    listing = await store.list(Query())
    assert [item.key for item in listing.items] == sorted(keys)
    assert listing.revision == len(keys)
    async with store.transaction() as tx:
        assert await tx.list(Query()) == listing.items


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(), "a b c d"),
        (Query(kinds=(("g", "K"),)), "a b"),
        (Query(kinds=(("g", "K"), ("", "Namespace"))), "a b c"),
        (Query(kinds=(("", "K"),)), ""),
        (Query(namespace="shop"), "a"),
        (Query(namespace=""), "c d"),
        (Query(mesh="default"), "d"),
        (Query(mesh=""), "a b c"),
        (Query(labels={"app": "web"}), "a d"),
        (Query(labels={"app": "web", "tier": "1"}), "d"),
        (Query(kinds=(("g", "K"),), namespace="shop", labels={"app": "web"}), "a"),
        (Query(kinds=(("g", "K"),), namespace="shop", labels={"app": "db"}), ""),
    ],
)
async def test_a_query_finds_what_fits_every_part(store: Store, query: Query, names: str) -> None:
    await create(
        store,
        Resource(Key("g", "K", "", "shop", "a"), labels={"app": "web"}),
        Resource(Key("g", "K", "", "bank", "b"), labels={"app": "db"}),
        Resource(Key("", "Namespace", "", "", "c")),
        Resource(Key("k", "Mesh", "default", "", "d"), labels={"app": "web", "tier": "1"}),
    )
    found = (await store.list(query)).items
    assert sorted(item.key.name for item in found) == names.split()
    async with store.transaction() as tx:
        assert await tx.list(query) == found


async def test_owned_by_finds_the_resources_with_an_owner_of_that_uid(store: Store) -> None:
    def owned(*uids: str) -> tuple[Owner, ...]:
        return tuple(Owner(key("o"), uid, "v1") for uid in uids)

    await create(store, resource("c", owners=owned("u1", "u1")), resource("a", owners=owned("u2", "u1")), resource("b"))
    async with store.transaction() as tx:
        assert [item.key.name for item in await tx.owned_by("u1")] == ["a", "c"]
        assert [item.key.name for item in await tx.owned_by("u2")] == ["a"]
        await tx.update(resource("a", owners=owned("u3")))
        await tx.delete(key("c"))
        assert await tx.owned_by("u1") == ()
        assert [item.key.name for item in await tx.owned_by("u3")] == ["a"]
        assert await tx.owned_by("nobody") == ()


async def test_changing_what_one_was_given_does_not_change_the_store(store: Store) -> None:
    given = resource(body={"spec": {"list": [1]}}, labels={"a": "1"}, status={"s": {}}, annotations={"n": "1"})
    (made,) = await create(store, given)
    kept = (await store.get(key())).body
    async with store.transaction() as tx:
        inside = [await tx.get(key()), *await tx.list(Query()), await tx.update(given)]
    outside = [await store.get(key()), *(await store.list(Query())).items]
    for copy in (given, made, *inside, *outside):
        copy.body["spec"]["list"].append(2)
        copy.labels["a"] = "2"
        copy.status["s"]["x"] = 1
        copy.annotations.clear()
    again = await store.get(key())
    assert (again.body, again.labels, again.status, again.annotations) == (kept, {"a": "1"}, {"s": {}}, {"n": "1"})


async def test_times_are_kept_to_the_microsecond_and_given_in_utc(store: Store) -> None:
    elsewhere = datetime(2030, 1, 1, 12, 0, 0, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    (made,) = await create(store, resource(deleting=elsewhere))
    read = await store.get(key())
    for version in (made, read):
        assert version.deleting == elsewhere
        assert version.deleting.tzinfo is UTC
        assert version.created.tzinfo is UTC
    assert await update(store, replace(read, deleting=elsewhere)) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"deleting": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"body": {"spec": float("nan")}},
        {"body": {"spec": float("inf")}},
        {"body": {"spec": {1, 2}}},
        {"status": {"spec": b"bytes"}},
    ],
)
async def test_what_is_no_json_or_has_no_zone_is_refused_whole(store: Store, wrong: dict[str, object]) -> None:
    (made,) = await create(store, resource())
    with pytest.raises((TypeError, ValueError)):
        await create(store, resource("b", **wrong))
    with pytest.raises((TypeError, ValueError)):
        await update(store, replace(made, **wrong))
    assert (await store.list(Query())).items == (made,)
    assert await store.revision() == 1
