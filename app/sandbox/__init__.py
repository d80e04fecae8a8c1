"""Google and Slack on loopback, for demonstrations and for tests; nothing outside this package knows that it exists."""
