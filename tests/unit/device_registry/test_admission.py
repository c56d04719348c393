"""The one rule that is asked on every call."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from device_registry import CertificateStatus, Standing, TerminalClass, TerminalState, admit
from device_registry.enrollment.issuance import renew_after
from device_registry.errors import (
    CertificateExpiredError,
    CertificateRetiredError,
    CertificateRevokedError,
    RegistryError,
    TerminalBannedError,
    TerminalNotEnrolledError,
    TerminalQuarantinedError,
    TerminalRetiredError,
    TerminalRevokedError,
    TerminalSuspendedError,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
S = TerminalState
C = CertificateStatus
GOOD = Standing(
    terminal_id="t-1",
    site_id="s-1",
    region="330100",
    serial_number="SN-1",
    terminal_class=TerminalClass.FACE,
    state=S.ACTIVE,
    certificate_status=C.CURRENT,
    fingerprint="ab" * 32,
    not_after=NOW + timedelta(days=10),
    renew_after=NOW + timedelta(days=5),
    first_use_pending=False,
)
REFUSALS = {
    S.REGISTERED: TerminalNotEnrolledError,
    S.SUSPENDED: TerminalSuspendedError,
    S.QUARANTINED: TerminalQuarantinedError,
    S.REVOKED: TerminalRevokedError,
    S.BANNED: TerminalBannedError,
    S.RETIRED: TerminalRetiredError,
}


def test_i01_an_active_terminal_with_its_current_certificate_is_let_in() -> None:
    admit(GOOD, NOW)


@pytest.mark.parametrize(("state", "refusal"), REFUSALS.items())
def test_i01_a_terminal_in_any_other_state_is_refused_with_its_own_reason(
    state: S, refusal: type[RegistryError]
) -> None:
    with pytest.raises(refusal):
        admit(replace(GOOD, state=state), NOW)


def test_an_evicted_terminal_hears_that_its_certificate_is_revoked() -> None:
    with pytest.raises(CertificateRevokedError):
        admit(replace(GOOD, state=S.REGISTERED, certificate_status=C.REVOKED), NOW)


def test_i01_every_state_was_asked() -> None:
    assert set(REFUSALS) == set(S) - {S.ACTIVE, S.ENROLLED}
    assert len({refusal.reason for refusal in REFUSALS.values()}) == len(REFUSALS)


def test_i01_an_enrolled_terminal_is_let_in_only_to_become_active() -> None:
    admit(replace(GOOD, state=S.ENROLLED, first_use_pending=True), NOW)

    with pytest.raises(TerminalNotEnrolledError):
        admit(replace(GOOD, state=S.ENROLLED, first_use_pending=False), NOW)


@pytest.mark.parametrize(
    ("status", "refusal"), [(C.RETIRED, CertificateRetiredError), (C.REVOKED, CertificateRevokedError)]
)
def test_i01_a_closed_certificate_is_refused(status: C, refusal: type[RegistryError]) -> None:
    with pytest.raises(refusal):
        admit(replace(GOOD, certificate_status=status), NOW)


def test_i01_a_certificate_is_refused_from_the_moment_it_ends() -> None:
    admit(GOOD, GOOD.not_after - timedelta(microseconds=1))

    with pytest.raises(CertificateExpiredError):
        admit(GOOD, GOOD.not_after)


def test_a_superseded_certificate_is_good_until_the_grace_is_over() -> None:
    superseded = replace(GOOD, certificate_status=C.SUPERSEDED)
    admit(superseded, NOW)

    with pytest.raises(CertificateRetiredError):
        admit(superseded, superseded.not_after)


def test_a_revoked_terminal_hears_revoked_even_when_its_certificate_has_lapsed() -> None:
    with pytest.raises(TerminalRevokedError):
        admit(replace(GOOD, state=S.REVOKED, certificate_status=C.REVOKED), GOOD.not_after)


def due(fingerprint: str) -> timedelta:
    return renew_after(issued_at=NOW, not_after=NOW + timedelta(days=30), fingerprint=fingerprint) - NOW


def test_renewal_is_due_after_two_thirds_of_the_lifetime_and_up_to_a_tenth_more() -> None:
    assert due("0" * 64) == timedelta(days=20)
    assert timedelta(days=22, hours=23) < due("f" * 64) < timedelta(days=23)


def test_terminals_that_enrolled_in_one_morning_do_not_all_renew_in_one_morning() -> None:
    fingerprints = [sha256(str(number).encode()).hexdigest() for number in range(1_000)]

    mornings = Counter(due(fingerprint) // timedelta(hours=12) for fingerprint in fingerprints)

    assert len(mornings) == 6  # three days of them
    assert max(mornings.values()) < 250
    assert [due(fingerprint) for fingerprint in fingerprints] == [due(fingerprint) for fingerprint in fingerprints]
