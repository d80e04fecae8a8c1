"""The sandbox's Google Drive."""
