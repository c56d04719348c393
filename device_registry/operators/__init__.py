"""Who may use the admin API, and in which role."""
