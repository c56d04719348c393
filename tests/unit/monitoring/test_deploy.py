"""What is shipped for Prometheus and Grafana fits together: ports, paths and names agree across the files."""

from pathlib import Path

import yaml

from server.config import Config, settings

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text("utf-8"))
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))


def mounts(service: str) -> dict[str, Path]:
    """Return the folders and files of this repository that a service sees, by where it sees them."""
    pairs = [volume.split(":")[:2] for volume in COMPOSE["services"][service]["volumes"]]
    return {inside: (DEPLOY / outside).resolve() for outside, inside in pairs if outside.startswith(".")}


def test_prometheus_scrapes_the_port_on_which_metrics_are_served() -> None:
    [job] = PROMETHEUS["scrape_configs"]

    assert job["job_name"] == "shualian"
    assert job["static_configs"] == [{"targets": [f"server:{Config().http.port}"]}]


def test_every_mounted_path_exists_and_holds_what_is_looked_for() -> None:
    seen = {**mounts("prometheus"), **mounts("grafana")}

    assert [path for path in seen.values() if not path.exists()] == []
    assert list(seen["/etc/prometheus/rules"].glob("*.yml"))
    assert list(seen["/var/lib/grafana/dashboards"].glob("*.json"))
    assert PROMETHEUS["rule_files"] == ["/etc/prometheus/rules/*.yml"]


def test_grafana_reads_the_dashboards_and_the_source_that_compose_gives_it() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    [dashboards] = yaml.safe_load((provisioning / "dashboards" / "shualian.yml").read_text("utf-8"))["providers"]
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]

    assert dashboards["options"]["path"] in mounts("grafana")
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in COMPOSE["services"]


def test_the_variables_that_are_set_exist() -> None:
    known = {setting.variable for setting in settings()}
    unit = (DEPLOY / "shualian.service").read_text("utf-8")
    in_unit = {
        word.partition("=")[0] for word in unit.replace("Environment=", "").split() if word.startswith("SHUALIAN_")
    }

    assert set(COMPOSE["services"]["server"]["environment"]) <= known
    assert in_unit
    assert in_unit <= known


def test_only_the_doors_for_terminals_are_open_to_others_than_this_machine() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]

    assert {port for port in published if not port.startswith("127.0.0.1:")} == {"7443:7443", "7444:7444"}
