"""Grafana dashboards, generated from code by `python -m monitoring.dashboards`; `--check` finds a stale one."""
