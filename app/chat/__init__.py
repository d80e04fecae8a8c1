"""What people can type to the assistant, one module a command."""
