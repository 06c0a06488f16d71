"""Who manages the fields of a resource: kept with it, told in the log, and nobody for what is older than that."""

import sqlite3
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

from outrig.resources import Manager
from outrig.store.protocol import Query, Store
from outrig.store.sqlite import open_sqlite
from tests.contract.store_making import NOON, create, key, resource, update

MANAGERS = (
    Manager("kubectl", "Apply", "v1", '{"f:spec":{"v:\\"é\\"":{}}}', time=NOON),
    Manager("", "Update", "networking.istio.io/v1", "{}", subresource="status"),
)


async def test_managers_come_back_as_they_were(store: Store) -> None:
    (made,) = await create(store, resource(managers=MANAGERS))
    assert made.managers == MANAGERS
    assert await store.get(key()) == made
    assert (await store.list(Query())).items == (made,)


async def test_other_managers_are_a_change_but_no_new_generation(store: Store) -> None:
    (made,) = await create(store, resource())
    changed = await update(store, replace(made, managers=MANAGERS))
    assert (changed.revision, changed.generation) == (made.revision + 1, 1)
    assert await update(store, changed) == changed


async def test_the_log_tells_managers(store: Store) -> None:
    await create(store, resource(managers=MANAGERS))
    async with aclosing(store.watch(Query(), 0)) as batches:
        (change,) = await anext(batches)
    assert change.resource.managers == MANAGERS


async def test_what_was_stored_before_managers_were_has_none(tmp_path: Path) -> None:
    path = tmp_path / "outrig.db"
    async with open_sqlite(path) as store:
        (made,) = await create(store, resource())
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("resources", "changes"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN managers")
        for column in ("document_before", "managers_before"):
            database.execute(f"ALTER TABLE changes DROP COLUMN {column}")
        database.execute("UPDATE outrig_schema SET version_num = '0002'")
    async with open_sqlite(path) as store:
        assert await store.get(key()) == made
        assert (await update(store, replace(made, managers=MANAGERS))).managers == MANAGERS
