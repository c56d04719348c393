"""Each metric is defined once, named by the rules, and the only thing that dashboards and alerts ask for."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from monitoring.dashboards import faces, identity, money, platform
from monitoring.dashboards.__main__ import dashboards
from monitoring.dashboards.__main__ import main as write_dashboards
from monitoring.exporter import exposition, watch_process
from monitoring.labels import LABELS
from monitoring.metrics import Metrics
from monitoring.reference import metrics_page

ROOT = Path(__file__).parents[3]
RULES = [
    rule
    for path in sorted((ROOT / "monitoring" / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
QUERIES = [
    query
    for row in (*platform.ROWS, *identity.ROWS, *faces.ROWS, *money.ROWS)
    for panel in row.panels
    for query in panel.queries.values()
]
QUERIES += [rule["expr"] for rule in RULES]
LABELS_OF = {series: definition.labels for definition in Metrics().definitions for series in definition.series}
FORBIDDEN_LABELS = {"terminal_id", "person_id", "site_id", "serial_number", "request_id", "session_id"}


def test_two_metrics_objects_do_not_share_their_counts() -> None:
    one, other = Metrics(), Metrics()

    one.heartbeats.labels("READY").inc()

    assert one.registry.get_sample_value("shualian_heartbeats_total", {"camera_state": "READY"}) == 1
    assert other.registry.get_sample_value("shualian_heartbeats_total", {"camera_state": "READY"}) is None


def test_names_carry_the_prefix_and_a_base_unit() -> None:
    for definition in Metrics().definitions:
        assert re.fullmatch(r"shualian(_[a-z]+)+", definition.name)
        assert not re.search(r"_(ms|milliseconds|minutes|yuan|percent|kb)(_|$)", definition.name)
        assert definition.name.endswith("_total") == (definition.kind == "counter"), definition.name
        assert definition.about.endswith("."), definition.name


def test_i07_labels_come_from_the_listed_sets_and_never_name_a_person_or_a_terminal() -> None:
    used = {label for definition in Metrics().definitions for label in definition.labels}

    assert used == set(LABELS)
    assert used.isdisjoint(FORBIDDEN_LABELS)


def test_the_exposition_is_read_back_by_prometheus_own_parser() -> None:
    metrics = Metrics(CollectorRegistry())
    watch_process(metrics.registry)
    metrics.settlements.labels(business_type="01301", outcome="SETTLED").inc(3)

    content_type, body = exposition(metrics.registry)

    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert content_type.startswith("text/plain")
    assert [sample.value for sample in families["shualian_settlements"].samples if sample.name.endswith("_total")] == [
        3
    ]
    assert "process_resident_memory_bytes" in families
    assert exposition(metrics.registry, "application/openmetrics-text; version=1.0.0")[0].startswith(
        "application/openmetrics"
    )


def test_the_days_to_expiry_are_a_picture_of_now_and_not_a_sum() -> None:
    metrics = Metrics()

    metrics.certificate_days_to_expiry.replace([25.0] * 90)
    metrics.certificate_days_to_expiry.replace([0.5, 4.0, 25.0])

    def at_most(days: str) -> float | None:
        return metrics.registry.get_sample_value("shualian_certificate_days_to_expiry_bucket", {"le": days})

    assert (at_most("1"), at_most("5"), at_most("30"), at_most("+Inf")) == (1, 2, 3, 3)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_only_for_metrics_and_labels_that_exist(query: str) -> None:
    asked = re.findall(r"\bshualian_[a-z_]+", query)
    grouped = {label.strip() for found in re.findall(r"by \(([^)]*)\)", query) for label in found.split(",")}
    matched = {label for found in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)\s*[=!]", found)}

    assert [series for series in asked if series not in LABELS_OF] == []
    known = {label for series in asked for label in LABELS_OF[series]} | {"le", "instance", "job"}
    assert grouped | matched <= known


def test_the_dashboards_on_disk_are_the_ones_the_code_describes() -> None:
    assert write_dashboards(["--check"]) == 0
    assert [path.name for path in dashboards()] == [
        "platform.json",
        "identity.json",
        "faces.json",
        "money.json",
    ]


def test_everything_about_core_doubt_and_books_is_on_the_dashboard_of_money() -> None:
    rooms = ("shualian_core_", "shualian_settlement_", "shualian_reconciliation", "shualian_terminal_days")
    shown = " ".join(query for row in money.ROWS for panel in row.panels for query in panel.queries.values())
    kept = {"shualian_settlement_last_resolution_timestamp_seconds"}  # alone, it says when nothing was in doubt

    about_money = {definition.name for definition in Metrics().definitions if definition.name.startswith(rooms)}
    assert {name for name in about_money if name not in shown} == kept


def test_each_alert_says_what_it_means_and_what_to_do() -> None:
    assert len(RULES) >= 8
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) - {"runbook"} == {"summary", "action"}


def test_the_metrics_page_is_fresh() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text("utf-8") == metrics_page(), (
        "run `shualian docs metrics > docs/metrics.md`"
    )


def test_every_metric_is_fed_by_the_server() -> None:
    source = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "server").rglob("*.py")))
    own = {"registry", "definitions", "build_info"}  # build_info sets itself

    names = [name for name in vars(Metrics()) if name not in own]
    assert [name for name in names if not re.search(rf"metrics\.{name}\b", source)] == []
