"""What can be seen of the platform from outside: metrics, logs, rules and dashboards."""
