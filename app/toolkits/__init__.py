"""Toolkits: what the assistant can do, each tool with its effect and the OAuth scopes it needs."""
