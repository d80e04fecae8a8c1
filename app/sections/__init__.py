"""The sections of config.yaml: what each key may be, its default, and what it means."""
