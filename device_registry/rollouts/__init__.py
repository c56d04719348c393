"""One command for many terminals, at a pace, and which terminals will miss their rotation."""
