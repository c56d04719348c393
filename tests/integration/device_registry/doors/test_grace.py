"""A certificate that lapsed while its terminal was off: renewed by its old key, in time, till a successor is used."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, select

from device_registry import (
    DEFAULT_POLICY,
    CertificateStatus,
    RegistryPolicy,
    Standings,
    TerminalClass,
    TerminalState,
    admit,
)
from device_registry.authority.certificates import fingerprint_from_der, signing_request_from_der
from device_registry.authority.keys import make_private_key
from device_registry.enrollment.factory import FACTORY_CONTEXT
from device_registry.errors import (
    CertificateExpiredError,
    CertificateRetiredError,
    CertificateRevokedError,
    CertificateStillGoodError,
    CertificateUnknownError,
    GraceOverError,
    NonceRefusedError,
    RegistryError,
    RenewalProofRefusedError,
    TerminalNotEnrolledError,
    TerminalQuarantinedError,
    TerminalRevokedError,
    TerminalSuspendedError,
)
from device_registry.tables import audit_log
from tests.support.authority import a_signing_request
from tests.support.builders import OPERATOR
from tests.support.doors import DEVICE, Doors, Held, fingerprint

LIFETIME, GRACE = timedelta(days=30), DEFAULT_POLICY.grace_class_iii


@pytest.fixture
def held(connection: Connection, doors: Doors) -> Held:
    """Return an active class III terminal with its certificate."""
    return doors.active(connection, DEVICE)


def test_a_lapsed_certificate_is_renewed_by_its_key_and_the_terminal_stays_who_it_is(
    connection: Connection, doors: Doors, held: Held
) -> None:
    doors.clock.advance(LIFETIME + timedelta(days=1))

    renewed = doors.renew_expired(connection, held)

    terminal_id = held.terminal.terminal_id
    known = {it.fingerprint: it.status for it in doors.bench.registry.certificates(connection, terminal_id)}
    assert renewed.terminal_id == terminal_id
    assert doors.bench.registry.terminal(connection, terminal_id).state is TerminalState.ACTIVE
    assert known == {held.fingerprint: CertificateStatus.SUPERSEDED, fingerprint(renewed): CertificateStatus.CURRENT}
    written = connection.execute(select(audit_log).where(audit_log.c.action == "certificate.renewed_in_grace")).one()
    assert f'"lapsed_seconds":{24 * 3600}' in written.details.replace(" ", "")
    standings = Standings()
    standings.load(connection)
    standing = standings.of(fingerprint(renewed))
    assert standing is not None
    admit(standing, doors.clock.now())


def test_it_is_over_with_the_first_use_of_the_successor(connection: Connection, doors: Doors, held: Held) -> None:
    doors.clock.advance(LIFETIME)
    doors.use(connection, doors.renew_expired(connection, held))

    with pytest.raises(CertificateRetiredError):
        doors.renew_expired(connection, held)


@pytest.mark.parametrize(
    ("after", "error"),
    [
        (LIFETIME - timedelta(microseconds=1), CertificateStillGoodError),
        (LIFETIME, None),
        (LIFETIME + GRACE - timedelta(microseconds=1), None),
        (LIFETIME + GRACE, GraceOverError),
    ],
)
def test_the_grace_begins_with_the_end_and_has_one_itself(
    connection: Connection, doors: Doors, held: Held, after: timedelta, error: type[RegistryError] | None
) -> None:
    doors.clock.advance(after)
    if error is None:
        assert doors.renew_expired(connection, held).certificate_chain_der
        return

    with pytest.raises(error) as caught:
        doors.renew_expired(connection, held)
    assert caught.value.platform_time == doors.clock.now()  # type: ignore[attr-defined] # both have it


def test_each_class_has_its_own_grace() -> None:
    policy = RegistryPolicy()

    graces = [policy.grace_after_expiry(terminal_class) for terminal_class in TerminalClass]

    assert graces == [timedelta(days=30), timedelta(days=14), timedelta(days=7)]


@pytest.mark.parametrize(
    ("decision", "error"),
    [
        ("suspend", TerminalSuspendedError),
        ("quarantine", TerminalQuarantinedError),
        ("revoke", TerminalRevokedError),
        ("evict", CertificateRevokedError),
    ],
)
def test_a_lapse_is_no_way_around_a_decision(
    connection: Connection, doors: Doors, held: Held, decision: str, error: type[RegistryError]
) -> None:
    decide = getattr(doors.bench.registry, decision)
    decide(connection, terminal_id=held.terminal.terminal_id, reason="looked odd", actor=OPERATOR)
    doors.clock.advance(LIFETIME)

    with pytest.raises(error):
        doors.renew_expired(connection, held)


def test_a_terminal_that_never_used_its_certificate_enrolls_anew(connection: Connection, doors: Doors) -> None:
    terminal = doors.registered(connection, DEVICE)
    key = make_private_key()
    registry = doors.bench.registry
    token = registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)
    nonce = registry.challenge(connection, serial_number=DEVICE.serial_number).nonce
    enrolled = registry.enroll(
        connection,
        serial_number=DEVICE.serial_number,
        token=token.token,
        signing_request_der=a_signing_request(nonce=nonce, key=key),
        request_id="",
    )
    doors.clock.advance(LIFETIME)

    with pytest.raises(TerminalNotEnrolledError):
        doors.renew_expired(
            connection, Held(terminal=terminal, key=key, certificate_der=enrolled.certificate_chain_der[0])
        )


def test_a_renewal_whose_answer_got_lost_before_the_lapse_does_not_strand_the_terminal(
    connection: Connection, doors: Doors, held: Held
) -> None:
    doors.clock.advance(LIFETIME - timedelta(days=1))
    lost = doors.bench.registry.renew(
        connection,
        terminal_id=held.terminal.terminal_id,
        fingerprint=held.fingerprint,
        signing_request_der=a_signing_request(),
        request_id="",
    )
    doors.clock.advance(timedelta(days=2))

    renewed = doors.renew_expired(connection, held)

    known = doors.bench.registry.certificates(connection, held.terminal.terminal_id)
    good = [it.fingerprint for it in known if it.status is CertificateStatus.CURRENT]
    assert fingerprint(lost) not in good
    assert good == [fingerprint(renewed)]


def test_an_answer_that_got_lost_is_asked_for_again_and_its_certificate_is_good_for_nobody(
    connection: Connection, doors: Doors, held: Held
) -> None:
    doors.clock.advance(LIFETIME + timedelta(days=1))
    lost = doors.renew_expired(connection, held)
    doors.clock.advance(timedelta(hours=1))

    renewed = doors.renew_expired(connection, held)

    known = {
        it.fingerprint: it.status for it in doors.bench.registry.certificates(connection, held.terminal.terminal_id)
    }
    assert known == {
        held.fingerprint: CertificateStatus.SUPERSEDED,
        fingerprint(lost): CertificateStatus.RETIRED,
        fingerprint(renewed): CertificateStatus.CURRENT,
    }
    with pytest.raises(CertificateRetiredError):
        doors.use(connection, lost)
    doors.use(connection, renewed)


def test_asking_again_does_not_prolong_the_grace(connection: Connection, doors: Doors, held: Held) -> None:
    doors.clock.advance(LIFETIME + timedelta(days=1))
    doors.renew_expired(connection, held)
    doors.clock.advance(GRACE - timedelta(days=1))

    with pytest.raises(GraceOverError):
        doors.renew_expired(connection, held)


def test_only_the_old_key_proves_itself_and_only_for_this(connection: Connection, doors: Doors, held: Held) -> None:
    doors.clock.advance(LIFETIME)

    with pytest.raises(RenewalProofRefusedError):
        doors.renew_expired(connection, held, signing_key=make_private_key())
    with pytest.raises(RenewalProofRefusedError):
        doors.renew_expired(connection, held, context=FACTORY_CONTEXT)


def test_a_certificate_that_is_not_ours_is_unknown_whoever_signed(
    connection: Connection, doors: Doors, held: Held
) -> None:
    doors.clock.advance(LIFETIME)
    foreign = Held(terminal=held.terminal, key=held.key, certificate_der=DEVICE.holder.der)

    with pytest.raises(CertificateUnknownError) as caught:
        doors.renew_expired(connection, foreign)
    assert caught.value.fingerprint == fingerprint_from_der(DEVICE.holder.der)


def test_a_request_without_a_good_nonce_is_refused(connection: Connection, doors: Doors, held: Held) -> None:
    doors.clock.advance(LIFETIME)

    with pytest.raises(NonceRefusedError):
        doors.grace.attempt(
            connection,
            certificate_der=held.certificate_der,
            request=signing_request_from_der(a_signing_request(nonce=b"\x07" * 32)),
        )


def test_an_expired_certificate_is_refused_with_both_times_so_that_a_wrong_clock_shows(
    connection: Connection, doors: Doors, held: Held
) -> None:
    standings = Standings()
    standings.load(connection)
    standing = standings.of(held.fingerprint)
    assert standing is not None
    now = doors.clock.advance(LIFETIME)

    with pytest.raises(CertificateExpiredError) as caught:
        admit(standing, now)
    assert (caught.value.platform_time, caught.value.not_after) == (now, now)
