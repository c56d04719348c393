"""Who may come in, what was taken from whom, and how that survives a restored backup."""
