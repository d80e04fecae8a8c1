"""Accepting messages and answering them."""
