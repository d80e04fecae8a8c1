"""The HTTP interface: POST /v1/messages, for programs and for the command line."""
