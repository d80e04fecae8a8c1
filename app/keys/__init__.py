"""The keys that seal tokens at rest, and their rotation."""
