"""A register of people for tests and benches: made-up people, in a process of its own that fails when it is told to."""
