"""Where the national insurer is put together, from settings, secrets and a unit of work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from server.credentials.sealing import FieldSeal
from server.secret_files import KeyFileError, read_secret
from server.settings import ConfigError
from server.settings.insurer import FsiSettings
from server.settlement.insurers.fsi.booking import Bookings
from server.settlement.insurers.fsi.breaker import Breaker, BreakerState
from server.settlement.insurers.fsi.client import CoreLine, LineSettings
from server.settlement.insurers.fsi.core import Core, Retries
from server.settlement.insurers.fsi.envelope import Envelope, Institution
from server.settlement.insurers.fsi.errand import Errands
from server.settlement.insurers.fsi.institutions import Institutions, load_institutions
from server.settlement.insurers.fsi.insurer import FsiInsurer
from server.settlement.insurers.fsi.kinds import Kinds
from server.settlement.insurers.fsi.looking import Looks
from server.settlement.insurers.fsi.means import Means
from server.settlement.insurers.fsi.profile import NATIONAL, BodyEncryption, BodySignature, Profile, load_profile
from server.settlement.insurers.fsi.quoting import Quotes
from server.settlement.insurers.fsi.records import Records
from server.settlement.insurers.fsi.session import Sessions
from server.settlement.insurers.fsi.signing import Secrets, Sm2KeyUnusableError, sm2_private_key, sm2_public_key
from server.settlement.insurers.fsi.statements import FsiStatements
from server.settlement.insurers.fsi.tidying import Tidying
from server.settlement.insurers.fsi.undoing import Undoings
from server.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class FsiParts:
    """What is read from files, once, at start."""

    settings: FsiSettings
    profile: Profile
    secrets: Secrets
    institutions: Institutions


@dataclass(frozen=True, slots=True, kw_only=True)
class FsiCounts:
    """Who is told what happens on the line."""

    on_call: Callable[[str, str, float], None] = lambda _infno, _result, _seconds: None
    """Of each try: infno, result, seconds."""
    on_breaker: Callable[[BreakerState], None] = lambda _: None
    on_disagreement: Callable[[str], None] = lambda _: None
    """Of a booking that is not what was quoted: the field that says so."""


def read_fsi(settings: FsiSettings, *, keys_dir: Path) -> FsiParts:
    """Read profile, institutions and keys.

    Raises:
        ConfigError: the profile or the institutions are wrong, or a key is missing that the profile needs.
        KeyFileError: a key is missing, open to others, or not what it should be.
    """
    profile = load_profile(settings.profile or NATIONAL)
    mistakes = []
    if profile.signature.body is not BodySignature.NONE and settings.private_key is None:
        mistakes.append("fsi.private_key: the profile signs bodies, name the key")
    if profile.signature.answers and settings.core_key is None:
        mistakes.append("fsi.core_key: the profile wants signed answers, name the core's key")
    if profile.encryption.body is not BodyEncryption.NONE and not settings.app_id:
        mistakes.append("fsi.app_id: the profile encrypts bodies, name the application")
    if mistakes:
        raise ConfigError(mistakes=tuple(mistakes))
    default = Institution(code=settings.institution_code, name=settings.institution_name, region=settings.region)
    return FsiParts(
        settings=settings,
        profile=profile,
        institutions=load_institutions(settings.institutions, default=default, profile=profile),
        secrets=_secrets(settings, keys_dir),
    )


def fsi_insurer(
    parts: FsiParts,
    *,
    unit_of_work: UnitOfWork,
    now: Callable[[], datetime],
    seal: FieldSeal,
    quote_lifetime: timedelta,
    counts: FsiCounts,
) -> FsiInsurer:
    """Put the insurer together.

    Args:
        parts: what was read from files.
        unit_of_work: where everything is written down before the core is asked.
        now: the clock.
        seal: for what must not be read in the database.
        quote_lifetime: how long a quote lives; a registration outlives it, and is cancelled some time after.
        counts: who is told what happens.
    """
    settings, profile, institutions = parts.settings, parts.profile, parts.institutions
    records = Records(now=now, seal=seal, msgid=profile.msgid)
    core = _core(parts, now=now, counts=counts)
    sessions = Sessions(
        unit_of_work=unit_of_work,
        core=core,
        records=records,
        seal=seal,
        settings=profile.session,
        opter=settings.opter,
        now=now,
    )
    errands = Errands(unit_of_work=unit_of_work, core=core, sessions=sessions, records=records)
    means = Means(
        unit_of_work=unit_of_work,
        now=now,
        errands=errands,
        institutions=institutions,
        looks=Looks(errands=errands, institutions=institutions, settings=profile.answer),
        records=records,
        profile=profile,
        kinds=Kinds(profile),
    )
    return FsiInsurer(
        quotes=Quotes(means),
        bookings=Bookings(means, on_disagreement=counts.on_disagreement),
        undoings=Undoings(means),
        statements=FsiStatements(means),
        tidying=Tidying(means, unused_after=quote_lifetime + timedelta(hours=1)),
        errands=errands,
        institutions=institutions,
        records=records,
        core=core,
    )


def _core(parts: FsiParts, *, now: Callable[[], datetime], counts: FsiCounts) -> Core:
    settings = parts.settings
    return Core(
        line=CoreLine(
            LineSettings(
                base_url=settings.base_url,
                ca_file=settings.ca_file,
                connect_timeout=settings.connect_timeout,
                answer_timeout=settings.answer_timeout,
                connections_max=settings.connections_max,
            ),
            parts.secrets,
            now=now,
        ),
        envelope=Envelope(parts.profile, parts.secrets, opter=settings.opter, opter_name=settings.opter_name),
        breaker=Breaker(
            now=now,
            failures_max=settings.breaker_failures,
            open_for=settings.breaker_open_for,
            on_state=counts.on_breaker,
        ),
        paths=parts.profile.paths,
        retries=Retries(tries_max=settings.tries_max, pause=settings.retry_pause),
        now=now,
        on_call=counts.on_call,
    )


def _secrets(settings: FsiSettings, keys_dir: Path) -> Secrets:
    try:
        return Secrets(
            paasid=settings.paasid,
            secret=read_secret(settings.secret or keys_dir / "fsi-secret").decode().strip(),
            app_id=settings.app_id,
            private_key=None if settings.private_key is None else sm2_private_key(read_secret(settings.private_key)),
            core_key=None if settings.core_key is None else sm2_public_key(settings.core_key.read_bytes()),
        )
    except Sm2KeyUnusableError as error:
        raise KeyFileError(path=settings.private_key or keys_dir, detail="no SM2 key in PEM") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(path=settings.core_key or keys_dir, detail="cannot be read") from error
