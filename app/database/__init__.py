"""The database: its tables, its migrations, and the one object that opens and closes it."""
