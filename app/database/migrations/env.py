"""Alembic's entry point: runs the migrations on the connection that `migrate.upgrade` hands over."""

from alembic import context

from app.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
