"""Google on loopback: sign-in, tokens and REST APIs."""
