"""What does the platform count and time? Every metric, defined once.

Labels come from the small closed sets of `labels.py`. No person and no terminal is ever a label: what one terminal does
is found in the registry and the logs. A `Metrics` object belongs to the registry it was built on, so that two servers
in one test do not share their counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from monitoring.snapshots import SnapshotHistogram

NAMESPACE: Final = "shualian"

FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
FRAME: Final = (0.005, 0.01, 0.02, 0.03, 0.045, 0.06, 0.1, 0.15, 0.25, 0.5, 1.0)  # 60 and 250 ms are targets, DESIGN 11
SESSION: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0)
CUT: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)  # 1 s is the bound of I2
SKEW: Final = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
DAYS: Final = (0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 60, 90)
CELSIUS: Final = (0, 20, 40, 50, 60, 70, 80, 90, 100)
TRIES: Final = (1, 2, 3, 5, 8, 12, 20, 50)
LENGTH: Final = (0, 1, 2, 5, 10, 50, 100, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One metric as a reader of docs/metrics.md wants to know it; `name` is what stands in a query."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the time series that Prometheus stores."""
        if self.kind == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        if self.kind == "snapshot histogram":
            return (f"{self.name}_bucket", f"{self.name}_gsum", f"{self.name}_gcount")
        return (self.name,)


class Metrics:
    """All metrics on one registry; the attributes are the metrics, in the order of docs/metrics.md."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.definitions: list[Definition] = []
        self._calls()
        self._fleet()
        self._certificates()
        self._identity()
        self._face()
        self._credentials()
        self._settlement()
        self._store()
        self._platform()

    def _calls(self) -> None:
        by_method = ("service", "method")
        self.rpc_seconds = self._histogram(
            "rpc_seconds",
            "Time of one call, from first byte to status; for streams their whole life.",
            (*by_method, "code"),
            FAST,
        )
        self.rpc_open = self._gauge("rpc_open", "Calls and streams under way.", by_method)
        self.rpc_refusals = self._counter(
            "rpc_refusals_total", "Calls that ended with an error, by its reason.", (*by_method, "reason")
        )

    def _fleet(self) -> None:
        self.terminals = self._gauge("terminals", "Terminals in the registry.", ("region", "terminal_class", "state"))
        self.terminal_conditions = self._gauge(
            "terminal_conditions", "ACTIVE terminals in a bad condition.", ("condition",)
        )
        self.control_streams = self._gauge("control_streams", "Control streams open in this process.", ())
        self.stream_cut_seconds = self._histogram(
            "stream_cut_seconds", "From hearing of a revocation to the end of the stream.", ("reason",), CUT
        )
        self.revocation_to_cut_seconds = self._histogram(
            "revocation_to_cut_seconds", "From the recorded decision to the end of the stream.", ("reason",), CUT
        )
        self.heartbeats = self._counter("heartbeats_total", "Heartbeats received.", ("camera_state",))
        self.clock_skew_seconds = self._histogram(
            "terminal_clock_skew_seconds", "How far a terminal's clock is off, either way, at each heartbeat.", (), SKEW
        )
        self.temperature_celsius = self._histogram(
            "terminal_temperature_celsius", "Mainboard temperature at each heartbeat.", (), CELSIUS
        )
        self.terminal_queue_length = self._histogram(
            "terminal_queue_length", "Requests waiting in a terminal at each heartbeat.", (), LENGTH
        )
        self.commands = self._counter(
            "commands_total",
            "Commands; outcome: SENT, DONE, FAILED, UNSUPPORTED, SUPERSEDED (no longer applied), EXPIRED, CANCELLED.",
            ("action", "outcome"),
        )

    def _certificates(self) -> None:
        self.enrollments = self._counter("enrollments_total", "Enroll calls; outcome: ENROLLED, REFUSED.", ("outcome",))
        self.certificates_issued = self._counter(
            "certificates_issued_total", "Certificates issued to terminals.", ("cause",)
        )
        self.certificate_days_to_expiry = self._snapshot(
            "certificate_days_to_expiry", "Days left on the current certificates of ACTIVE terminals, now.", DAYS
        )
        self.certificates_renewal_overdue = self._gauge(
            "certificates_renewal_overdue", "Current certificates past half of the time between renewal and expiry.", ()
        )
        self.ca_signatures = self._counter(
            "ca_signatures_total",
            "Signatures of issuing keys.",
            ("purpose",),
        )
        self.ca_signature_failures = self._counter(
            "ca_signature_failures_total", "Signatures that could not be made, by the reason.", ("purpose", "reason")
        )
        self.ca_signature_seconds = self._histogram(
            "ca_signature_seconds", "Time of one signature of an issuing key, in file or token.", (), FAST
        )
        self.issuing_certificate_expiry = self._gauge(
            "issuing_certificate_expiry_timestamp_seconds", "When the active issuing certificate expires.", ()
        )
        self.server_certificate_expiry = self._gauge(
            "server_certificate_expiry_timestamp_seconds", "When the server's own certificate expires.", ()
        )

    def _identity(self) -> None:
        self.certificates_lapsed = self._gauge(
            "certificates_lapsed", "ACTIVE terminals whose certificate is over, whatever else looks well.", ()
        )
        self.certificates_missing_rotation = self._gauge(
            "certificates_missing_rotation",
            "Certificates that end within a week and will not be renewed.",
            ("missing",),
        )
        self.findings_open = self._gauge(
            "findings_open", "Findings of the fleet checks that ask for somebody.", ("kind", "severity")
        )
        self.issuer_terminals = self._gauge(
            "issuer_terminals", "ACTIVE terminals by the state of their certificate's issuer.", ("issuer_state",)
        )
        self.issuer_expiry = self._gauge(
            "issuer_expiry_timestamp_seconds", "When the first of the issuers in a state expires.", ("issuer_state",)
        )
        self.rollouts = self._gauge("rollouts", "Rollouts.", ("rollout_state",))
        self.rollout_members = self._gauge(
            "rollout_members", "Terminals in rollouts that are still worked on.", ("member_state",)
        )
        self.revocation_log_entries = self._gauge("revocation_log_entries", "Entries of the log of revocations.", ())
        self.audit_unsigned_entries = self._gauge(
            "audit_unsigned_entries", "Entries of the audit log after the newest signed checkpoint.", ()
        )
        self.audit_checkpoint = self._gauge(
            "audit_checkpoint_timestamp_seconds", "When the audit log was last signed; 0: never.", ()
        )

    def _face(self) -> None:
        self.face_sessions = self._counter(
            "face_sessions_total",
            "Ended sessions; outcome: MATCHED, NOT_MATCHED, SPOOF_SUSPECTED, INSUFFICIENT, CONSENT_REFUSED, ABORTED.",
            ("region", "business_type", "outcome"),
        )
        self.face_sessions_open = self._gauge("face_sessions_open", "Sessions under way in this process.", ())
        self.face_decision_seconds = self._histogram(
            "face_decision_seconds", "From the last frame that was needed to the decision.", ("outcome",), FRAME
        )
        self.face_session_seconds = self._histogram(
            "face_session_seconds", "From start to decision.", ("outcome",), SESSION
        )
        self.face_frame_seconds = self._histogram("face_frame_seconds", "Work of the pipeline on one frame.", (), FRAME)
        self.face_frames = self._counter(
            "face_frames_total",
            "Frames; result: LOOKED_AT, UNUSABLE, DROPPED (came faster than the profile).",
            ("result",),
        )
        self.face_liveness = self._counter("face_liveness_total", "Decisions by liveness band.", ("band",))
        self.face_reasons = self._counter(
            "face_reasons_total",
            "Why sessions were not live, as the pipeline calls it; one session may have several reasons. outcome: "
            "SPOOF_SUSPECTED, INSUFFICIENT.",
            ("outcome", "reason"),
        )
        self.face_assurance = self._counter(
            "face_assurance_total",
            "Live sessions by what stood behind them: COLOUR, COLOUR_UNMOVED, SOLID (depth agreed).",
            ("assurance",),
        )
        self._face_proofs()

    def _face_proofs(self) -> None:
        self.face_seals = self._counter(
            "face_seals_total",
            "Seals over frames; finding: VERIFIED, MISSING, BROKEN (another key, or other frames), NOT_ASKED.",
            ("finding",),
        )
        self.face_replays = self._counter(
            "face_replays_total", "Sessions that showed frames of an earlier session again.", ()
        )
        self.face_identifications = self._counter(
            "face_identifications_total",
            "Faces looked for among many; result: FOUND, AMBIGUOUS (several alike), NOBODY.",
            ("result",),
        )
        self.face_second_factors = self._counter(
            "face_second_factors_total",
            "Answers to the second factor; result: RIGHT, WRONG, TIMEOUT, EXHAUSTED (no tries left).",
            ("result",),
        )
        self.face_confirmations = self._counter(
            "face_confirmations_total",
            "Sessions of practitioners; result: CONFIRMED, NOT_CONFIRMED. Who is not at their site is in "
            "rpc_refusals_total.",
            ("result",),
        )

    def _credentials(self) -> None:
        self.activations = self._counter(
            "activations_total",
            "Activations of credentials; outcome: ACTIVATED, REISSUED (name or number changed), UNCHANGED, REFUSED.",
            ("outcome",),
        )
        self.credentials_ended = self._counter(
            "credentials_ended_total", "Credentials ended by their holders; outcome: ENDED, REFUSED.", ("outcome",)
        )
        self.codes = self._counter(
            "credential_codes_total",
            "Dynamic codes; result: ISSUED, ISSUE_REFUSED, RESOLVED, RESOLVE_REFUSED. Those that paid are in "
            "authorizations_total.",
            ("result",),
        )
        self.family_bindings = self._counter(
            "family_bindings_total",
            "Family accounts; outcome: BOUND, BIND_REFUSED, UNBOUND, UNBIND_REFUSED.",
            ("outcome",),
        )
        self.register_questions = self._counter(
            "register_questions_total",
            "Questions to the register of people elsewhere; result: FOUND, NOT_FOUND, UNAVAILABLE.",
            ("result",),
        )
        self.register_seconds = self._histogram(
            "register_seconds", "Time of one question to the register of people elsewhere.", ("result",), FAST
        )

    def _settlement(self) -> None:
        self.settlements = self._counter(
            "settlements_total",
            "Settle calls; outcome: SETTLED, REPEATED (the receipt of an earlier call), FAILED, UNKNOWN.",
            ("business_type", "outcome"),
        )
        self.settled_fen = self._counter("settled_fen_total", "Money settled, in fen, by who pays.", ("share",))
        self.self_paid_fen = self._counter(
            "self_paid_fen_total",
            "Of the self-paid part of what was settled, in fen, by where it came from.",
            ("channel",),
        )
        self.settlement_seconds = self._histogram("settlement_seconds", "Time of one Settle.", ("outcome",), FAST)
        self.authorizations = self._counter(
            "authorizations_total",
            "What terminals offered as authorization; outcome: ACCEPTED, REFUSED.",
            ("way", "outcome"),
        )
        self.pin_attempts = self._counter(
            "pin_attempts_total", "PINs tried; result: RIGHT, WRONG, LOCKED.", ("result",)
        )
        self.settlements_unknown = self._gauge("settlements_unknown", "Settlements whose outcome nobody knows yet.", ())
        self.settlement_unknown_age = self._gauge(
            "settlement_unknown_age_seconds",
            "Age of the oldest settlement with an unknown outcome; 0 when there is none.",
            (),
        )
        self.settlement_resolutions = self._counter(
            "settlement_resolutions_total",
            "Ends of doubt; outcome: SETTLED, FAILED, REVERSED, CANCELLED, DEAD_LETTER (given up, needs a person).",
            ("outcome",),
        )
        self.settlement_dead_letters = self._gauge(
            "settlement_dead_letters", "Unknown settlements that were given up on and need a person.", ()
        )

        self._doubt()
        self._core()

    def _core(self) -> None:
        self.core_calls = self._counter(
            "core_calls_total",
            "Messages sent to a provincial core, each try; result: GOOD, CORE_REFUSED, CORE_DOUBTFUL, NOT_SENT, "
            "LINE_BROKEN, ANSWER_GARBLED, ANSWER_FOREIGN, ANSWER_UNSIGNED, FIELD_UNFIT, BREAKER_OPEN, LEFT (given up).",
            ("infno", "result"),
        )
        self.core_call_seconds = self._histogram(
            "core_call_seconds", "Time of one try of a message to a provincial core.", ("infno",), FAST
        )
        self.core_breaker_open = self._gauge(
            "core_breaker_open", "1 while a provincial core is not asked because it kept failing.", ()
        )
        self.core_disagreements = self._counter(
            "core_disagreements_total",
            "Bookings of a provincial core that were not what was quoted; they are reversed.",
            (),
        )

    def _doubt(self) -> None:
        self.settlement_doubts = self._gauge(
            "settlement_doubts", "Settlements in doubt, by what is wanted of the insurer.", ("intent",)
        )
        self.settlement_tries = self._histogram(
            "settlement_tries", "Tries after which a doubt ended, or was given up.", (), TRIES
        )
        self.settlement_last_resolution = self._gauge(
            "settlement_last_resolution_timestamp_seconds", "When this process last ended a doubt; 0 before.", ()
        )
        self.reconciliations = self._counter(
            "reconciliations_total",
            "Days of our books compared with the insurer's; outcome: AGREES, DIFFERS, FAILED (no usable answer).",
            ("outcome",),
        )
        self.reconciliation_items = self._gauge(
            "reconciliation_items", "Differences to the insurer's books that are open.", ("difference",)
        )
        self.reconciliation_oldest_age = self._gauge(
            "reconciliation_oldest_item_age_seconds", "Age of the oldest open difference; 0 when there is none.", ()
        )
        self.reconciliation_last_success = self._gauge(
            "reconciliation_last_success_timestamp_seconds",
            "When a run of the reconciliation, on any replica, last compared every open day; 0 before.",
            (),
        )
        self.terminal_days = self._counter(
            "terminal_days_total",
            "Days that terminals compared with ours; outcome: AGREES, DIFFERS.",
            ("outcome",),
        )

    def _store(self) -> None:
        self.store_commit_seconds = self._histogram(
            "store_commit_seconds", "One commit of the writer, with its fsync.", (), FAST
        )
        self.store_batch_writes = self._histogram("store_batch_writes", "Writes that shared one commit.", (), BATCH)
        self.store_queue_length = self._gauge("store_queue_length", "Writes waiting for the writer.", ())
        self.store_failures = self._counter("store_failures_total", "Writes not taken or lost.", ("reason",))
        self.events_lag_seconds = self._gauge(
            "events_lag_seconds", "Time since the events table was last followed.", ()
        )

    def _platform(self) -> None:
        self.ready = self._gauge("ready", "1 when the check passes.", ("check",))
        self.last_success = self._gauge(
            "last_success_timestamp_seconds", "When a task of the background last went well.", ("task",)
        )
        self.build_info = self._gauge("build_info", "Always 1; the label tells what runs.", ("version",))
        self.build_info.labels(installed_version()).set(1)

    def _counter(self, name: str, about: str, labels: Sequence[str]) -> Counter:
        self._define(name, "counter", about, labels)
        return Counter(name, about, labels, namespace=NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, about: str, labels: Sequence[str]) -> Gauge:
        self._define(name, "gauge", about, labels)
        return Gauge(name, about, labels, namespace=NAMESPACE, registry=self.registry)

    def _histogram(self, name: str, about: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        self._define(name, "histogram", about, labels)
        return Histogram(name, about, labels, namespace=NAMESPACE, registry=self.registry, buckets=buckets)

    def _snapshot(self, name: str, about: str, buckets: Sequence[float]) -> SnapshotHistogram:
        self._define(name, "snapshot histogram", about, ())
        snapshot = SnapshotHistogram(name=f"{NAMESPACE}_{name}", about=about, buckets=buckets)
        self.registry.register(snapshot)
        return snapshot

    def _define(self, name: str, kind: str, about: str, labels: Sequence[str]) -> None:
        self.definitions.append(Definition(name=f"{NAMESPACE}_{name}", kind=kind, about=about, labels=tuple(labels)))


def installed_version() -> str:
    """Return the version of the installed distribution, or `unknown` outside of one."""
    try:
        return version(NAMESPACE)
    except PackageNotFoundError:
        return "unknown"
