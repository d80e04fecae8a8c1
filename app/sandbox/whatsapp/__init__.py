"""A WhatsApp on loopback, as strict as Meta documents the Cloud API to be."""
