"""Are faces seen well, and is somebody attacking? Quality first: most sessions that fail have a lamp to blame."""

from typing import Final

from monitoring.dashboards.grafana import Panel, Row
from monitoring.dashboards.platform import quantile, rate

SESSIONS: Final = "shualian_face_sessions_total"
DECIDED: Final = 'outcome=~"MATCHED|NOT_MATCHED|SPOOF_SUSPECTED|INSUFFICIENT"'


def share(outcome: str, by: str) -> str:
    """Return the query for the share of decided sessions that ended so, by a label."""
    of = f"sum by ({by}) (rate({SESSIONS}{{{DECIDED}}}[1h]))"
    return f'sum by ({by}) (rate({SESSIONS}{{outcome="{outcome}"}}[1h])) / {of}'


OUTCOMES: Final = Row(
    title="How sessions end",
    panels=(
        Panel(title="Sessions by outcome", unit="reqps", queries={"{{outcome}}": rate(SESSIONS, "outcome")}),
        Panel(
            title="Without enough to decide, by region",
            unit="percentunit",
            queries={"{{region}}": share("INSUFFICIENT", "region")},
            about="A rise in one region is a lamp, a lens or a firmware; a rise everywhere is a release of ours.",
            red_above=0.2,
        ),
        Panel(
            title="Suspected attacks, by region",
            unit="percentunit",
            queries={"{{region}}": share("SPOOF_SUSPECTED", "region")},
            red_above=0.05,
        ),
        Panel(
            title="What stood behind a live face",
            unit="reqps",
            queries={"{{assurance}}": rate("shualian_face_assurance_total", "assurance")},
            about="COLOUR pays little, COLOUR_UNMOVED only with a PIN or a practitioner; SOLID had depth.",
        ),
    ),
)

QUALITY: Final = Row(
    title="Quality",
    panels=(
        Panel(
            title="Why there was not enough",
            unit="reqps",
            queries={"{{reason}}": rate('shualian_face_reasons_total{outcome="INSUFFICIENT"}', "reason")},
        ),
        Panel(title="Frames", unit="reqps", queries={"{{result}}": rate("shualian_face_frames_total", "result")}),
        Panel(
            title="From last frame to decision",
            unit="s",
            queries={f"p{it}": quantile(it / 100, "shualian_face_decision_seconds") for it in (50, 95, 99)},
        ),
        Panel(
            title="From start to decision",
            unit="s",
            queries={"{{outcome}}, half": quantile(0.5, "shualian_face_session_seconds", "outcome")},
            about="What people stand before the camera for.",
        ),
    ),
)

ATTACKS: Final = Row(
    title="Attacks",
    panels=(
        Panel(
            title="Why an attack was suspected",
            unit="reqps",
            queries={"{{reason}}": rate('shualian_face_reasons_total{outcome="SPOOF_SUSPECTED"}', "reason")},
        ),
        Panel(
            title="Seals that do not hold",
            queries={
                "{{finding}}": 'sum by (finding) (increase(shualian_face_seals_total{finding=~"BROKEN|MISSING"}[1h]))'
            },
            about="BROKEN: the frames are not those that the device signed. One is one too many.",
            red_above=1,
        ),
        Panel(title="Replays", queries={"an hour": "sum(increase(shualian_face_replays_total[1h]))"}, red_above=1),
        Panel(
            title="Findings about terminals",
            queries={
                "{{kind}}": "max by (kind) (shualian_findings_open"
                '{kind=~"FACE_ATTACKS|SEAL_BROKEN|CAMERA_DOWNGRADED|FACE_ONLY_SITE"})'
            },
            about="`shualian fleet findings --kind FACE_ATTACKS` names the terminals.",
        ),
    ),
)

PROOFS: Final = Row(
    title="One among many, and practitioners",
    panels=(
        Panel(
            title="Faces looked for among many",
            unit="reqps",
            queries={"{{result}}": rate("shualian_face_identifications_total", "result")},
            about="AMBIGUOUS rises with the size of the gallery, and with twins.",
        ),
        Panel(
            title="Second factors",
            unit="reqps",
            queries={"{{result}}": rate("shualian_face_second_factors_total", "result")},
            about="Many WRONG ones: somebody guesses. Many TIMEOUTs: the question is not understood.",
        ),
        Panel(
            title="Practitioners",
            unit="reqps",
            queries={
                "{{result}}": rate("shualian_face_confirmations_total", "result"),
                "{{reason}}": rate(
                    'shualian_rpc_refusals_total{reason=~"OUTSIDE_GEOFENCE|SITE_PLACE_UNKNOWN"}', "reason"
                ),
            },
        ),
    ),
)

ROWS: Final = (OUTCOMES, QUALITY, ATTACKS, PROOFS)
