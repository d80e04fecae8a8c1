"""The demonstration: two people use Slack and HTTP at once, and each is answered from their own mailbox."""
