"""Who is connected right now, and what a change in the registry does to them."""
