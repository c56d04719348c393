"""Operators, their roles and their certificates, on a real database of each kind."""

import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from sqlalchemy import Connection, select

from device_registry import errors
from device_registry.authority.keys import make_private_key
from device_registry.authority.profiles import OPERATOR_URN
from device_registry.model import IssuedCertificate
from device_registry.operators.operators import CERTIFICATES_PER_DAY_MAX, Operator, Operators
from device_registry.operators.roles import OperatorState, Role
from device_registry.revocation.revoked import RevocationKind
from device_registry.tables import audit_log
from tests.support.authority import a_signing_request
from tests.support.builders import OPERATOR, RegistryBench, a_terminal


@pytest.fixture
def operators(bench: RegistryBench) -> Operators:
    return Operators(now=bench.clock.now, authority=bench.authority, audit=bench.audit, revocations=bench.revocations)


def added(
    connection: Connection, operators: Operators, name: str = "alice", role: Role = Role.OPERATOR
) -> tuple[Operator, IssuedCertificate]:
    return operators.add(
        connection, name=name, role=role, signing_request_der=a_signing_request(), actor=OPERATOR, request_id="r-1"
    )


def revoked(connection: Connection, operators: Operators, name: str = "alice") -> Operator:
    return operators.revoke(connection, name=name, reason="left", actor=OPERATOR, request_id="r-2")


def test_an_operator_is_let_in_by_their_certificate_with_the_role_the_database_has(
    connection: Connection, operators: Operators
) -> None:
    operator, issued = added(connection, operators)

    admitted = operators.admit(connection, issued.fingerprint)

    assert admitted.operator == operator
    assert admitted.operator.role is Role.OPERATOR
    assert admitted.operator.actor == "operator:alice"


def test_the_certificate_names_the_operator_and_not_the_role(connection: Connection, operators: Operators) -> None:
    _, issued = added(connection, operators, role=Role.SECURITY)

    leaf = x509.load_der_x509_certificate(issued.certificate_chain_der[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"{OPERATOR_URN}alice"]
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert b"SECURITY" not in issued.certificate_chain_der[0]


def test_another_role_holds_for_the_next_call_with_the_same_certificate(
    connection: Connection, operators: Operators
) -> None:
    _, issued = added(connection, operators, role=Role.SECURITY)

    operators.change_role(connection, name="alice", role=Role.VIEWER, reason="moved", actor=OPERATOR)

    assert operators.admit(connection, issued.fingerprint).operator.role is Role.VIEWER


def test_who_was_locked_out_stays_out(connection: Connection, operators: Operators) -> None:
    _, issued = added(connection, operators)

    revoked(connection, operators)

    with pytest.raises(errors.OperatorRevokedError):
        operators.admit(connection, issued.fingerprint)
    with pytest.raises(errors.OperatorRevokedError):
        operators.renew(connection, name="alice", signing_request_der=a_signing_request())
    with pytest.raises(errors.OperatorRevokedError):
        operators.change_role(connection, name="alice", role=Role.SECURITY, reason="-", actor=OPERATOR)


def test_who_comes_back_has_a_new_certificate_and_the_old_one_stays_closed(
    connection: Connection, operators: Operators
) -> None:
    before, old = added(connection, operators, role=Role.SECURITY)
    revoked(connection, operators)

    after, new = added(connection, operators, role=Role.VIEWER)

    assert after.operator_id == before.operator_id
    assert operators.admit(connection, new.fingerprint).operator.role is Role.VIEWER
    with pytest.raises(errors.OperatorCertificateRetiredError):
        operators.admit(connection, old.fingerprint)


def test_a_certificate_ends_on_its_day(bench: RegistryBench, connection: Connection, operators: Operators) -> None:
    _, issued = added(connection, operators)

    bench.clock.set(issued.not_after - timedelta(seconds=1))
    operators.admit(connection, issued.fingerprint)
    bench.clock.set(issued.not_after)

    with pytest.raises(errors.OperatorExpiredError):
        operators.admit(connection, issued.fingerprint)


def test_the_old_certificate_is_good_until_the_new_one_is_first_used(
    connection: Connection, operators: Operators
) -> None:
    _, old = added(connection, operators)
    operators.first_use(connection, fingerprint=old.fingerprint)
    new = operators.renew(connection, name="alice", signing_request_der=a_signing_request())

    operators.admit(connection, old.fingerprint)
    assert operators.admit(connection, new.fingerprint).first_use_pending
    operators.first_use(connection, fingerprint=new.fingerprint)

    assert not operators.admit(connection, new.fingerprint).first_use_pending
    with pytest.raises(errors.OperatorCertificateRetiredError):
        operators.admit(connection, old.fingerprint)


def test_a_key_gets_one_certificate_in_its_life(connection: Connection, operators: Operators) -> None:
    key = make_private_key()
    operators.add(
        connection, name="alice", role=Role.VIEWER, signing_request_der=a_signing_request(key=key), actor=OPERATOR
    )

    with pytest.raises(errors.KeyReusedError):
        operators.renew(connection, name="alice", signing_request_der=a_signing_request(key=key))
    with pytest.raises(errors.KeyReusedError):
        operators.add(
            connection, name="bob", role=Role.VIEWER, signing_request_der=a_signing_request(key=key), actor=OPERATOR
        )
    assert [operator.name for operator in operators.all(connection)] == ["alice"]


def test_a_terminals_certificate_is_no_operators(
    bench: RegistryBench, connection: Connection, operators: Operators
) -> None:
    terminal = a_terminal(connection, bench.registry)
    (current,) = bench.registry.certificates(connection, terminal.terminal_id)

    with pytest.raises(errors.OperatorUnknownError):
        operators.admit(connection, current.fingerprint)


@pytest.mark.parametrize("name", ["", "Alice", "a lice", "1st", "a" * 65, "alice\n", "爱丽丝"])
def test_a_name_is_short_lower_case_and_plain(connection: Connection, operators: Operators, name: str) -> None:
    with pytest.raises(errors.FieldInvalidError) as refused:
        added(connection, operators, name=name)

    assert refused.value.field == "name"


def test_a_name_is_given_once(connection: Connection, operators: Operators) -> None:
    added(connection, operators)

    with pytest.raises(errors.OperatorExistsError):
        added(connection, operators)


def test_whose_certificate_has_lapsed_is_added_again(
    bench: RegistryBench, connection: Connection, operators: Operators
) -> None:
    _, lapsed = added(connection, operators)
    bench.clock.set(lapsed.not_after)

    operator, issued = added(connection, operators, role=Role.VIEWER)

    assert operators.admit(connection, issued.fingerprint).operator == operator
    assert operator.role is Role.VIEWER


def test_every_change_is_audited_with_who_why_and_in_which_call(connection: Connection, operators: Operators) -> None:
    added(connection, operators)
    operators.change_role(
        connection, name="alice", role=Role.SECURITY, reason="on call", actor=OPERATOR, request_id="r-3"
    )
    revoked(connection, operators)

    rows = connection.execute(select(audit_log).order_by(audit_log.c.entry_id)).mappings().all()

    assert [(row["action"], row["actor"], row["reason"], row["request_id"]) for row in rows] == [
        ("operator.added", OPERATOR, "", "r-1"),
        ("operator.role_changed", OPERATOR, "on call", "r-3"),
        ("operator.revoked", OPERATOR, "left", "r-2"),
    ]
    assert json.loads(rows[1]["details"]) == {"from": "OPERATOR", "to": "SECURITY"}


def test_to_lock_somebody_out_twice_changes_nothing(connection: Connection, operators: Operators) -> None:
    added(connection, operators)
    first = revoked(connection, operators)

    assert revoked(connection, operators) == first


def test_a_restored_database_is_told_again_whom_it_had_locked_out(
    bench: RegistryBench, connection: Connection, operators: Operators
) -> None:
    _, issued = added(connection, operators)
    entry = bench.revocations.note_revoked(connection, kind=RevocationKind.OPERATOR, subject="alice")

    operators.revoke_again(connection, entry)

    assert operators.one(connection, "alice").state is OperatorState.REVOKED
    with pytest.raises(errors.OperatorRevokedError):
        operators.admit(connection, issued.fingerprint)


def test_a_certificate_that_was_renewed_and_never_used_is_closed_by_the_next_renewal(
    connection: Connection, operators: Operators
) -> None:
    _, first = added(connection, operators)
    operators.first_use(connection, fingerprint=first.fingerprint)
    lost = operators.renew(connection, name="alice", signing_request_der=a_signing_request())

    second = operators.renew(connection, name="alice", signing_request_der=a_signing_request())

    assert operators.admit(connection, first.fingerprint)
    assert operators.admit(connection, second.fingerprint)
    with pytest.raises(errors.OperatorCertificateRetiredError):
        operators.admit(connection, lost.fingerprint)


def test_i11_an_operator_gets_so_many_certificates_a_day_and_no_more(
    bench: RegistryBench, connection: Connection, operators: Operators
) -> None:
    added(connection, operators)
    for _ in range(CERTIFICATES_PER_DAY_MAX - 1):
        operators.renew(connection, name="alice", signing_request_der=a_signing_request())

    with pytest.raises(errors.OperatorRenewedOftenError) as refused:
        operators.renew(connection, name="alice", signing_request_der=a_signing_request())

    assert refused.value.retry_after == timedelta(days=1)
    bench.clock.advance(timedelta(days=1))
    assert operators.renew(connection, name="alice", signing_request_der=a_signing_request())


def test_a_certificate_that_was_closed_in_the_moment_of_its_first_use_closes_no_other(
    connection: Connection, operators: Operators
) -> None:
    _, first = added(connection, operators)
    operators.first_use(connection, fingerprint=first.fingerprint)
    overtaken = operators.renew(connection, name="alice", signing_request_der=a_signing_request())
    assert operators.admit(connection, overtaken.fingerprint).first_use_pending
    second = operators.renew(connection, name="alice", signing_request_der=a_signing_request())

    operators.first_use(connection, fingerprint=overtaken.fingerprint)

    assert operators.admit(connection, first.fingerprint)
    assert operators.admit(connection, second.fingerprint)


def test_who_lapsed_and_is_added_again_keeps_nothing_open_from_before(
    bench: RegistryBench, connection: Connection, operators: Operators
) -> None:
    _, lapsed = added(connection, operators, role=Role.VIEWER)
    bench.clock.set(lapsed.not_after)

    added(connection, operators, role=Role.SECURITY)

    with pytest.raises(errors.OperatorCertificateRetiredError):
        operators.admit(connection, lapsed.fingerprint)
