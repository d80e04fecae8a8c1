"""The sandbox's Google Calendar."""
