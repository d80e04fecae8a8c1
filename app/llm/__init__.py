"""Language models: the embedded `offline` model, and all that pydantic-ai supports."""
