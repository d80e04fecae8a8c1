"""One folder for each channel: it turns events into InboundMessages, and answers into posts."""
