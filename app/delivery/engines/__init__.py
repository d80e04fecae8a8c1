"""What wakes conversations: in one process, or over PostgreSQL."""
