"""The platform: the only place where gRPC, database and domain meet."""
