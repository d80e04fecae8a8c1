"""An accepted message is a row; the worker answers the rows of a conversation in their order."""
