"""The proof of lifetimes: nothing of a request outlives it."""
