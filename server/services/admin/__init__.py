"""The services of shualian.admin.v1, one module a subject."""
