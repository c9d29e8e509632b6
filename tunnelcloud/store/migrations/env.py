"""Runs migrations on the connection, and in the transaction, that the store opened."""

from alembic import context

from tunnelcloud.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
