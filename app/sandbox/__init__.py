"""Google and Slack on loopback, for demonstrations and tests; only the entry points import it."""
