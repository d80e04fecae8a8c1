"""Our pages in a real Chromium: what a browser does with them, and an HTTP client cannot show."""
