"""Which labels do metrics have, and what can each of them be? Small closed sets, all of them."""

from typing import Final

LABELS: Final[dict[str, str]] = {
    "service": "name of the gRPC service without its package",
    "method": "name of the method",
    "code": "gRPC status code, e.g. OK, UNAVAILABLE",
    "reason": "the stable reason of docs/errors.md; of faces, of `face_pipeline.Reason`: PASSIVE_LOW, SEAL_BROKEN ...",
    "region": "the site's region (统筹区)",
    "terminal_class": "I, II, III",
    "state": "REGISTERED, ENROLLED, ACTIVE, SUSPENDED, QUARANTINED, REVOKED, BANNED, RETIRED",
    "condition": "OVERDUE (heartbeats stay away), FLAPPING (reconnects too often)",
    "camera_state": "READY, DEGRADED, FAILED",
    "action": "RENEW_CERTIFICATE, SET_CONFIGURATION, COLLECT_DIAGNOSTICS, OFFER_FIRMWARE, RESTART, LOCK, UNLOCK",
    "cause": "why a certificate was issued: ENROLLMENT, RENEWAL",
    "purpose": "what an issuing key signed: TERMINAL, SERVER, OPERATOR, CRL, REQUEST (a new issuer asks the root)",
    "business_type": "national five-digit use type, e.g. 01301",
    "outcome": "how it ended; the values stand in each metric's text",
    "result": "what became of one frame or one attempt; the values stand in each metric's text",
    "band": "CLEAR, UNCLEAR, DOUBTFUL",
    "assurance": "what stood behind a live face: COLOUR, COLOUR_UNMOVED, SOLID",
    "finding": "what a seal over frames was found to be: VERIFIED, MISSING, BROKEN, NOT_ASKED",
    "share": "POOLED_FUND, PERSONAL_ACCOUNT, SELF_PAY",
    "infno": "number of a call of the national interface, e.g. 2207; see docs/operations/insurer-fsi.md",
    "channel": "CASH, ELECTRONIC_ACCOUNT, CREDIT",
    "way": "FACE, CODE, CARD, BARE_ID_NUMBER",
    # Not `job`: Prometheus gives that label to each target, and would rename ours.
    "task": "EVENTS (the registry is followed), SWEEP (live streams looked through), SILENCE (overdue terminals), "
    "PRESENCE (heartbeats written), CORE_TIDYING (registrations at a provincial core that nobody needs), "
    "ACTIVATIONS (those never used are emptied), READINESS, RESOLVER (settlements in doubt), "
    "RECONCILIATION (books compared with the "
    "insurer's when due), SERVER_CERTIFICATE "
    "(looked at, renewed when due), WITNESS (revocations copied out of the database), CHECKPOINT (audit log signed "
    "when due), SURVEY (fleet and doubt counted), FLEET_AUDIT (every terminal looked at by the fleet checks), "
    "IDENTITY_SURVEY (issuers, forecast, rollouts, findings and logs counted), COMMANDS "
    "(those that are over closed, rollouts worked on)",
    "kind": "what a fleet check found, e.g. SHARED_CERTIFICATE; see docs/operations/fleet-checks.md",
    "severity": "LOW, MEDIUM, HIGH, CRITICAL",
    "missing": "why a renewal will be missed: AWAY (not seen for long), NOT_RENEWING (was here and did not)",
    "rollout_state": "PREPARING, RUNNING, PAUSED, STOPPED (by its errors), DONE, CANCELLED",
    "member_state": "PENDING, QUEUED, DONE, FAILED, SKIPPED, EXPIRED",
    "issuer_state": "PREPARED, ACTIVE, OUTGOING, TAINTED, REVOKED",
    "check": "the readiness check: database, events, trust, witness, running; signing (by issuing keys) and witnessing "
    "(of revocations) are only told",
    "intent": "what is wanted of the insurer: SETTLE, CANCEL, REVERSE",
    "difference": "how two books differ about a transaction: OURS_ONLY, THEIRS_ONLY, AMOUNT, STATE",
    "version": "version of the platform",
}
