"""Replies: their texts, and sending them to people."""
