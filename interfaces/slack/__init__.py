"""Slack: direct messages and mentions through the Events API."""
