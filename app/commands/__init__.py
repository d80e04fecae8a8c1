"""The subcommands of `deputy`, one module for each noun; app/cli.py puts them together."""
