"""Deputy's pages in a real Chromium, for behaviour that an HTTP client cannot show."""
