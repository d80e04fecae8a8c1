"""What a person granted us at Google: how it is asked for, sealed at rest, refreshed, and used in one request."""
