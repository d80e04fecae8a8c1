"""A Telegram on loopback: the Bot API as Deputy calls it, and what people do there."""
