"""Slack on loopback."""
