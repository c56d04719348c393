"""How do the metrics look to a reader? docs/metrics.md, printed from the definitions."""

from monitoring.labels import LABELS
from monitoring.metrics import Definition, Metrics

HEAD = """# Metrics

Printed by `shualian docs metrics` from `monitoring/metrics.py`; do not edit by hand. Scrape `/metrics` on the HTTP
listener (`deploy/prometheus.yml` does). Times are in seconds, money in fen. A terminal or a person is never a label.

A *snapshot histogram* shows how something is spread now: query its `_bucket` without `rate`.
"""


def metrics_page() -> str:
    """Return docs/metrics.md."""
    rows = [_row(definition) for definition in Metrics().definitions]
    labels = [f"| `{label}` | {values} |" for label, values in sorted(LABELS.items())]
    table = ["| Metric | Kind | Labels | Meaning |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([HEAD, *table, "", "## Labels", "", "| Label | Values |", "| --- | --- |", *labels, ""])


def _row(definition: Definition) -> str:
    labels = ", ".join(f"`{label}`" for label in definition.labels)
    return f"| `{definition.name}` | {definition.kind} | {labels} | {definition.about} |"
