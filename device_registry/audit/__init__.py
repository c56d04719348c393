"""Who did what: the hash-chained log and its signed checkpoints."""
