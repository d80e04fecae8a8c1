"""What was done in whose name: rows that are added and never changed."""
