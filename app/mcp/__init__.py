"""Tools of MCP servers: what each server says of its tools, and calls to them (https://modelcontextprotocol.io)."""
