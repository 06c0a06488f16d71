"""Brings the tables of a database up to what this code needs, by the migrations that lie beside it.

In: a connection with a writing transaction begun; the caller commits. Running it twice is as running it once.
Refuses a database that a newer version has migrated: `Unavailable`, nothing changed.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from outrig.store.protocol import Unavailable

VERSION_TABLE = "outrig_schema"
"""Where the database notes its schema; the name also tells a database of ours from another program's."""


def migrate(connection: sa.Connection, *, place: str) -> None:
    """Upgrade the schema to the newest. `place` names the database in errors."""
    config = _config(connection)
    script = ScriptDirectory.from_config(config)
    present = set(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads())
    unknown = present - {step.revision for step in script.walk_revisions()}
    if unknown:
        problem = f"its schema {', '.join(sorted(unknown))} is newer than this version of Outrig knows"
        raise Unavailable(place, problem, "run the version that wrote it or a newer one, or restore a backup")
    if present != set(script.get_heads()):
        command.upgrade(config, "head")


def _config(connection: sa.Connection) -> Config:
    config = Config()
    directory = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", directory.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
