"""What Deputy is measured by: each module compares it with the best there is, in one run, and prints a table."""
