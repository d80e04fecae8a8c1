"""Delivery's tables: messages, replies, parked runs and leases."""
