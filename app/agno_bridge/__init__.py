"""Toolkits and agents that are written for agno (https://docs.agno.com), run inside the request scope."""
