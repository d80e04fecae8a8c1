"""What the command `deputy` can do: one module a noun, put together in app/cli.py."""
