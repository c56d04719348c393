"""What terminals are told to do: the outbox, what still applies, and how it went."""
