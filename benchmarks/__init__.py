"""Deputy's benchmarks: each module compares it with the best alternative, in one run, and prints a table."""
