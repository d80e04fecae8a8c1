"""How an answer reaches its person."""
