"""WhatsApp, on Meta's Cloud API."""
