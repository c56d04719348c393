"""What surrounds a face session: the paper work, the queue of frames, the seats."""
