"""Can the fleet still prove who it is, tomorrow and next week? The dashboard of the security team."""

from typing import Final

from monitoring.dashboards.grafana import Panel, Row
from monitoring.dashboards.platform import quantile, rate


def days_left(by: str, end: str) -> str:
    """Return the query for the days until the first of some moments."""
    return f"(min by ({by}) ({end}) - time()) / 86400"


# Every replica counts the same database: `max`, and never `sum`, over instances.
NOW: Final = Row(
    title="Now",
    panels=(
        Panel(
            title="Certificates that are over",
            kind="stat",
            queries={"active terminals": "max(shualian_certificates_lapsed)"},
            red_above=1,
            about="These terminals cannot call, whatever their last health report says.",
        ),
        Panel(
            title="Will miss their rotation",
            kind="stat",
            queries={"{{missing}}": "max by (missing) (shualian_certificates_missing_rotation)"},
            red_above=1,
            about="AWAY: not seen for long. NOT_RENEWING: here, and still on the old certificate.",
        ),
        Panel(
            title="Findings that ask for somebody",
            kind="stat",
            queries={"{{severity}}": "sum by (severity) (max by (kind, severity) (shualian_findings_open))"},
        ),
        Panel(
            title="Witness and signing key",
            kind="stat",
            queries={"{{check}}": 'min by (check) (shualian_ready{check=~"trust|witness|signing"})'},
            about="1 is good.",
        ),
    ),
)

CERTIFICATES: Final = Row(
    title="Certificates",
    panels=(
        Panel(
            title="Days to expiry, terminals up to each bound",
            kind="bargauge",
            queries={"{{le}} days": "max by (le) (shualian_certificate_days_to_expiry_bucket)"},
        ),
        Panel(
            title="Issued",
            unit="reqps",
            queries={
                "{{cause}}": rate("shualian_certificates_issued_total", "cause"),
                "enroll calls, {{outcome}}": rate("shualian_enrollments_total", "outcome"),
            },
        ),
        Panel(
            title="Past the middle of their renewal time",
            queries={"terminals": "max(shualian_certificates_renewal_overdue)"},
            red_above=1,
        ),
        Panel(
            title="Server certificates, days left",
            unit="d",
            queries={
                "{{instance}}": days_left("instance", "shualian_server_certificate_expiry_timestamp_seconds"),
            },
        ),
    ),
)

ISSUERS: Final = Row(
    title="Issuing authorities",
    panels=(
        Panel(
            title="Share of the fleet on the active issuer",
            unit="percentunit",
            queries={
                "on the active one": 'max(shualian_issuer_terminals{issuer_state="ACTIVE"})'
                " / sum(max by (issuer_state) (shualian_issuer_terminals))"
            },
            about="A roll of the CA is done when this is 1.",
        ),
        Panel(
            title="Terminals by state of their issuer",
            queries={"{{issuer_state}}": "max by (issuer_state) (shualian_issuer_terminals)"},
        ),
        Panel(
            title="Days to expiry by state",
            unit="d",
            queries={
                "{{issuer_state}}": days_left("issuer_state", "shualian_issuer_expiry_timestamp_seconds"),
            },
        ),
        Panel(
            title="Signatures",
            queries={
                "{{purpose}} per second": rate("shualian_ca_signatures_total", "purpose"),
                "failed, {{reason}}": rate("shualian_ca_signature_failures_total", "reason"),
                "p95, seconds": quantile(0.95, "shualian_ca_signature_seconds"),
            },
        ),
    ),
)

ROLLOUTS: Final = Row(
    title="Commands and rollouts",
    panels=(
        Panel(title="Rollouts", queries={"{{rollout_state}}": "max by (rollout_state) (shualian_rollouts)"}),
        Panel(
            title="Terminals in open rollouts",
            queries={"{{member_state}}": "max by (member_state) (shualian_rollout_members)"},
        ),
        Panel(
            title="Commands",
            unit="reqps",
            queries={"{{action}} {{outcome}}": rate("shualian_commands_total", "action, outcome")},
        ),
    ),
)

CHECKS: Final = Row(
    title="Fleet checks",
    panels=(
        Panel(
            title="Findings by kind",
            queries={"{{kind}} {{severity}}": "max by (kind, severity) (shualian_findings_open)"},
        ),
        Panel(
            title="Clock skew at heartbeats, p99",
            unit="s",
            queries={"skew": quantile(0.99, "shualian_terminal_clock_skew_seconds")},
            red_above=30,
        ),
        Panel(
            title="Time since the last audit",
            unit="s",
            queries={
                "{{instance}}": "time() - max by (instance) "
                '(shualian_last_success_timestamp_seconds{task="FLEET_AUDIT"})'
            },
            red_above=600,
        ),
    ),
)

TRAIL: Final = Row(
    title="Revocation and audit",
    panels=(
        Panel(
            title="From decision to the end of the stream, p99",
            unit="s",
            queries={"{{reason}}": quantile(0.99, "shualian_revocation_to_cut_seconds", "reason")},
            red_above=1,
        ),
        Panel(title="Log of revocations", queries={"entries": "max(shualian_revocation_log_entries)"}),
        Panel(title="Audit entries not signed yet", queries={"entries": "min(shualian_audit_unsigned_entries)"}),
        Panel(
            title="Refused at the admin API",
            unit="reqps",
            queries={
                "{{reason}}": rate(
                    'shualian_rpc_refusals_total{reason=~"ROLE_MISSING|CERTIFICATE_OF_A_TERMINAL|OPERATOR_.*"}',
                    "reason",
                )
            },
            about="Who does not even get through the TLS handshake is not counted: gRPC tells nobody.",
        ),
    ),
)

ROWS: Final = (NOW, CERTIFICATES, ISSUERS, ROLLOUTS, CHECKS, TRAIL)
