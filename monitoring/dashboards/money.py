"""Is every bill paid once, on all books? Bills, the provincial core, doubt, and differences between the books."""

from typing import Final

from monitoring.dashboards.grafana import Panel, Row
from monitoring.dashboards.platform import quantile, rate

# Every replica counts the same database: `max`, and never `sum`, over instances of a gauge.
OPEN_DIFFERENCES: Final = "max by (difference) (shualian_reconciliation_items)"
CORE_CALLS: Final = "shualian_core_calls_total"

NOW: Final = Row(
    title="Now",
    panels=(
        Panel(
            title="Money in doubt",
            kind="stat",
            queries={
                "{{intent}}": "max by (intent) (shualian_settlement_doubts)",
                "given up": "max(shualian_settlement_dead_letters)",
            },
            red_above=1,
            about="`shualian settlement doubts` shows them; the resolver ends all but those given up.",
        ),
        Panel(
            title="Open differences",
            kind="stat",
            queries={"{{difference}}": OPEN_DIFFERENCES},
            red_above=1,
            about="`shualian reconciliation list` shows them.",
        ),
        Panel(
            title="Provincial core not asked",
            kind="stat",
            queries={"{{instance}}": "max by (instance) (shualian_core_breaker_open)"},
            red_above=1,
            about="1 while the breaker is open: bills are refused with NOT_SENT.",
        ),
        Panel(
            title="Since the books were last compared",
            kind="stat",
            unit="s",
            queries={"ago": "time() - max(shualian_reconciliation_last_success_timestamp_seconds)"},
            red_above=10_800,
        ),
    ),
)

BILLS: Final = Row(
    title="Bills",
    panels=(
        Panel(
            title="Settlements by outcome",
            unit="reqps",
            queries={"{{outcome}}": rate("shualian_settlements_total", "outcome")},
        ),
        Panel(
            title="Who pays, fen per second",
            queries={
                "{{share}}": rate("shualian_settled_fen_total", "share"),
                "self-paid by {{channel}}": rate("shualian_self_paid_fen_total", "channel"),
            },
        ),
        Panel(
            title="Time of a Settle, p95",
            unit="s",
            queries={"{{outcome}}": quantile(0.95, "shualian_settlement_seconds", "outcome")},
        ),
        Panel(
            title="PINs",
            unit="reqps",
            queries={"{{result}}": rate("shualian_pin_attempts_total", "result")},
            about="Many WRONG ones: somebody guesses, at many terminals or at one.",
        ),
    ),
)

CORE: Final = Row(
    title="Provincial core",
    panels=(
        Panel(title="Messages by call", unit="reqps", queries={"{{infno}}": rate(CORE_CALLS, "infno")}),
        Panel(
            title="Not good, by call and result",
            unit="reqps",
            queries={"{{infno}} {{result}}": rate(f'{CORE_CALLS}{{result!="GOOD"}}', "infno, result")},
            about="CORE_REFUSED is an answer; LINE_BROKEN and NOT_SENT are the line, ANSWER_* the core or a gateway.",
        ),
        Panel(
            title="Time of one try, p95",
            unit="s",
            queries={"{{infno}}": quantile(0.95, "shualian_core_call_seconds", "infno")},
        ),
        Panel(
            title="Booked otherwise than quoted",
            queries={"an hour": "sum(increase(shualian_core_disagreements_total[1h]))"},
            red_above=1,
            about="They are reversed by themselves; ask the core's operators why.",
        ),
    ),
)

DOUBT: Final = Row(
    title="Doubt",
    panels=(
        Panel(
            title="In doubt, by what is wanted",
            queries={"{{intent}}": "max by (intent) (shualian_settlement_doubts)"},
        ),
        Panel(title="Oldest doubt", unit="s", queries={"age": "max(shualian_settlement_unknown_age_seconds)"}),
        Panel(
            title="How doubts end",
            unit="reqps",
            queries={"{{outcome}}": rate("shualian_settlement_resolutions_total", "outcome")},
        ),
        Panel(
            title="Tries it took",
            queries={f"p{share}": quantile(share / 100, "shualian_settlement_tries") for share in (50, 95)},
        ),
    ),
)

BOOKS: Final = Row(
    title="Books",
    panels=(
        Panel(title="Open differences", queries={"{{difference}}": OPEN_DIFFERENCES}, red_above=1),
        Panel(
            title="Oldest open difference",
            unit="s",
            queries={"age": "max(shualian_reconciliation_oldest_item_age_seconds)"},
            red_above=3_600,
        ),
        Panel(
            title="Days compared with the insurer's, an hour",
            queries={"{{outcome}}": "sum by (outcome) (increase(shualian_reconciliations_total[1h]))"},
            about="FAILED: no usable answer; `shualian reconciliation run` says why.",
        ),
        Panel(
            title="Days that terminals compared, an hour",
            queries={"{{outcome}}": "sum by (outcome) (increase(shualian_terminal_days_total[1h]))"},
        ),
    ),
)

ROWS: Final = (NOW, BILLS, CORE, DOUBT, BOOKS)
