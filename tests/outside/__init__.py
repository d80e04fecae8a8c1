"""A package that knows nothing of Deputy's containers: what somebody else would write."""
