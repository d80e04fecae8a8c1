"""Authorization servers in general: values, token requests, and a client that is described by data."""
