"""The sections of config.yaml: each key with its type, default and meaning."""
