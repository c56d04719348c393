"""What can be set, once, at start: one TOML file, the environment over it, frozen records out of it.

Each field says its meaning, unit, default and bound; docs/configuration.md is printed from here. Secrets are
never values: they are files under `data_dir/keys` or at a path that is named here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from server.ports import AdminClient, AdminListener, Diagnostics, EnrollmentListener, HttpListener, TerminalListener
from server.settings import Between, ConfigError, Setting, read_settings, settings_of
from server.settings.credential import CredentialSettings, RegisterSettings, register_mistakes
from server.settings.insurer import FsiSettings, InsurerSettings, insurer_mistakes
from server.settings.registry import RegistrySettings
from server.settings.self_pay import SelfPaySettings
from server.trust import AuthoritySettings, KeyBackend, Tls

PREFIX = "SHUALIAN_"
ENVELOPE_BYTES = 65_536
"""What a message holds at most beside the pictures of a frame."""

_MS, _S, _MIN, _H, _D = (
    timedelta(milliseconds=1),
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


class LogLevel(StrEnum):
    """From how important on a log line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class GalleryIndexKind(StrEnum):
    """Where the faces lie that a face without a name is compared with."""

    MEMORY = "memory"
    PGVECTOR = "pgvector"


class GalleryScope(StrEnum):
    """Among whom a face without a name is looked for."""

    SITE = "site"
    REGION = "region"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSettings:
    """Face sessions. Thresholds of the models are the pipeline's own policy (docs/models.md)."""

    similarity_min: Annotated[float, Between(0.33, 0.9)] = 0.399
    """Cosine from which on two faces are one person. 0.399: one false accept in 10,000 (docs/models.md)."""
    session_lifetime: Annotated[timedelta, Between(5 * _S, 2 * _MIN)] = 20 * _S
    """From Accepted to the latest possible decision."""
    stalled_after: Annotated[timedelta, Between(1 * _S, 1 * _MIN)] = 8 * _S
    """Silence of the terminal after which a session is ended."""
    frames_max: Annotated[int, Between(10, 2_000)] = 400
    """Frames of one session that are taken; one more ends it."""
    frame_bytes_max: Annotated[int, Between(20_000, 2_097_152)] = 1_048_576
    """Bytes of one frame."""
    frames_waiting_max: Annotated[int, Between(1, 32)] = 4
    """Frames of one session that wait for a worker; a newer one pushes the oldest out."""
    frames_per_second: Annotated[int, Between(2, 30)] = 12
    """Frames a second a terminal is asked to send."""
    longer_side_px: Annotated[int, Between(320, 1920)] = 640
    """Longer side a terminal is asked to send, in pixels."""
    workers: Annotated[int, Between(1, 64)] = 2
    """Threads that look at frames; more than the machine's cores bring nothing."""
    guidance_interval: Annotated[timedelta, Between(50 * _MS, 5 * _S)] = 300 * _MS
    """Shortest time between two hints to the same person, unless the task changes."""
    frame_age_max: Annotated[timedelta, Between(200 * _MS, 10 * _S)] = 1 * _S
    """A frame that waited longer for its turn is not looked at."""
    capture_skew_max: Annotated[timedelta, Between(2 * _S, 10 * _MIN)] = 30 * _S
    """How far the time a frame was taken may be from ours when it comes."""
    seal_within: Annotated[timedelta, Between(100 * _MS, 30 * _S)] = 2 * _S
    """How long a terminal has to seal its frames."""
    replay_prints_max: Annotated[int, Between(1_000, 5_000_000)] = 200_000
    """Prints of frames kept in memory to recognise a replay, 46 bytes each; a session has up to 64."""
    replay_kept_for: Annotated[timedelta, Between(1 * _H, 400 * _D)] = 30 * _D
    """How long prints are kept in the database."""
    replay_sessions_max: Annotated[int, Between(100, 10_000_000)] = 100_000
    """Sessions whose prints are kept in the database, at most 2 KiB each; the oldest make room."""
    second_factor_tries_max: Annotated[int, Between(1, 5)] = 2
    """Answers somebody has who was looked for among many."""
    second_factor_within: Annotated[timedelta, Between(5 * _S, 5 * _MIN)] = 60 * _S
    """How long they have for all of them."""
    guesses_per_person_max: Annotated[int, Between(1, 1_000)] = 6
    """Wrong second factors for a person within `guesses_per_person_within`, over all terminals; then none is right."""
    guesses_per_person_within: Annotated[timedelta, Between(1 * _MIN, 30 * _D)] = 1 * _D
    """See `guesses_per_person_max`."""
    guesses_per_terminal_max: Annotated[int, Between(1, 10_000)] = 30
    """Wrong second factors at one terminal within an hour; then it identifies nobody for a while."""
    failures_per_claim_max: Annotated[int, Between(1, 1_000)] = 12
    """Face sessions for one claimed person, over all terminals, that did not end in a match, within
    `failures_per_claim_within`; then the other ways to pay are left."""
    failures_per_claim_within: Annotated[timedelta, Between(1 * _MIN, 30 * _D)] = 1 * _H
    """See `failures_per_claim_max`."""
    failures_per_terminal_max: Annotated[int, Between(1, 100_000)] = 300
    """Such sessions at one terminal within an hour, whoever was claimed; then it looks at nobody for a while."""
    gallery_scope: GalleryScope = GalleryScope.SITE
    """Among whom a face without a name is looked for: "site", the people enrolled for that site; or "region", all of
    the site's region."""
    gallery_index: GalleryIndexKind = GalleryIndexKind.MEMORY
    """Where they are compared: "memory", in every process; or "pgvector", in PostgreSQL, where they are NOT encrypted
    but only turned by a secret matrix. Read docs/decisions/0005-vectors-in-postgresql.md before."""
    gallery_people_max: Annotated[int, Between(1, 2_000_000)] = 1_000
    """People of one site or region who may be looked among; with more, nobody is identified there (DESIGN 9)."""
    rules: Path | None = None
    """TOML file with what is different from the shipped `server/faces/rules.toml`: what is asked of a face by business
    type and amount, and what it is good for; empty: nothing is. See docs/operations/face-policy.md."""
    consent_age_max: Annotated[timedelta, Between(10 * _S, 1 * _D)] = 5 * _MIN
    """How long before a session somebody may have consented to it; an older answer was given to something else."""
    consent_ahead_max: Annotated[timedelta, Between(timedelta(), 10 * _MIN)] = 30 * _S
    """How far in the future a consent may lie, by a terminal's clock that is ahead of ours."""
    consent_texts: tuple[str, ...] = ()
    """Versions of the consent text that are in use; empty: any version is taken, and written down."""
    assertion_lifetime: Annotated[timedelta, Between(10 * _S, 120 * _S)] = 120 * _S
    """Life of a face assertion; at most 120 s (I4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementSettings:
    """Money: limits, quotes, PINs, and how doubt is worked off."""

    amount_limit_fen: Annotated[int, Between(1, 1_000_000_000)] = 5_000_000
    """The most one face assertion pays, in fen."""
    pin_free_limit_fen: Annotated[int, Between(0, 1_000_000_000)] = 50_000
    """免密额度: above this amount, in fen, a face also needs the PIN."""
    pin_free_day_fen: Annotated[int, Between(0, 1_000_000_000_000)] = 100_000
    """What one person pays without a PIN on one day at most, over all terminals, by face and by code together, in fen;
    then the PIN is asked for. 1,000 yuan: from there wallets ask for a password."""
    pin_free_day_count: Annotated[int, Between(0, 1_000_000_000)] = 10
    """How often at most; wallets allow ten. 0: never without a PIN."""
    quote_lifetime: Annotated[timedelta, Between(10 * _S, 1 * _H)] = 10 * _MIN
    """Life of a quote."""
    local_rules: Path | None = None
    """TOML file with the benefit rules of the local insurer, in the place of the shipped example; see
    docs/operations/benefit-rules.md."""
    time_zone: str = "Asia/Shanghai"
    """Zone whose midnight ends the day in which a settlement can be cancelled; an IANA name."""
    pin_attempts_max: Annotated[int, Between(1, 20)] = 5
    """Wrong PINs in a row after which a person's PIN is locked."""
    pin_lock_for: Annotated[timedelta, Between(1 * _MIN, 7 * _D)] = 30 * _MIN
    """How long it is locked."""
    insurer_timeout: Annotated[timedelta, Between(100 * _MS, 2 * _MIN)] = 15 * _S
    """How long an insurer outside this process is waited for before the outcome is UNKNOWN."""
    resolve_interval: Annotated[timedelta, Between(100 * _MS, 10 * _MIN)] = 5 * _S
    """How often UNKNOWN settlements are looked for."""
    resolve_backoff_max: Annotated[timedelta, Between(1 * _S, 1 * _D)] = 1 * _H
    """The longest wait between two attempts at one UNKNOWN settlement; it doubles up to here."""
    resolve_attempts_max: Annotated[int, Between(1, 1_000)] = 20
    """Attempts after which an UNKNOWN settlement is a dead letter and somebody is called."""
    resolve_age_max: Annotated[timedelta, Between(1 * _MIN, 30 * _D)] = 1 * _D
    """Age of a doubt after which it is one too, after at least three attempts."""
    reconcile_interval: Annotated[timedelta, Between(1 * _S, 1 * _D)] = 15 * _MIN
    """How often our books are compared with the insurer's, over all replicas together."""
    reconcile_days_back: Annotated[int, Between(1, 60)] = 8
    """Past days that are compared although they agreed before: as long as a settlement can be reversed, and one."""
    reconcile_in_detail: bool = True
    """Whether a day is compared payment by payment once when it is over, also where its totals agree: differences that
    cancel out are in no total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The database."""

    url: str = ""
    """`postgresql://user@host/database?passfile=/path`, never with a password; SQLite in `data_dir` when empty."""
    queue_length_max: Annotated[int, Between(1, 1_000_000)] = 4_096
    """Writes that may wait; one more is refused at once."""
    batch_max: Annotated[int, Between(1, 10_000)] = 256
    """Writes that share one commit at most."""
    readers: Annotated[int, Between(1, 64)] = 2
    """Threads that read."""
    poll_interval: Annotated[timedelta, Between(10 * _MS, 500 * _MS)] = 100 * _MS
    """How often changes made by other processes are looked for; half of what I2 allows at the very most."""
    lag_max: Annotated[timedelta, Between(500 * _MS, 10 * _S)] = 2 * _S
    """When changes could not be followed for longer than this, every terminal is refused: its standing may be stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """The fleet checks: how often every terminal is looked at, and by which policy."""

    audit_interval: Annotated[timedelta, Between(100 * _MS, 5 * _MIN)] = 2 * _MIN
    """How often the fleet is audited, over all replicas together."""
    risk_policy: Path | None = None
    """TOML file with what is different from the shipped `device_registry/fleet/risk_policy.toml`; empty: nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds that keep one terminal from starving the others (I11)."""

    message_bytes_max: Annotated[int, Between(65_536, 16_777_216)] = 3_211_264
    """Largest message taken, in bytes; three pictures of 1 MiB (see `face.frame_bytes_max`) and their envelope."""
    streams_per_connection_max: Annotated[int, Between(4, 10_000)] = 64
    """Calls one connection may have open at once."""
    calls_per_second: Annotated[float, Between(0.1, 100_000)] = 50.0
    """Calls a terminal may start in the long run; on the enrollment port, an address."""
    calls_burst: Annotated[int, Between(1, 100_000)] = 100
    """Calls it may start at once after a rest."""
    messages_per_second: Annotated[float, Between(1, 100_000)] = 60.0
    """Messages a second a terminal may send on one stream in the long run; frames come at up to 30."""
    messages_burst: Annotated[int, Between(1, 100_000)] = 120
    """Messages it may send at once after a rest."""
    calls_open_per_terminal_max: Annotated[int, Between(2, 10_000)] = 16
    """Calls a terminal may have open at once, its control stream among them."""
    face_sessions_per_terminal_max: Annotated[int, Between(1, 100)] = 2
    """Face sessions a terminal may have open at once."""
    face_sessions_per_worker_max: Annotated[int, Between(1, 1_000)] = 3
    """Face sessions this process runs at once for each of `face.workers`: with more, nobody is decided in time. Each
    waiting terminal gets one before any gets two."""
    keepalive_time: Annotated[timedelta, Between(1 * _S, 10 * _MIN)] = 30 * _S
    """Silence after which the transport asks whether the other end is there."""
    keepalive_timeout: Annotated[timedelta, Between(500 * _MS, 1 * _MIN)] = 10 * _S
    """How long the answer may take."""
    keepalive_permitted: Annotated[timedelta, Between(1 * _S, 10 * _MIN)] = 10 * _S
    """A terminal that asks more often than this is disconnected."""
    handshake_timeout: Annotated[timedelta, Between(1 * _S, 2 * _MIN)] = 10 * _S
    """How long a TLS handshake may take."""
    stop_grace: Annotated[timedelta, Between(100 * _MS, 5 * _MIN)] = 10 * _S
    """After SIGTERM, how long running calls may go on."""
    reconnect_spread: Annotated[timedelta, Between(1 * _S, 10 * _MIN)] = 20 * _S
    """When the platform stops, terminals are told to come back at a random moment within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Log lines: JSON on standard error."""

    level: LogLevel = LogLevel.INFO
    """From how important on a line is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set."""

    data_dir: Path = Path("shualian-data")
    """Folder of the database, the keys and the issuing authority; mode 0700. Relative to the working directory."""
    models_dir: Path = Path("~/.cache/shualian/models")
    """Folder of the installed models; `shualian models install` fills it."""
    models_manifest: Path | None = None
    """Your own manifest of models, laid over the one that is shipped; see docs/models.md."""
    enrollment: EnrollmentListener = field(default_factory=EnrollmentListener)
    terminal: TerminalListener = field(default_factory=TerminalListener)
    admin: AdminListener = field(default_factory=AdminListener)
    admin_client: AdminClient = field(default_factory=AdminClient)
    http: HttpListener = field(default_factory=HttpListener)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    tls: Tls = field(default_factory=Tls)
    authority: AuthoritySettings = field(default_factory=AuthoritySettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    face: FaceSettings = field(default_factory=FaceSettings)
    settlement: SettlementSettings = field(default_factory=SettlementSettings)
    insurer: InsurerSettings = field(default_factory=InsurerSettings)
    fsi: FsiSettings = field(default_factory=FsiSettings)
    self_pay: SelfPaySettings = field(default_factory=SelfPaySettings)
    credential: CredentialSettings = field(default_factory=CredentialSettings)
    register: RegisterSettings = field(default_factory=RegisterSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    limits: Limits = field(default_factory=Limits)
    log: Log = field(default_factory=Log)

    @property
    def keys_dir(self) -> Path:
        """Folder of the secret keys, mode 0700."""
        return self.data_dir / "keys"

    @property
    def authority_dir(self) -> Path:
        """Folder that `shualian ca init` writes: `root/` to be taken offline, `issuing/` to stay."""
        return self.data_dir / "ca"

    @property
    def ca_passphrase(self) -> Path:
        """File with the passphrase of the issuing key."""
        return self.tls.ca_passphrase or self.keys_dir / "ca-passphrase"

    @property
    def hsm_pin(self) -> Path:
        """File with the user PIN of the token that holds the issuing keys."""
        return self.authority.pin_file or self.keys_dir / "hsm-pin"

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.store.url or f"sqlite:///{self.data_dir / 'shualian.sqlite'}"

    @property
    def face_sessions_max(self) -> int:
        """Face sessions this process runs at once."""
        return self.face.workers * self.limits.face_sessions_per_worker_max

    @property
    def witness(self) -> Path:
        """Where the revocations are repeated outside the database."""
        return self.registry.witness or self.data_dir / "witness" / "revocations.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where the audit log's checkpoints are kept outside the database."""
        return self.registry.checkpoints or self.data_dir / "witness" / "checkpoints.jsonl"

    @property
    def diagnostics_socket(self) -> Path:
        """Where the diagnostics socket is."""
        return self.diagnostics.socket or self.data_dir.absolute() / "run" / "diagnostics.sock"


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return the configuration from a TOML file, if there is one, and the environment over it.

    Raises:
        ConfigError: something is wrong; all that is wrong is listed.
    """
    config = read_settings(Config, path=path, environ=environ, prefix=PREFIX)
    mistakes = tuple(_contradictions(config))
    if mistakes:
        raise ConfigError(mistakes=mistakes)
    return replace(config, models_dir=config.models_dir.expanduser())


def settings() -> Iterator[Setting]:
    """Yield every setting there is, as rows of the reference page."""
    return settings_of(Config, prefix=PREFIX)


def _contradictions(config: Config) -> Iterator[str]:
    """Yield what is wrong between settings that are each right."""
    if (config.tls.certificate is None) != (config.tls.private_key is None):
        yield "tls.certificate and tls.private_key: name both or neither"
    if config.authority.backend is KeyBackend.PKCS11 and config.authority.pkcs11_module is None:
        yield "authority.pkcs11_module: name the token's library when authority.backend is pkcs11"
    if config.registry.overdue_after < 2 * config.registry.heartbeat_interval:
        yield "registry.overdue_after: must be at least two heartbeat intervals"
    if config.registry.nonces_open_per_address_max > config.registry.nonces_open_max:
        yield "registry.nonces_open_per_address_max: must not be above registry.nonces_open_max"
    yield from insurer_mistakes(config.insurer, config.fsi, insurer_timeout=config.settlement.insurer_timeout)
    if config.settlement.pin_free_limit_fen > config.settlement.amount_limit_fen:
        yield "settlement.pin_free_limit_fen: must not be above settlement.amount_limit_fen"
    if config.limits.face_sessions_per_terminal_max > config.face_sessions_max:
        yield "limits.face_sessions_per_terminal_max: must not be above face_sessions_per_worker_max x face.workers"
    if config.limits.message_bytes_max < 3 * config.face.frame_bytes_max + ENVELOPE_BYTES:
        yield "limits.message_bytes_max: must hold three pictures of face.frame_bytes_max"
    if config.store.lag_max < 2 * config.store.poll_interval:
        yield "store.lag_max: must be at least two poll intervals"
    if config.face.gallery_index is GalleryIndexKind.PGVECTOR and not config.store.url.startswith("postgresql"):
        yield "face.gallery_index: pgvector needs PostgreSQL in store.url"
    yield from register_mistakes(config.register)
    yield from _database_mistakes(config.store.url)


def _database_mistakes(url: str) -> Iterator[str]:
    """Yield what is wrong with the database's URL, without repeating it: it may hold what it must not."""
    parts = urlsplit(url)
    if url and parts.scheme.partition("+")[0] not in {"sqlite", "postgresql"}:
        yield "store.url: must begin with sqlite:/// or postgresql://"
    if parts.password is not None or "password" in parse_qs(parts.query):
        yield "store.url: must not hold a password; name a file with ?passfile=/path, see docs/operations/postgresql.md"
