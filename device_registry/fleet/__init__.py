"""How the fleet stands: rules, findings, where terminals are, and the count of all."""
