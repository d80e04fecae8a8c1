"""Approvals: a call that acts is shown to its person, and runs once they approve it."""
