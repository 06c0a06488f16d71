"""The stores that the contract holds to the protocol. A further store is one more entry in `STORES`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from outrig.store.memory import MemoryStore
from outrig.store.protocol import Store
from outrig.store.sqlite import open_sqlite

Opener = Callable[..., AbstractAsyncContextManager[Store]]
"""Opens an empty store; takes `keep_changes`."""


@asynccontextmanager
async def open_memory(_directory: Path, *, keep_changes: int = 10_000) -> AsyncIterator[Store]:
    yield MemoryStore(keep_changes=keep_changes)


def open_sqlite_in(directory: Path, *, keep_changes: int = 10_000) -> AbstractAsyncContextManager[Store]:
    return open_sqlite(directory / "outrig.db", keep_changes=keep_changes)


STORES = {"memory": open_memory, "sqlite": open_sqlite_in}


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return partial(STORES[request.param], tmp_path)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(opener())
