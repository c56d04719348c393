"""How a terminal gets its certificates: tokens, factory identities, tickets, renewal in time and after it."""
