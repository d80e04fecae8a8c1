"""The rows of delivery: messages, replies, parked runs, leases."""
