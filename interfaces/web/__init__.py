"""The pages that people open in a browser: connecting a Google account."""
