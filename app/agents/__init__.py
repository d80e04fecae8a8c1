"""The assistant of one request: a model, the sender's toolkits, and the guard between them."""
