"""Google on loopback: sign-in, tokens and the REST of its APIs."""
