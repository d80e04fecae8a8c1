"""What the assistant is: knows no container, no channel SDK and no web framework."""
