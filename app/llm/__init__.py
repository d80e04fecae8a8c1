"""Language models: the embedded `offline` one, and whatever pydantic-ai can reach."""
