"""From a one-time token to a certificate, and everything that is refused on the way."""

import hashlib
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from device_registry import (
    DEFAULT_POLICY,
    Authority,
    CertificateStatus,
    EnrollmentToken,
    Standings,
    Terminal,
    TerminalState,
    admit,
)
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.keys import make_private_key
from device_registry.enrollment.attestation import TokenProof
from device_registry.errors import (
    CertificateRevokedError,
    EnrollmentRefusedError,
    IllegalTransitionError,
    KeyReusedError,
    NonceRefusedError,
    PossessionUnprovenError,
    RegistryError,
    TokenExpiredError,
    TokenRefusedError,
    TokenUsedError,
    TooManyChallengesError,
)
from device_registry.tables import audit_log, enrollment_nonces, enrollment_tokens, terminals
from tests.support.authority import a_signing_request, a_signing_request_signed_by_another_key
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_site, a_terminal, enrolled
from tests.support.database import Database


@pytest.fixture
def terminal(connection: Connection, bench: RegistryBench) -> Terminal:
    return a_terminal(connection, bench.registry, state=TerminalState.REGISTERED)


@pytest.fixture
def token(connection: Connection, bench: RegistryBench, terminal: Terminal) -> EnrollmentToken:
    return bench.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)


def try_to_enroll(
    connection: Connection,
    bench: RegistryBench,
    *,
    serial_number: str,
    token: str,
    signing_request_der: bytes | None = None,
) -> str:
    """Enroll with a fresh nonce and return the certificate's fingerprint."""
    if signing_request_der is None:
        nonce = bench.registry.challenge(connection, serial_number=serial_number).nonce
        signing_request_der = a_signing_request(nonce=nonce)
    enrollment = bench.registry.enroll(
        connection,
        serial_number=serial_number,
        token=token,
        signing_request_der=signing_request_der,
        request_id="request-1",
    )
    return fingerprint_from_der(enrollment.certificate_chain_der[0])


def test_a_token_and_a_signing_request_become_a_certificate(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    nonce = bench.registry.challenge(connection, serial_number=terminal.serial_number).nonce

    enrollment = bench.registry.enroll(
        connection,
        serial_number=terminal.serial_number,
        token=token.token,
        signing_request_der=a_signing_request(nonce=nonce),
        request_id="request-1",
    )

    assert enrollment.terminal_id == terminal.terminal_id
    assert timedelta(days=20) <= enrollment.renew_after - bench.clock.now() < timedelta(days=23)
    assert len(enrollment.certificate_chain_der) == 2
    assert bench.registry.terminal(connection, terminal.terminal_id).state is TerminalState.ENROLLED
    (certificate,) = bench.registry.certificates(connection, terminal.terminal_id)
    assert certificate.fingerprint == fingerprint_from_der(enrollment.certificate_chain_der[0])
    assert certificate.status is CertificateStatus.CURRENT
    assert certificate.first_used_at is None
    assert ("terminal", terminal.terminal_id) in bench.announcements.heard


def test_an_enrollment_is_in_the_audit_log_with_who_and_why(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)

    entry = connection.execute(select(audit_log).where(audit_log.c.action == "terminal.enrolled")).one()
    assert entry.subject == terminal.terminal_id
    assert entry.actor == f"terminal:{terminal.terminal_id}"
    assert entry.reason == "enrolled by token"
    assert entry.request_id == "request-1"


def test_the_first_use_makes_a_terminal_active_once(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    fingerprint = enrolled(connection, bench.registry, terminal)
    bench.clock.advance(timedelta(minutes=1))

    bench.registry.first_use(connection, fingerprint=fingerprint, request_id="request-2")
    bench.clock.advance(timedelta(minutes=1))
    bench.registry.first_use(connection, fingerprint=fingerprint, request_id="request-3")

    active = bench.registry.terminal(connection, terminal.terminal_id)
    assert active.state is TerminalState.ACTIVE
    assert active.state_since == bench.clock.now() - timedelta(minutes=1)
    entries = connection.execute(select(audit_log).where(audit_log.c.action == "terminal.active")).all()
    assert [entry.request_id for entry in entries] == ["request-2"]


def test_a_token_is_good_once(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)

    with pytest.raises(TokenUsedError):
        try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)


def test_of_two_enrollments_in_the_same_moment_one_gets_the_token(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    first, second = TokenProof(token=token.token), TokenProof(token=token.token)
    for proof in (first, second):  # both were let through by the check
        proof.terminal(connection, serial_number=terminal.serial_number, now=bench.clock.now())

    first.spend(connection, serial_number=terminal.serial_number, now=bench.clock.now())

    with pytest.raises(TokenUsedError):
        second.spend(connection, serial_number=terminal.serial_number, now=bench.clock.now())


def test_a_token_is_good_for_an_hour(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    assert token.expires_at == bench.clock.now() + timedelta(hours=1)
    bench.clock.set(token.expires_at)

    with pytest.raises(TokenExpiredError):
        try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)


def test_a_newer_token_voids_the_older(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    newer = bench.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)

    with pytest.raises(TokenExpiredError):
        try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)
    assert try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=newer.token)


def test_a_wrong_token_does_not_tell_whether_the_serial_number_exists(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    other = a_terminal(connection, bench.registry, state=TerminalState.REGISTERED)
    attempts = {
        "known serial number, wrong token": (terminal.serial_number, "x" * 43),
        "unknown serial number, wrong token": ("SN-NOBODY", "x" * 43),
        "another terminal's token": (other.serial_number, token.token),
        "unknown serial number, real token": ("SN-NOBODY", token.token),
    }

    refusals = set()
    for serial_number, words in attempts.values():
        with pytest.raises(EnrollmentRefusedError) as refused:
            try_to_enroll(connection, bench, serial_number=serial_number, token=words)
        refusals.add((type(refused.value), refused.value.reason, set(vars(refused.value)) == {"serial_number"}))

    assert refusals == {(TokenRefusedError, "TOKEN_REFUSED", True)}


def test_a_token_is_bound_to_the_site_it_was_made_for(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    elsewhere = a_site(connection, bench.registry)
    connection.execute(
        terminals.update().where(terminals.c.terminal_id == terminal.terminal_id).values(site_id=elsewhere.site_id)
    )

    with pytest.raises(TokenRefusedError):
        try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)


def test_a_failed_enrollment_leaves_the_token_good(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    for der, refusal in (
        (b"garbage", RegistryError),
        (a_signing_request_signed_by_another_key(), PossessionUnprovenError),
        (a_signing_request(), NonceRefusedError),
        (a_signing_request(nonce=bytes(32)), NonceRefusedError),
        (a_signing_request(challenge="AB" * 32), NonceRefusedError),
        (a_signing_request(challenge="ab" * 31), NonceRefusedError),
    ):
        with pytest.raises(refusal):
            try_to_enroll(
                connection,
                bench,
                serial_number=terminal.serial_number,
                token=token.token,
                signing_request_der=der,
            )

    assert try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)


def test_a_nonce_belongs_to_one_serial_number(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    nonce = bench.registry.challenge(connection, serial_number="SN-OTHER").nonce

    with pytest.raises(NonceRefusedError):
        try_to_enroll(
            connection,
            bench,
            serial_number=terminal.serial_number,
            token=token.token,
            signing_request_der=a_signing_request(nonce=nonce),
        )


def test_a_nonce_lapses_after_five_minutes(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    challenge = bench.registry.challenge(connection, serial_number=terminal.serial_number)
    assert challenge.expires_at == bench.clock.now() + timedelta(minutes=5)
    bench.clock.set(challenge.expires_at)

    with pytest.raises(NonceRefusedError):
        try_to_enroll(
            connection,
            bench,
            serial_number=terminal.serial_number,
            token=token.token,
            signing_request_der=a_signing_request(nonce=challenge.nonce),
        )


def test_a_nonce_is_good_once(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    nonce = bench.registry.challenge(connection, serial_number=terminal.serial_number).nonce
    der = a_signing_request(nonce=nonce)
    try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token, signing_request_der=der)
    second = bench.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)

    with pytest.raises(NonceRefusedError):
        try_to_enroll(
            connection,
            bench,
            serial_number=terminal.serial_number,
            token=second.token,
            signing_request_der=a_signing_request(nonce=nonce),
        )


def test_the_number_of_open_nonces_is_bounded_and_lapsed_ones_are_forgotten(
    connection: Connection, tmp_path: Path, shared_authority: Authority
) -> None:
    policy = replace(DEFAULT_POLICY, nonces_open_max=3)
    bench = a_registry(tmp_path, authority=shared_authority, policy=policy)
    for number in range(3):
        bench.registry.challenge(connection, serial_number=f"SN-{number}")
        bench.clock.advance(timedelta(minutes=1))

    with pytest.raises(TooManyChallengesError) as refused:
        bench.registry.challenge(connection, serial_number="SN-3")

    assert refused.value.retry_after == timedelta(minutes=2)
    bench.clock.advance(refused.value.retry_after)
    assert bench.registry.challenge(connection, serial_number="SN-3").nonce
    assert len(connection.execute(select(enrollment_nonces)).all()) == 3


def test_a_lost_answer_is_healed_by_a_second_token_and_the_first_certificate_is_dead(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    lost = enrolled(connection, bench.registry, terminal)
    second = enrolled(connection, bench.registry, terminal)

    standings = Standings()
    first_standing = standings.find(connection, lost)
    assert first_standing is not None
    with pytest.raises(CertificateRevokedError):
        admit(first_standing, bench.clock.now())
    bench.registry.first_use(connection, fingerprint=second, request_id="")
    assert bench.registry.terminal(connection, terminal.terminal_id).state is TerminalState.ACTIVE


@pytest.mark.parametrize("state", set(TerminalState) - {TerminalState.REGISTERED, TerminalState.ENROLLED})
def test_a_terminal_that_has_used_a_certificate_gets_no_token(
    connection: Connection, bench: RegistryBench, state: TerminalState
) -> None:
    terminal = a_terminal(connection, bench.registry, state=state)

    with pytest.raises(IllegalTransitionError):
        bench.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)


def test_revoking_a_registered_terminal_voids_its_token(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    bench.registry.revoke(connection, terminal_id=terminal.terminal_id, reason="stolen on the way", actor=OPERATOR)

    with pytest.raises(TokenExpiredError):
        try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=token.token)


def test_a_key_that_another_terminal_has_is_refused(
    connection: Connection, bench: RegistryBench, terminal: Terminal, token: EnrollmentToken
) -> None:
    key = make_private_key()
    nonce = bench.registry.challenge(connection, serial_number=terminal.serial_number).nonce
    try_to_enroll(
        connection,
        bench,
        serial_number=terminal.serial_number,
        token=token.token,
        signing_request_der=a_signing_request(nonce=nonce, key=key),
    )
    clone = a_terminal(connection, bench.registry, state=TerminalState.REGISTERED)
    words = bench.registry.issue_token(connection, terminal_id=clone.terminal_id, actor=OPERATOR).token
    nonce = bench.registry.challenge(connection, serial_number=clone.serial_number).nonce

    with pytest.raises(KeyReusedError) as refused:
        try_to_enroll(
            connection,
            bench,
            serial_number=clone.serial_number,
            token=words,
            signing_request_der=a_signing_request(nonce=nonce, key=key),
        )

    assert (refused.value.terminal_id, refused.value.holder_id) == (clone.terminal_id, terminal.terminal_id)


def test_i03_neither_token_nor_nonce_rests_in_clear(
    database: Database, bench: RegistryBench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with database.engine.begin() as connection:
        terminal = a_terminal(connection, bench.registry, state=TerminalState.REGISTERED)
        token = bench.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)
        nonce = bench.registry.challenge(connection, serial_number=terminal.serial_number).nonce
        stored = connection.execute(select(enrollment_tokens.c.token_sha256)).scalar_one()

    written = database.bytes_on_disk()
    assert stored.encode() in written
    assert stored == hashlib.sha256(token.token.encode()).hexdigest()
    for secret in (token.token.encode(), nonce, nonce.hex().encode()):
        assert secret not in written
    assert token.token not in repr(token)
    assert token.token not in caplog.text


def test_i03_no_refusal_repeats_the_token(connection: Connection, bench: RegistryBench, terminal: Terminal) -> None:
    words = "a-token-that-must-not-be-repeated-anywhere"

    with pytest.raises(TokenRefusedError) as refused:
        try_to_enroll(connection, bench, serial_number=terminal.serial_number, token=words)

    assert words not in f"{refused.value!r} {refused.value} {vars(refused.value)}"
