"""How does a row of questions become a dashboard that Grafana can load?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

COLUMNS: Final = 24  # Grafana's grid
PANEL_HEIGHT: Final = 8
ROW_HEIGHT: Final = 1
SCHEMA_VERSION: Final = 39
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question and the queries that answer it: legend -> PromQL."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    """Grafana's name of the unit: s, reqps, percentunit, d, celsius, short."""
    about: str = ""
    kind: str = "timeseries"
    red_above: float | None = None
    """From here on the value is drawn red."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels that belong together, side by side."""

    title: str
    panels: tuple[Panel, ...]


def dashboard(*, uid: str, title: str, about: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON model; the same rows always give the same JSON."""
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["shualian"],
        "schemaVersion": SCHEMA_VERSION,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}]
        },
        "panels": _placed(rows),
    }


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"h": ROW_HEIGHT, "w": COLUMNS, "x": 0, "y": y}
        placed.append({"id": len(placed) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        y += ROW_HEIGHT
        width = COLUMNS // len(row.panels)
        for index, panel in enumerate(row.panels):
            place = {"h": PANEL_HEIGHT, "w": width, "x": index * width, "y": y}
            placed.append(_panel(panel, number=len(placed) + 1, place=place))
        y += PANEL_HEIGHT
    return placed


def _panel(panel: Panel, *, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": DATASOURCE}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }
