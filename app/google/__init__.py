"""Google for one person at a time: sign-in and tokens, API templates, and a client that lives for one request."""
