"""Several stores on one database: every change reaches the watchers of each, in order, whatever is lost between."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outrig.resources import Key, Resource
from outrig.store.postgres import open_postgres
from outrig.store.protocol import Query, Store
from outrig.store.settings import PostgresSettings
from tests.contract.store_making import MINUTE, NOON, Watcher, collecting, create, delete, key, resource, update
from tests.postgres_server import Server
from tests.postgres_wire import wire_to

pytestmark = pytest.mark.slow


@pytest.fixture
async def settings(postgres: Server) -> AsyncIterator[PostgresSettings]:
    async with postgres.database() as made:
        yield made


async def mixed(store: Store, prefix: str, rounds: int) -> None:
    """Five changes a round but for the last: creations, updates, one of two in a transaction, a deletion."""
    for number in range(rounds):
        name = f"{prefix}-{number}"
        await create(store, resource(name))
        await update(store, resource(name, body={"spec": number}))
        async with store.transaction() as tx:
            await tx.create(resource(f"{name}-pair"))
            await tx.update(resource(name, labels={"n": name}))
        await delete(store, key(name))


async def check(store: Store, *watchers: Watcher) -> int:
    """Every watcher saw every change, in order, and what they lead to is what there is."""
    listing = await store.list(Query())
    seen = [await watcher.wait_for(listing.revision) for watcher in watchers]
    for changes in seen:
        assert [change.revision for change in changes] == list(range(1, listing.revision + 1))
        assert changes == seen[0]
    there: dict[Key, Resource] = {}
    for change in seen[0]:
        there[change.resource.key] = change.resource
        if change.type == "DELETED":
            del there[change.resource.key]
    assert there == {item.key: item for item in listing.items}
    return listing.revision


async def test_a_thousand_mixed_writes_of_two_replicas_reach_a_watcher_on_each(settings: PostgresSettings) -> None:
    async with (
        open_postgres(settings) as one,
        open_postgres(settings) as two,
        collecting(one) as first,
        collecting(two) as second,
    ):
        await asyncio.gather(mixed(one, "one", 100), mixed(two, "two", 100))
        assert await check(one, first, second) == 1_000


async def test_they_do_so_when_every_notification_is_lost(postgres: Server, settings: PostgresSettings) -> None:
    async with wire_to(postgres.process.port) as wire:
        wire.deaf = True
        deaf = postgres.through(settings, wire.port)
        async with (
            open_postgres(deaf, sweep=0.05) as one,
            open_postgres(deaf, sweep=0.05) as two,
            collecting(one) as first,
            collecting(two) as second,
        ):
            await asyncio.gather(mixed(one, "one", 100), mixed(two, "two", 100))
            assert await check(two, first, second) == 1_000
            assert wire.swallowed


async def test_they_do_so_when_connections_are_cut_again_and_again(
    postgres: Server, settings: PostgresSettings
) -> None:
    async with (
        wire_to(postgres.process.port) as wire,
        open_postgres(postgres.through(settings, wire.port)) as cut,
        open_postgres(settings) as other,
        collecting(cut) as first,
        collecting(other) as second,
    ):
        writing = asyncio.create_task(mixed(other, "other", 100))
        while not writing.done():
            wire.cut()
            await first.wait_for(min(len(first.changes) + 40, 500))
            await asyncio.sleep(0)  # once all are seen nothing is waited for; the writer has an answer to read
        await writing
        assert await check(other, first, second) == 500


REPLICA = """
import asyncio, sys
from outrig.store.postgres import open_postgres
from outrig.store.settings import PostgresSettings
from tests.contract.test_postgres_replicas import mixed

async def main():
    port, password, database = sys.argv[1:]
    settings = PostgresSettings(port=int(port), user="postgres", password=password, database=database)
    async with open_postgres(settings) as store:
        print("ready", flush=True)
        await mixed(store, "other", 10_000)

asyncio.run(main())
"""


async def test_a_replica_killed_midway_loses_nothing_that_was_committed(settings: PostgresSettings) -> None:
    async with open_postgres(settings) as store, collecting(store) as watcher:
        other = subprocess.Popen(
            [sys.executable, "-c", REPLICA, str(settings.port), settings.password, settings.database],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert other.stdout is not None
            await asyncio.to_thread(other.stdout.readline)
            writing = asyncio.create_task(mixed(store, "own", 100))
            await watcher.wait_for(300)
            other.send_signal(signal.SIGKILL)
            await writing
            assert await check(store, watcher) > 500
            assert any(change.resource.key.name.startswith("other") for change in watcher.changes)
        finally:
            other.kill()
            await asyncio.to_thread(other.communicate)


async def test_a_transaction_sees_all_that_the_others_committed_before_it(settings: PostgresSettings) -> None:
    """So a decision made in it, such as one live key per task, holds over all replicas."""
    async with open_postgres(settings) as one, open_postgres(settings) as two:
        await create(one, resource(body={"spec": 0}))

        async def increment(store: Store) -> None:
            async with store.transaction() as tx:
                found = await tx.get(key())
                assert found is not None
                await tx.update(Resource(found.key, body={"spec": found.body["spec"] + 1}, revision=found.revision))

        await asyncio.gather(*(increment(store) for store in (one, two) for _ in range(20)))
        counted = await one.get(key())
        assert counted is not None
        assert counted.body == {"spec": 40}


async def test_a_nonce_is_consumed_by_one_replica(settings: PostgresSettings) -> None:
    async with open_postgres(settings) as one, open_postgres(settings) as two:
        async with one.transaction() as tx:
            await tx.add_nonce("n", NOON)

        async def consume(store: Store) -> bool:
            async with store.transaction() as tx:
                return await tx.consume_nonce("n", NOON - MINUTE)

        assert sum(await asyncio.gather(*(consume(store) for store in (one, two) for _ in range(10)))) == 1


async def test_of_two_replicas_that_ask_at_once_one_gets_the_duty(settings: PostgresSettings) -> None:
    async with open_postgres(settings) as one, open_postgres(settings) as two:
        for number in range(20):
            asking = (
                store.hold(f"duty {number}", name, NOON, NOON - MINUTE) for name, store in (("one", one), ("two", two))
            )
            assert sum(await asyncio.gather(*asking)) == 1
