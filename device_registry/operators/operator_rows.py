"""What is asked of the tables of operators and their certificates, and how they are written."""

from sqlalchemy import Connection, bindparam, func, insert, select, update

from device_registry.model import IssuedCertificate
from device_registry.tables import operator_certificates, operators

ALL = select(operators).order_by(operators.c.name)
BY_NAME = select(operators).where(operators.c.name == bindparam("name"))
OPEN_CERTIFICATES = (
    select(operator_certificates)
    .where(operator_certificates.c.closed_at.is_(None))
    .order_by(operator_certificates.c.issued_at, operator_certificates.c.fingerprint)
)
BY_FINGERPRINT = (
    select(
        operators,
        operator_certificates.c.fingerprint,
        operator_certificates.c.not_after,
        operator_certificates.c.first_used_at,
        operator_certificates.c.closed_at,
    )
    .join(operators, operators.c.operator_id == operator_certificates.c.operator_id)
    .where(operator_certificates.c.fingerprint == bindparam("fingerprint"))
)
KEY_HOLDER = (
    select(operators.c.name)
    .join(operator_certificates, operator_certificates.c.operator_id == operators.c.operator_id)
    .where(operator_certificates.c.public_key_sha256 == bindparam("public_key_sha256"))
)
CHANGE = (
    update(operators)
    .where(operators.c.operator_id == bindparam("which"))
    .values(role=bindparam("new_role"), state=bindparam("new_state"), changed_at=bindparam("at"))
)
CLOSE = (
    update(operator_certificates)
    .where(
        operator_certificates.c.operator_id == bindparam("whose"),
        operator_certificates.c.closed_at.is_(None),
        operator_certificates.c.fingerprint != bindparam("spared"),
    )
    .values(closed_at=bindparam("at"))
)
FIRST_USED = (
    update(operator_certificates)
    .where(
        operator_certificates.c.fingerprint == bindparam("which"),
        operator_certificates.c.first_used_at.is_(None),
        operator_certificates.c.closed_at.is_(None),
    )
    .values(first_used_at=bindparam("at"))
)
CLOSE_UNUSED = (
    update(operator_certificates)
    .where(
        operator_certificates.c.operator_id == bindparam("whose"),
        operator_certificates.c.closed_at.is_(None),
        operator_certificates.c.first_used_at.is_(None),
    )
    .values(closed_at=bindparam("at"))
)
ISSUED_SINCE = select(func.count(), func.min(operator_certificates.c.issued_at)).where(
    operator_certificates.c.operator_id == bindparam("whose"), operator_certificates.c.issued_at > bindparam("since")
)


def remember(connection: Connection, operator_id: str, issued: IssuedCertificate, key_sha256: str) -> None:
    """Write a certificate that was signed."""
    connection.execute(
        insert(operator_certificates),
        {
            "fingerprint": issued.fingerprint,
            "certificate_serial": issued.certificate_serial,
            "operator_id": operator_id,
            "public_key_sha256": key_sha256,
            "issued_at": issued.issued_at,
            "not_after": issued.not_after,
            "issuer_id": issued.issuer_id,
        },
    )
