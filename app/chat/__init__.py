"""The commands that people can type to the assistant, one module for each."""
