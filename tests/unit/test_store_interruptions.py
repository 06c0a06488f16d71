"""A writer that is killed or cancelled leaves all of a transaction or nothing, and a store that works."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from outrig.store.protocol import Store
from outrig.store.sqlite import open_sqlite
from tests.unit.store_file import QUERY, create, on_every_engine, resource


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outrig.db"


WRITER = """
import asyncio, sys
from pathlib import Path
from outrig.resources import Key, Resource
from outrig.store.sqlite import open_sqlite

async def main():
    async with open_sqlite(Path(sys.argv[1])) as store:
        while True:
            start = await store.revision()
            async with store.transaction() as tx:
                for part in "ab":
                    await tx.create(Resource(Key("g", "K", "", "n", f"{start}-{part}"), body={"x": "y" * 3000}))
            print(start + 2, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_process_that_is_killed_leaves_every_commit_it_reported_and_no_half_of_any(path: Path) -> None:
    for kill_after in (1, 3, 10, 20):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        reported = [int(writer.stdout.readline()) for _ in range(kill_after)]
        writer.send_signal(signal.SIGKILL)
        reported += [int(line) for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()
        await check_whole(path, at_least=reported[-1])


async def check_whole(path: Path, *, at_least: int) -> None:
    async with open_sqlite(path) as store:
        listing = await store.list(QUERY)
        revisions = []
        async for batch in store.watch(QUERY, 0):
            revisions += [change.revision for change in batch]
            if revisions[-1] == listing.revision:
                break
    assert listing.revision >= at_least
    assert len(listing.items) == listing.revision
    assert revisions == list(range(1, listing.revision + 1))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    ("event", "statement"),
    [
        ("engine_connect", ""),
        ("before_cursor_execute", "BEGIN IMMEDIATE"),
        ("before_cursor_execute", "INSERT INTO resources"),
        ("before_cursor_execute", "INSERT INTO changes"),
        ("before_cursor_execute", "UPDATE counter"),
        ("after_cursor_execute", "UPDATE counter"),
        ("commit", ""),
        ("rollback", ""),
    ],
)
async def test_a_writer_cancelled_within_any_statement_tears_nothing(path: Path, event: str, statement: str) -> None:
    """Whether the transaction then counts or not: the table, the log and those who watch agree about it."""
    async with open_sqlite(path) as store:
        await create(store, "first")
        batches = store.watch(QUERY, 0)
        seen = [change.revision for change in await anext(batches)]
        writing = asyncio.create_task(write_or_undo(store, undo=event == "rollback"))
        with on_every_engine(event, cancelling(writing, statement)):
            await asyncio.wait([writing])
        assert writing.cancelled()
        revision = await store.revision()
        assert revision in (1, 3)
        assert len((await store.list(QUERY)).items) == revision
        await create(store, "last")
        while seen[-1] <= revision:
            seen += [change.revision for change in await asyncio.wait_for(anext(batches), 10)]
        assert seen == list(range(1, revision + 2))


async def write_or_undo(store: Store, *, undo: bool) -> None:
    async with store.transaction() as tx:
        await tx.create(resource("second"))
        await tx.create(resource("third"))
        if undo:
            raise ZeroDivisionError


def cancelling(task: asyncio.Task[None], statement: str) -> Callable[..., None]:
    """A listener that cancels the task and lets it act on that, while the statement is under way in its thread."""
    loop = asyncio.get_running_loop()

    async def cancel() -> None:
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)

    def listener(*arguments: object) -> None:
        if not statement or statement in str(arguments[2]):
            asyncio.run_coroutine_threadsafe(cancel(), loop).result(10)

    return listener
