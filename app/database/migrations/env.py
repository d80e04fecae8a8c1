"""Alembic's entry point: runs the migrations on the connection from `migrate.upgrade`."""

from alembic import context

from app.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
