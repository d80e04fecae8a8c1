"""The playground at `/`: two people chat with their assistants side by side, and see the scopes between them."""
