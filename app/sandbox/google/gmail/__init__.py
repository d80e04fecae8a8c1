"""Gmail in the sandbox."""
