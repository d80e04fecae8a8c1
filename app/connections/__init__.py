"""One person's connections to the providers of the settings, each for a single request."""
