"""The history checker: random terminals, faults from one seed, and three books that must tell the same story."""
