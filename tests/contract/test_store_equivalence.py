"""Any sequence of operations gives the same answers from every store."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from outrig.errors import OutrigError
from outrig.resources import Key, Owner, Resource
from outrig.store.cascade import delete_with_dependents
from outrig.store.protocol import Query, Replica, Store, Transaction
from tests.contract.conftest import Opener, open_memory, open_postgres_on, open_sqlite_in
from tests.contract.store_making import NOON, identity
from tests.postgres_server import Server

KEEP = 12
KEYS = st.builds(
    Key,
    st.sampled_from(["", "g"]),
    st.sampled_from(["Namespace", "K"]),
    st.sampled_from(["", "m"]),
    st.sampled_from(["", "n"]),
    st.sampled_from(["n", "o"]),
)
LABELS = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"]))
BODIES = st.sampled_from([{}, {"spec": 1}, {"spec": 1.0}, {"spec": True}, {"spec": {"x": [None, "é"]}}])
QUERIES = st.builds(
    Query,
    kinds=st.sampled_from([(), (("g", "K"),), (("", "Namespace"), ("g", "K"))]),
    mesh=st.sampled_from([None, "", "m"]),
    namespace=st.sampled_from([None, "", "n"]),
    labels=LABELS,
)
TIMES = st.integers(-2, 2).map(lambda seconds: NOON + timedelta(seconds=seconds))
REVISIONS = st.just(0) | st.integers(0, 30)
NAMES = st.sampled_from(["x", "y", "z"])


class Undo(Exception):
    pass


def anonymous(value: Any, uids: dict[str, str]) -> Any:
    """The same answer, with the random uids by order of appearance and no creation times."""
    if isinstance(value, tuple):
        return tuple(anonymous(part, uids) for part in value)
    if isinstance(value, Resource):
        uid = uids.setdefault(value.uid, f"uid-{len(uids)}")
        owners = tuple(replace(owner, uid=uids.get(owner.uid, owner.uid)) for owner in value.owners)
        return repr(replace(value, uid=uid, owners=owners, created=None))
    return value


class Twins(RuleBasedStateMachine):
    """Each rule does the same to every store and compares what they answer."""

    def __init__(self, openers: Sequence[Opener]) -> None:
        super().__init__()
        self.openers = openers

    @initialize()
    def open(self) -> None:
        self.loop = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.uids: list[dict[str, str]] = [{} for _ in self.openers]
        self.stores: list[Store] = self.loop.run(self.open_all())

    async def open_all(self) -> list[Store]:
        directory = Path(self.directory.name)
        return [await self.stack.enter_async_context(opener(directory, keep_changes=KEEP)) for opener in self.openers]

    def teardown(self) -> None:
        self.loop.run(self.stack.aclose())
        self.loop.close()
        self.directory.cleanup()

    def same(self, ask: Callable[[Store], Coroutine[Any, Any, Any]]) -> None:
        answers = [
            anonymous(self.loop.run(answer(ask(store))), uids)
            for store, uids in zip(self.stores, self.uids, strict=True)
        ]
        assert all(one == answers[0] for one in answers), answers

    def same_in_transaction(
        self, work: Callable[[Transaction], Coroutine[Any, Any, Any]], *, undo: bool = False
    ) -> None:
        async def run(store: Store) -> Any:
            results = []
            with suppress(Undo):
                async with store.transaction() as tx:
                    results.append(await answer(work(tx)))
                    if undo:
                        raise Undo
            return results[0]

        self.same(run)

    @rule(key=KEYS, body=BODIES, labels=LABELS, undo=st.booleans())
    def create(self, key: Key, body: Any, labels: Any, undo: bool) -> None:
        self.same_in_transaction(lambda tx: tx.create(Resource(key, body=body, labels=labels)), undo=undo)

    @rule(key=KEYS, owner=KEYS, body=BODIES)
    def create_owned(self, key: Key, owner: Key, body: Any) -> None:
        async def work(tx: Transaction) -> Resource:
            found = await tx.get(owner)
            owners = (Owner(owner, found.uid if found else "nobody", "v1"),)
            return await tx.create(Resource(key, body=body, owners=owners))

        self.same_in_transaction(work)

    @rule(key=KEYS, body=BODIES, labels=LABELS, revision=REVISIONS, undo=st.booleans())
    def update(self, key: Key, body: Any, labels: Any, revision: int, undo: bool) -> None:
        wanted = Resource(key, body=body, labels=labels, revision=revision)
        self.same_in_transaction(lambda tx: tx.update(wanted), undo=undo)

    @rule(key=KEYS, status=BODIES)
    def update_status(self, key: Key, status: Any) -> None:
        async def work(tx: Transaction) -> Resource | None:
            found = await tx.get(key)
            return await tx.update(replace(found, status=status)) if found else None

        self.same_in_transaction(work)

    @rule(key=KEYS, revision=REVISIONS, uid=st.sampled_from(["", "", "wrong"]))
    def delete(self, key: Key, revision: int, uid: str) -> None:
        self.same_in_transaction(lambda tx: tx.delete(key, uid=uid, revision=revision))

    @rule(key=KEYS, undo=st.booleans())
    def delete_with_dependents(self, key: Key, undo: bool) -> None:
        self.same_in_transaction(lambda tx: delete_with_dependents(tx, key), undo=undo)

    @rule(key=KEYS)
    def owned(self, key: Key) -> None:
        async def work(tx: Transaction) -> Any:
            found = await tx.get(key)
            return await tx.owned_by(found.uid) if found else None

        self.same_in_transaction(work)

    @rule(query=QUERIES)
    def find(self, query: Query) -> None:
        async def work(store: Store) -> Any:
            listing = await store.list(query)
            return listing.items, listing.revision

        self.same(work)
        self.same_in_transaction(lambda tx: tx.list(query))

    @rule(query=QUERIES, after=st.integers(-1, 30))
    def replay(self, query: Query, after: int) -> None:
        async def work(store: Store) -> Any:
            # A change that every query here fits ends the replay, so it need not be waited for.
            revision = await store.revision()
            changes = [change async for change in replayed(store, query, after=after, until=revision)]
            return tuple((change.type, change.resource, change.before) for change in changes)

        self.same(lambda store: answer(work(store)))

    @rule(query=QUERIES, revision=st.integers(-1, 30))
    def find_at(self, query: Query, revision: int) -> None:
        async def work(store: Store) -> Any:
            listing = await store.list_at(query, revision)
            return listing.items, listing.revision

        self.same(lambda store: answer(work(store)))

    @rule(nonce=NAMES, expires=TIMES)
    def add_nonce(self, nonce: str, expires: Any) -> None:
        self.same_in_transaction(lambda tx: tx.add_nonce(nonce, expires))

    @rule(nonce=NAMES, now=TIMES, undo=st.booleans())
    def consume_nonce(self, nonce: str, now: Any, undo: bool) -> None:
        self.same_in_transaction(lambda tx: tx.consume_nonce(nonce, now), undo=undo)

    @rule(digest=NAMES, task=NAMES, key_hash=NAMES, not_after=TIMES, undo=st.booleans())
    def add_identity(self, digest: str, task: str, key_hash: str, not_after: Any, undo: bool) -> None:
        issued = identity(digest, registration=task, task=task, key_hash=key_hash, not_after=not_after)
        self.same_in_transaction(lambda tx: tx.add_identity(issued), undo=undo)

    @rule(name=NAMES, now=TIMES)
    def find_identities(self, name: str, now: Any) -> None:
        async def work(tx: Transaction) -> Any:
            return await tx.identities(name), await tx.issued_to(name, now), await tx.issued_for(name, now)

        self.same_in_transaction(work)

    @rule(now=TIMES)
    def prune(self, now: Any) -> None:
        self.same_in_transaction(lambda tx: tx.prune(now))

    @rule(replica=NAMES, started=TIMES, expires=TIMES)
    def beat(self, replica: str, started: Any, expires: Any) -> None:
        self.same(lambda store: store.beat(Replica(replica, started, expires)))

    @rule(now=TIMES)
    def replicas(self, now: Any) -> None:
        self.same(lambda store: store.replicas(now))

    @rule(replica=NAMES)
    def leave(self, replica: str) -> None:
        self.same(lambda store: store.leave(replica))

    @rule(duty=NAMES, holder=NAMES, until=TIMES, now=TIMES)
    def hold(self, duty: str, holder: str, until: Any, now: Any) -> None:
        self.same(lambda store: store.hold(duty, holder, until, now))

    @invariant()
    def same_revision(self) -> None:
        if hasattr(self, "stores"):
            self.same(lambda store: store.revision())


async def answer(work: Coroutine[Any, Any, Any]) -> Any:
    """What it gives; a refusal by its class, for its words may hold uids."""
    try:
        return await work
    except OutrigError as refusal:
        return type(refusal)


async def replayed(store: Store, query: Query, *, after: int, until: int) -> AsyncIterator[Any]:
    """What the log holds after a revision; whether it reaches there is asked without a filter first."""
    if after == until:
        return
    async with aclosing(store.watch(Query(), after)) as batches:
        everything = await anext(batches)
    fitting = [change for change in everything if query.fits(change.resource)]
    if not fitting:
        return
    async with aclosing(store.watch(query, after)) as batches:
        for change in await anext(batches):
            yield change


@pytest.mark.slow
def test_all_stores_answer_alike(postgres: Server) -> None:
    def on_server(_directory: Path, *, keep_changes: int) -> Any:
        return open_postgres_on(postgres, keep_changes=keep_changes)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        partial(Twins, [open_memory, open_sqlite_in, on_server]),
        settings=settings(
            max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
