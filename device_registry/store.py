"""The questions the registry asks its tables about sites, terminals, tokens, nonces and certificates."""

from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, func, insert, select, update

from device_registry.errors import TerminalUnknownError
from device_registry.model import (
    OPEN_STATUSES,
    CertificateRecord,
    CertificateStatus,
    EnrollmentToken,
    Site,
    Terminal,
    TerminalState,
)
from device_registry.tables import certificates, enrollment_nonces, enrollment_tokens, sites, terminals

# Statements are built once: SQLAlchemy then finds the compiled form by identity.
_SITES = select(sites).order_by(sites.c.site_id)
_SITE = select(sites).where(sites.c.site_id == bindparam("site_id"))
_TERMINALS = select(terminals, sites.c.region).join(sites, sites.c.site_id == terminals.c.site_id)
_TERMINAL = _TERMINALS.where(terminals.c.terminal_id == bindparam("terminal_id"))
_IN_SERVICE = _TERMINALS.where(
    terminals.c.serial_number == bindparam("serial_number"), terminals.c.state != TerminalState.RETIRED
)
_MOVE = (
    update(terminals)
    .where(terminals.c.terminal_id == bindparam("which"), terminals.c.state == bindparam("origin"))
    .values(state=bindparam("target"), state_reason=bindparam("because"), state_since=bindparam("at"))
)
_TOKEN = select(enrollment_tokens).where(enrollment_tokens.c.token_sha256 == bindparam("token_sha256"))
_SPEND_TOKEN = (
    update(enrollment_tokens)
    .where(enrollment_tokens.c.token_sha256 == bindparam("which"), enrollment_tokens.c.used_at.is_(None))
    .values(used_at=bindparam("at"))
)
_CLOSE_TOKENS = (
    update(enrollment_tokens)
    .where(
        enrollment_tokens.c.terminal_id == bindparam("whose"),
        enrollment_tokens.c.used_at.is_(None),
        enrollment_tokens.c.expires_at > bindparam("at"),
    )
    .values(expires_at=bindparam("at"))
)
_LAPSED_NONCES = delete(enrollment_nonces).where(enrollment_nonces.c.expires_at <= bindparam("at"))
_OPEN_NONCES = select(func.count(), func.min(enrollment_nonces.c.expires_at)).select_from(enrollment_nonces)
_THIS_NONCE = and_(
    enrollment_nonces.c.nonce_sha256 == bindparam("nonce_sha256"),
    enrollment_nonces.c.serial_number == bindparam("serial_number"),
    enrollment_nonces.c.expires_at > bindparam("at"),
)
_NONCE_OPEN = select(enrollment_nonces.c.nonce_sha256).where(_THIS_NONCE)
_SPEND_NONCE = delete(enrollment_nonces).where(_THIS_NONCE)
_CERTIFICATES = (
    select(certificates)
    .where(certificates.c.terminal_id == bindparam("terminal_id"))
    .order_by(certificates.c.issued_at, certificates.c.fingerprint)
)
_OPEN_CERTIFICATES = _CERTIFICATES.where(certificates.c.status.in_(OPEN_STATUSES))
_ISSUED_SINCE = select(func.count(), func.min(certificates.c.issued_at)).where(
    certificates.c.terminal_id == bindparam("terminal_id"), certificates.c.issued_at > bindparam("since")
)
_KEY_HOLDER = select(certificates.c.terminal_id).where(
    certificates.c.public_key_sha256 == bindparam("public_key_sha256")
)
_FACTORY_KEY_HOLDER = select(terminals.c.terminal_id).where(
    terminals.c.factory_key_sha256 == bindparam("public_key_sha256"), terminals.c.state != TerminalState.RETIRED
)
_OPEN_OF_TERMINAL = and_(certificates.c.terminal_id == bindparam("whose"), certificates.c.status.in_(OPEN_STATUSES))
_CLOSE_CERTIFICATES = (
    update(certificates)
    .where(_OPEN_OF_TERMINAL, certificates.c.fingerprint != bindparam("spared"))
    .values(status=bindparam("target"), status_since=bindparam("at"))
)
_SUPERSEDE = (
    update(certificates)
    .where(certificates.c.fingerprint == bindparam("which"), certificates.c.status == CertificateStatus.CURRENT)
    .values(status=CertificateStatus.SUPERSEDED, status_since=bindparam("at"), good_until=bindparam("until"))
)
_FIRST_USED = (
    update(certificates)
    .where(certificates.c.fingerprint == bindparam("which"), certificates.c.first_used_at.is_(None))
    .values(first_used_at=bindparam("at"))
)


# Sites and terminals -------------------------------------------------------------------------------


def all_sites(connection: Connection) -> list[Site]:
    """Return every site, oldest first."""
    return [Site(**row) for row in connection.execute(_SITES).mappings()]


def find_site(connection: Connection, site_id: str) -> Site | None:
    """Return a site, None when there is none."""
    row = connection.execute(_SITE, {"site_id": site_id}).mappings().first()
    return None if row is None else Site(**row)


def add_site(connection: Connection, site: Site) -> None:
    """Write a new site."""
    connection.execute(
        insert(sites),
        {
            "site_id": site.site_id,
            "name": site.name,
            "region": site.region,
            "kind": site.kind,
            "added_at": site.added_at,
        },
    )


def find_terminal(connection: Connection, terminal_id: str) -> Terminal | None:
    """Return a terminal, None when there is none."""
    row = connection.execute(_TERMINAL, {"terminal_id": terminal_id}).mappings().first()
    return None if row is None else Terminal(**row)


def the_terminal(connection: Connection, terminal_id: str) -> Terminal:
    """Return a terminal.

    Raises:
        TerminalUnknownError: there is none.
    """
    terminal = find_terminal(connection, terminal_id)
    if terminal is None:
        raise TerminalUnknownError(terminal_id=terminal_id)
    return terminal


def find_in_service(connection: Connection, serial_number: str) -> Terminal | None:
    """Return the one terminal with this serial number that is not retired."""
    row = connection.execute(_IN_SERVICE, {"serial_number": serial_number}).mappings().first()
    return None if row is None else Terminal(**row)


def add_terminal(connection: Connection, terminal: Terminal) -> None:
    """Write a new terminal; the region is its site's."""
    connection.execute(
        insert(terminals),
        {column.name: getattr(terminal, column.name) for column in terminals.columns},
    )


def move_terminal(
    connection: Connection, *, terminal_id: str, origin: TerminalState, target: TerminalState, reason: str, at: datetime
) -> bool:
    """Change a terminal's state if it still is the one that was read; return whether it was."""
    values = {"which": terminal_id, "origin": origin, "target": target, "because": reason, "at": at}
    return connection.execute(_MOVE, values).rowcount == 1


# Tokens and nonces ---------------------------------------------------------------------------------


def add_token(connection: Connection, token: EnrollmentToken, *, token_sha256: str, issued_at: datetime) -> None:
    """Write a new token, its hash in its stead."""
    connection.execute(
        insert(enrollment_tokens),
        {
            "token_sha256": token_sha256,
            "terminal_id": token.terminal_id,
            "serial_number": token.serial_number,
            "site_id": token.site_id,
            "issued_at": issued_at,
            "expires_at": token.expires_at,
        },
    )


def find_token(connection: Connection, token_sha256: str) -> RowMapping | None:
    """Return what is known of a token."""
    return connection.execute(_TOKEN, {"token_sha256": token_sha256}).mappings().first()


def spend_token(connection: Connection, *, token_sha256: str, at: datetime) -> bool:
    """Mark a token as used; return False when somebody was faster."""
    return connection.execute(_SPEND_TOKEN, {"which": token_sha256, "at": at}).rowcount == 1


def close_tokens(connection: Connection, *, terminal_id: str, at: datetime) -> None:
    """End the life of a terminal's open tokens."""
    connection.execute(_CLOSE_TOKENS, {"whose": terminal_id, "at": at})


def drop_lapsed_nonces(connection: Connection, *, at: datetime) -> None:
    """Forget the nonces whose time is over."""
    connection.execute(_LAPSED_NONCES, {"at": at})


def open_nonces(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many nonces are open and when the first of them lapses."""
    count, earliest = connection.execute(_OPEN_NONCES).one()
    return count, earliest


def add_nonce(connection: Connection, *, nonce_sha256: str, serial_number: str, expires_at: datetime) -> None:
    """Write the hash of a new nonce."""
    connection.execute(
        insert(enrollment_nonces),
        {"nonce_sha256": nonce_sha256, "serial_number": serial_number, "expires_at": expires_at},
    )


def nonce_is_open(connection: Connection, *, nonce_sha256: str, serial_number: str, at: datetime) -> bool:
    """Return whether a nonce is known for this serial number and good."""
    values = {"nonce_sha256": nonce_sha256, "serial_number": serial_number, "at": at}
    return connection.execute(_NONCE_OPEN, values).first() is not None


def spend_nonce(connection: Connection, *, nonce_sha256: str, serial_number: str, at: datetime) -> bool:
    """Use a nonce up; return False when it is unknown, lapsed or another serial number's."""
    values = {"nonce_sha256": nonce_sha256, "serial_number": serial_number, "at": at}
    return connection.execute(_SPEND_NONCE, values).rowcount == 1


# Certificates --------------------------------------------------------------------------------------


def add_certificate(connection: Connection, certificate: CertificateRecord) -> None:
    """Write a new certificate."""
    connection.execute(
        insert(certificates),
        {column.name: getattr(certificate, column.name) for column in certificates.columns},
    )


def list_certificates(connection: Connection, terminal_id: str) -> list[CertificateRecord]:
    """Return all certificates a terminal ever had, oldest first."""
    rows = connection.execute(_CERTIFICATES, {"terminal_id": terminal_id}).mappings()
    return [CertificateRecord(**row) for row in rows]


def list_open_certificates(connection: Connection, terminal_id: str) -> list[CertificateRecord]:
    """Return the certificates of a terminal that are neither retired nor revoked, oldest first."""
    rows = connection.execute(_OPEN_CERTIFICATES, {"terminal_id": terminal_id}).mappings()
    return [CertificateRecord(**row) for row in rows]


def issued_since(connection: Connection, *, terminal_id: str, since: datetime) -> tuple[int, datetime | None]:
    """Return how many certificates a terminal got since a moment, and when the first of them."""
    count, earliest = connection.execute(_ISSUED_SINCE, {"terminal_id": terminal_id, "since": since}).one()
    return count, earliest


def key_holder(connection: Connection, public_key_sha256: str) -> str | None:
    """Return the terminal that ever had a certificate for this key."""
    return connection.execute(_KEY_HOLDER, {"public_key_sha256": public_key_sha256}).scalar_one_or_none()


def factory_key_holder(connection: Connection, public_key_sha256: str) -> str | None:
    """Return the terminal in service that this factory key is pinned to."""
    return connection.execute(_FACTORY_KEY_HOLDER, {"public_key_sha256": public_key_sha256}).scalar_one_or_none()


def close_certificates(
    connection: Connection, *, terminal_id: str, status: CertificateStatus, at: datetime, spared: str = ""
) -> int:
    """Retire or revoke a terminal's open certificates but one; return how many."""
    values = {"whose": terminal_id, "spared": spared, "target": status, "at": at}
    return connection.execute(_CLOSE_CERTIFICATES, values).rowcount


def supersede_certificate(connection: Connection, *, fingerprint: str, at: datetime, good_until: datetime) -> None:
    """Let a current certificate live on until its successor is used; one superseded before keeps its earlier end."""
    connection.execute(_SUPERSEDE, {"which": fingerprint, "at": at, "until": good_until})


def mark_first_used(connection: Connection, *, fingerprint: str, at: datetime) -> None:
    """Note the first use of a certificate."""
    connection.execute(_FIRST_USED, {"which": fingerprint, "at": at})
