"""Run by alembic: applies the steps on the connection that `schema.migrate` was given, within its transaction."""

from alembic import context

from outrig.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
