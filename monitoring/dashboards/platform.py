"""Is the platform well, from the call at the door to the money in the books? The first dashboard."""

from typing import Final

from monitoring.dashboards.grafana import Panel, Row

RATE: Final = "$__rate_interval"


def quantile(share: float, metric: str, by: str = "") -> str:
    """Return the query for a quantile of a histogram."""
    return f"histogram_quantile({share}, sum by (le{', ' + by if by else ''}) (rate({metric}_bucket[{RATE}])))"


def rate(counter: str, by: str = "") -> str:
    """Return the query for a counter's rate, summed by a label."""
    return f"sum{f' by ({by})' if by else ''} (rate({counter}[{RATE}]))"


HEALTH: Final = Row(
    title="Now",
    panels=(
        Panel(title="Ready", kind="stat", queries={"{{check}}": "min by (check) (shualian_ready)"}, about="1 is good."),
        Panel(title="Terminals by state", kind="stat", queries={"{{state}}": "sum by (state) (shualian_terminals)"}),
        Panel(title="Control streams", kind="stat", queries={"open": "sum(shualian_control_streams)"}),
        Panel(
            title="Money in doubt",
            kind="stat",
            queries={
                "unknown": "max(shualian_settlements_unknown)",
                "given up": "max(shualian_settlement_dead_letters)",
            },
            red_above=1,
        ),
    ),
)

CALLS: Final = Row(
    title="Calls",
    panels=(
        Panel(
            title="Calls by method", unit="reqps", queries={"{{method}}": rate("shualian_rpc_seconds_count", "method")}
        ),
        Panel(
            title="Time of unary calls, p95",
            unit="s",
            queries={"{{method}}": quantile(0.95, "shualian_rpc_seconds", "method")},
            about="Streams are in here with their whole life: look at the unary methods.",
        ),
        Panel(
            title="Refusals by reason",
            unit="reqps",
            queries={"{{reason}}": rate("shualian_rpc_refusals_total", "reason")},
        ),
    ),
)

FLEET: Final = Row(
    title="Fleet and certificates",
    panels=(
        Panel(
            title="In a bad condition", queries={"{{condition}}": "sum by (condition) (shualian_terminal_conditions)"}
        ),
        Panel(
            title="Days to expiry",
            unit="d",
            queries={
                "1 in 100": "histogram_quantile(0.01, sum by (le) (shualian_certificate_days_to_expiry_bucket))",
                "half": "histogram_quantile(0.5, sum by (le) (shualian_certificate_days_to_expiry_bucket))",
            },
        ),
        Panel(
            title="Renewals",
            queries={
                "issued, {{cause}}": rate("shualian_certificates_issued_total", "cause"),
                "overdue": "max(shualian_certificates_renewal_overdue)",
            },
        ),
        Panel(
            title="Stream cut after revocation, p99",
            unit="s",
            queries={"{{reason}}": quantile(0.99, "shualian_revocation_to_cut_seconds", "reason")},
            red_above=1,
        ),
    ),
)

FACE: Final = Row(
    title="Face",
    panels=(
        Panel(
            title="Sessions by outcome",
            unit="reqps",
            queries={"{{outcome}}": rate("shualian_face_sessions_total", "outcome")},
        ),
        Panel(
            title="Suspected attacks by region",
            unit="reqps",
            queries={"{{region}}": rate('shualian_face_sessions_total{outcome="SPOOF_SUSPECTED"}', "region")},
        ),
        Panel(
            title="From last frame to decision",
            unit="s",
            queries={f"p{share}": quantile(share / 100, "shualian_face_decision_seconds") for share in (50, 95, 99)},
        ),
        Panel(title="Frames", unit="reqps", queries={"{{result}}": rate("shualian_face_frames_total", "result")}),
    ),
)

MONEY: Final = Row(
    title="Money",
    panels=(
        Panel(
            title="Settlements by outcome",
            unit="reqps",
            queries={"{{outcome}}": rate("shualian_settlements_total", "outcome")},
        ),
        Panel(title="Settled, fen per second", queries={"{{share}}": rate("shualian_settled_fen_total", "share")}),
        Panel(
            title="Time of a Settle",
            unit="s",
            queries={f"p{share}": quantile(share / 100, "shualian_settlement_seconds") for share in (50, 95, 99)},
        ),
        Panel(
            title="Authorizations offered",
            unit="reqps",
            queries={"{{way}} {{outcome}}": rate("shualian_authorizations_total", "way, outcome")},
            about="A bare ID number is always refused; somebody still tries it.",
        ),
    ),
)

STORE: Final = Row(
    title="Store",
    panels=(
        Panel(title="Commit, p95", unit="s", queries={"commit": quantile(0.95, "shualian_store_commit_seconds")}),
        Panel(title="Writes per commit, p95", queries={"writes": quantile(0.95, "shualian_store_batch_writes")}),
        Panel(
            title="Waiting and failing",
            queries={
                "waiting": "sum(shualian_store_queue_length)",
                "{{reason}} per second": rate("shualian_store_failures_total", "reason"),
            },
        ),
        Panel(title="Events lag", unit="s", queries={"lag": "max(shualian_events_lag_seconds)"}, red_above=1),
    ),
)

ROWS: Final = (HEALTH, CALLS, FLEET, FACE, MONEY, STORE)
