"""The request scope: what lives for one message, on dependency-injector."""
