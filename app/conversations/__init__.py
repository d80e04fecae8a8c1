"""What one person said in one conversation, and what was answered."""
