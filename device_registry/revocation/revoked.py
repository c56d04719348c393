"""One entry of the log of revocations: what it says, and the hash that binds it to the one before. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from device_registry.tables import time_from_microseconds

FIRST_HASH = "0" * 64
_canonical_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class RevocationKind(StrEnum):
    """What an entry is about."""

    CERTIFICATE = "CERTIFICATE"
    """One certificate of a terminal."""
    TERMINAL = "TERMINAL"
    """A terminal, for good."""
    EVICTION = "EVICTION"
    """A terminal, until it enrolls again."""
    BAN = "BAN"
    """A device, by serial number and factory key, under any registration."""
    UNBAN = "UNBAN"
    """The end of a ban."""
    SUSPENSION = "SUSPENSION"
    """A terminal, until it is resumed."""
    QUARANTINE = "QUARANTINE"
    """A terminal, until someone has looked."""
    RELEASE = "RELEASE"
    """The end of a suspension or quarantine."""
    ISSUER = "ISSUER"
    """An issuing authority with all it has signed."""
    OPERATOR = "OPERATOR"
    """An operator's certificate."""
    MAKER = "MAKER"
    """The approval of a manufacturer."""
    MODEL = "MODEL"
    """The approval of a model."""
    TICKET = "TICKET"
    """An installer's ticket."""
    ROLE = "ROLE"
    """A part of what an operator may do; `code` is the role that was left."""


class RevocationReason(StrEnum):
    """Why, in the words of RFC 5280, section 5.3.1."""

    UNSPECIFIED = "UNSPECIFIED"
    KEY_COMPROMISE = "KEY_COMPROMISE"
    CA_COMPROMISE = "CA_COMPROMISE"
    AFFILIATION_CHANGED = "AFFILIATION_CHANGED"
    SUPERSEDED = "SUPERSEDED"
    CESSATION_OF_OPERATION = "CESSATION_OF_OPERATION"
    CERTIFICATE_HOLD = "CERTIFICATE_HOLD"
    REMOVE_FROM_CRL = "REMOVE_FROM_CRL"
    PRIVILEGE_WITHDRAWN = "PRIVILEGE_WITHDRAWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One entry; the fields stand in the order in which they are hashed."""

    entry_id: int
    recorded_at: int
    """Microseconds since 1970, UTC."""
    kind: str
    subject: str
    """Id of the terminal, issuer, manufacturer, model or ticket, or name of the operator."""
    code: str
    """A `RevocationReason`; of a ROLE, the role."""
    serial_number: str
    """The device's; empty where there is none, as in all that follow."""
    factory_key_sha256: str
    issuer_id: str
    certificate_serial: str
    fingerprint: str
    not_after: int
    """End of the certificate, in microseconds; 0 where there is none."""
    entry_hash: str

    @property
    def at(self) -> datetime:
        """When it was recorded."""
        return time_from_microseconds(self.recorded_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedCertificate:
    """What a revocation list says of one certificate."""

    certificate_serial: str
    revoked_at: datetime
    code: RevocationReason


def entry_hash(previous: str, fields: Mapping[str, str | int]) -> str:
    """Return the hash that binds an entry to the one before; a JSON list keeps neighbours apart."""
    return hashlib.sha256(_canonical_json([previous, *fields.values()]).encode()).hexdigest()


def follows(entry: Revocation, number: int, previous: str) -> bool:
    """Return whether an entry is the one with this number, after the one with that hash."""
    return entry.entry_id == number and entry.entry_hash == entry_hash(previous, _fields(entry))


def rechained(previous: Revocation | None, entry: Revocation) -> Revocation:
    """Return an entry as it stands when it comes after another one."""
    fields = {**_fields(entry), "entry_id": (previous.entry_id if previous else 0) + 1}
    before = previous.entry_hash if previous else FIRST_HASH
    return Revocation(**fields, entry_hash=entry_hash(before, fields))  # type: ignore[arg-type] # the fields of one


def chained(entries: Iterator[Revocation]) -> Iterator[Revocation | None]:
    """Yield each entry whose place and hash are right, None for the first that does not fit, and nothing after it."""
    previous = FIRST_HASH
    for number, entry in enumerate(entries, start=1):
        if not follows(entry, number, previous):
            yield None
            return
        previous = entry.entry_hash
        yield entry


def _fields(entry: Revocation) -> dict[str, str | int]:
    return {name: value for name, value in asdict(entry).items() if name != "entry_hash"}
