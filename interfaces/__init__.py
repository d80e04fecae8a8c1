"""One folder a channel: turns what a platform sends into an InboundMessage, and an answer into what it shows."""
