"""A package that knows nothing of Deputy's containers, such as somebody else would write."""
