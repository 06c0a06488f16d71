"""Brings the tables of a database up to what this code needs, by the migrations that lie beside it.

In: a connection with a writing transaction begun; the caller commits. Running it twice is as running it once.
Refuses a database that a newer version has migrated, and one whose tables are not those of the schema that it notes:
`Unavailable`, nothing changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from outrig.store.protocol import Unavailable
from outrig.store.tables import metadata

_RESTORE = "somebody has changed it by hand: restore a backup"
VERSION_TABLE = "outrig_schema"
"""Where the database notes its schema; the name also tells a database of ours from another program's."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The schema before and after; before the first one it is empty."""

    before: str
    after: str


def migrate(connection: sa.Connection, *, place: str) -> Migration:
    """Upgrade the schema to the newest. `place` names the database in errors. Raises Unavailable."""
    config = _config(connection)
    present, newest = _versions(connection, config, place)
    if present != newest:
        with _matching(present, place):
            command.upgrade(config, "head")
    return Migration(present, newest)


def require_migrated(connection: sa.Connection, *, place: str) -> None:
    """Raises Unavailable unless the schema is the one this code needs."""
    present, newest = _versions(connection, _config(connection), place)
    if not present and (strange := sorted(metadata.tables.keys() & set(sa.inspect(connection).get_table_names()))):
        problem = f"it holds tables of another program: {', '.join(strange)}"
        raise Unavailable(place, problem, "give Outrig a database of its own")
    if present != newest:
        problem = (
            f"its schema is {present}, this version of Outrig needs {newest}" if present else "it has no tables yet"
        )
        raise Unavailable(place, problem, "run `outrig cp migrate up` with the same settings first")


def _versions(connection: sa.Connection, config: Config, place: str) -> tuple[str, str]:
    """The schema there is and the newest one that is known."""
    script = ScriptDirectory.from_config(config)
    newest = script.get_current_head() or ""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    noted = context.get_current_heads()
    if len(noted) > 1:
        raise Unavailable(
            place, f"its table {VERSION_TABLE} notes several schemas: {', '.join(sorted(noted))}", _RESTORE
        )
    present = "".join(noted)
    if present and present not in {step.revision for step in script.walk_revisions()}:
        problem = f"its schema {present} is newer than this version of Outrig knows"
        raise Unavailable(place, problem, "run the version that wrote it or a newer one, or restore a backup")
    return present, newest


@contextmanager
def _matching(present: str, place: str) -> Iterator[None]:
    """A migration whose statements the database finds wrong met other tables than it was written for."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        state, name = (str(getattr(error.orig, field, None) or "") for field in ("sqlstate", "sqlite_errorname"))
        if not present or not (name == "SQLITE_ERROR" or (state[:2] == "42" and state != "42501")):
            raise
        problem = f"its tables are not those of schema {present}, which it notes: {_first_line(error)}"
        raise Unavailable(place, problem, _RESTORE) from None


def _first_line(error: sa.exc.DBAPIError) -> str:
    """What the database said, without the driver's words before it."""
    cause = error.orig
    return str(getattr(cause, "__cause__", None) or cause).partition("\n")[0]


def _config(connection: sa.Connection) -> Config:
    config = Config()
    directory = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", directory.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
