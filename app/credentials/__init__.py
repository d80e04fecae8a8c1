"""Credentials for Google that act as one person, each set for a single request."""
