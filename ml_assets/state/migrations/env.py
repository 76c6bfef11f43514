"""What Alembic runs: the revisions, in the connection that it is given."""

from alembic import context

from ml_assets.state.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
