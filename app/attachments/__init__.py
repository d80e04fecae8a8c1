"""The files that come with a message, as a model is given them."""
