"""Delivery: an accepted message is a row, and the worker answers the rows of a conversation in order."""
