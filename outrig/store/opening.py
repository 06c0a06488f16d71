"""Opens whichever store the settings name.

In: the path of a SQLite file, or how a PostgreSQL database is reached. Out: a store, for as long as the context lasts.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from outrig.store.protocol import Store
from outrig.store.settings import PostgresSettings


def open_store(where: Path | PostgresSettings) -> AbstractAsyncContextManager[Store]:
    """Raises Unavailable on entering; each driver is imported only where it is used."""
    if isinstance(where, PostgresSettings):
        from outrig.store.postgres import open_postgres

        return open_postgres(where)
    from outrig.store.sqlite import open_sqlite

    return open_sqlite(where)
