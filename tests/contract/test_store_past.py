"""A list as it was at a revision, as far back as the log reaches."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from outrig.resources import Resource
from outrig.store.protocol import Gone, Query, Store
from outrig.store.sqlite import open_sqlite
from tests.contract.conftest import Opener
from tests.contract.store_making import create, delete, key, resource, seen, update
from tests.contract.test_store_managers import MANAGERS

WEB = Query(kinds=(("networking.istio.io", "Sidecar"),), labels={"app": "web"})


async def test_every_state_of_the_past_is_listed_as_it_was(store: Store) -> None:
    states = {0: await store.list(Query())}
    selected = {0: await store.list(WEB)}

    async def note() -> None:
        listing = await store.list(Query())
        states[listing.revision], selected[listing.revision] = listing, await store.list(WEB)

    await create(store, resource("a", labels={"app": "web"}, managers=MANAGERS), resource("b"))
    await note()
    for change in ({"labels": {"app": "db"}}, {"body": {"spec": {"x": 2}}}, {"labels": {"app": "web"}}):
        await update(store, resource("a", **change))
        await note()
    await delete(store, key("a"))
    await note()
    await create(store, resource("a", labels={"app": "web"}), resource("c", kind="Other", labels={"app": "web"}))
    await note()
    assert {revision: await store.list_at(Query(), revision) for revision in states} == states
    assert {revision: await store.list_at(WEB, revision) for revision in selected} == selected


async def test_a_state_between_the_changes_of_a_transaction_is_listed_too(store: Store) -> None:
    made = await create(store, resource("a"), resource("b"), resource("c"))
    assert [(await store.list_at(Query(), revision)).items for revision in range(4)] == [
        tuple(made[:number]) for number in range(4)
    ]


@pytest.mark.parametrize("revision", [-1, 2, 1_000])
async def test_a_state_that_never_was_is_gone(store: Store, revision: int) -> None:
    await create(store, resource())
    with pytest.raises(Gone):
        await store.list_at(Query(), revision)


async def test_a_state_of_another_history_is_gone(store: Store) -> None:
    await create(store, resource())
    assert len((await store.list_at(Query(), 1, epoch=await store.epoch())).items) == 1
    with pytest.raises(Gone, match="history"):
        await store.list_at(Query(), 1, epoch="another")


async def test_a_state_that_the_log_does_not_reach_is_gone(opener: Opener) -> None:
    async with opener(keep_changes=3) as store:
        for number in range(6):
            await create(store, resource(str(number)))
        assert len((await store.list_at(Query(), 3)).items) == 3
        with pytest.raises(Gone, match="begins after 3"):
            await store.list_at(Query(), 2)


async def test_a_listed_past_is_the_callers_own(store: Store) -> None:
    (made,) = await create(store, resource(body={"spec": {"x": [1]}}))
    await update(store, replace(made, body={"spec": {}}))
    for revision in (1, 2):
        (found,) = (await store.list_at(Query(), revision)).items
        spoil(found)
    assert (await store.list_at(Query(), 1)).items == (made,)
    assert (await store.list(Query())).items[0].body == {"spec": {}}


def spoil(found: Resource) -> None:
    found.body["spec"]["x"] = 5


async def test_of_changes_logged_by_a_version_that_did_not_note_it_the_past_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "outrig.db"
    async with open_sqlite(path) as store:
        (made,) = await create(store, resource("old"))
        await update(store, replace(made, body={"spec": {}}))
    with closing(sqlite3.connect(path)) as database, database:
        for column in ("document_before", "managers_before"):
            database.execute(f"ALTER TABLE changes DROP COLUMN {column}")
        database.execute("UPDATE outrig_schema SET version_num = '0003'")
    async with open_sqlite(path) as store:
        (new,) = await create(store, resource("new"))
        await update(store, replace(new, body={"spec": {}}))
        assert [change.before for change in await seen(store, 4)] == [None, None, None, new]
        assert len((await store.list_at(Query(), 2)).items) == 1
        with pytest.raises(Gone, match="not noted"):
            await store.list_at(Query(), 1)
