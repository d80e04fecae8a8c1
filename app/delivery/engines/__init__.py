"""Engines, which wake conversations: within one process, or over PostgreSQL."""
