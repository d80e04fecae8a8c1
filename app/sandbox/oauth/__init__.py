"""A strict OAuth 2.0 provider on loopback, with an account API beside it, whose differences are switches."""
