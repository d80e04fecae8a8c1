"""Alembic migrations, run by app.database.migrate."""
