"""The gRPC services: translate, call the domain, translate back. They raise; the error layer answers."""
