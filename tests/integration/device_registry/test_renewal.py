"""A certificate follows another: a new key every time, the old one closed at first use of the new."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from device_registry import (
    DEFAULT_POLICY,
    Authority,
    CertificateStatus,
    Standing,
    Standings,
    Terminal,
    TerminalState,
    admit,
)
from device_registry.authority.authority import CertificateLifetimes
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.keys import make_private_key
from device_registry.errors import (
    CertificateForeignError,
    CertificateRetiredError,
    CertificateUnknownError,
    KeyReusedError,
    SigningRequestUnreadableError,
    TerminalSuspendedError,
    TooManyCertificatesError,
)
from tests.support.authority import a_signing_request, an_authority
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_terminal, current_fingerprint
from tests.support.clock import Clock

C = CertificateStatus


@pytest.fixture
def terminal(connection: Connection, bench: RegistryBench) -> Terminal:
    return a_terminal(connection, bench.registry, state=TerminalState.ACTIVE)


@pytest.fixture
def fingerprint(connection: Connection, bench: RegistryBench, terminal: Terminal) -> str:
    return current_fingerprint(connection, bench.registry, terminal.terminal_id)


def renewed(connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str) -> str:
    """Renew with a new key a minute later and return the new fingerprint."""
    bench.clock.advance(timedelta(minutes=1))
    enrollment = bench.registry.renew(
        connection,
        terminal_id=terminal.terminal_id,
        fingerprint=fingerprint,
        signing_request_der=a_signing_request(),
        request_id="renewal-1",
    )
    return fingerprint_from_der(enrollment.certificate_chain_der[0])


def statuses(connection: Connection, bench: RegistryBench, terminal: Terminal) -> list[CertificateStatus]:
    return [it.status for it in bench.registry.certificates(connection, terminal.terminal_id)]


def standing_of(connection: Connection, fingerprint: str) -> Standing:
    standing = Standings().find(connection, fingerprint)
    assert standing is not None
    return standing


def test_both_certificates_are_good_until_the_new_one_is_used(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    successor = renewed(connection, bench, terminal, fingerprint)
    admit(standing_of(connection, fingerprint), bench.clock.now())
    admit(standing_of(connection, successor), bench.clock.now())
    assert statuses(connection, bench, terminal) == [C.SUPERSEDED, C.CURRENT]

    bench.registry.first_use(connection, fingerprint=successor, request_id="")

    assert statuses(connection, bench, terminal) == [C.RETIRED, C.CURRENT]
    with pytest.raises(CertificateRetiredError):
        admit(standing_of(connection, fingerprint), bench.clock.now())
    admit(standing_of(connection, successor), bench.clock.now())


def test_the_predecessor_ends_with_the_grace_even_if_the_new_one_is_never_used(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    renewed(connection, bench, terminal, fingerprint)
    standing = standing_of(connection, fingerprint)
    assert standing.not_after == bench.clock.now() + DEFAULT_POLICY.renewal_grace

    bench.clock.advance(DEFAULT_POLICY.renewal_grace)

    with pytest.raises(CertificateRetiredError):
        admit(standing, bench.clock.now())


def test_the_grace_does_not_lengthen_a_certificates_life(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    end = standing_of(connection, fingerprint).not_after
    bench.clock.set(end - timedelta(days=1))

    renewed(connection, bench, terminal, fingerprint)

    assert standing_of(connection, fingerprint).not_after == end


def test_a_lost_answer_is_healed_by_renewing_again_and_the_grace_does_not_start_anew(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    renewed(connection, bench, terminal, fingerprint)
    end_of_grace = standing_of(connection, fingerprint).not_after

    third = renewed(connection, bench, terminal, fingerprint)

    assert statuses(connection, bench, terminal) == [C.SUPERSEDED, C.RETIRED, C.CURRENT]
    assert standing_of(connection, fingerprint).not_after == end_of_grace
    bench.registry.first_use(connection, fingerprint=third, request_id="")
    assert statuses(connection, bench, terminal) == [C.RETIRED, C.RETIRED, C.CURRENT]


def test_a_key_is_never_certified_twice(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    key = make_private_key()
    first = bench.registry.renew(
        connection,
        terminal_id=terminal.terminal_id,
        fingerprint=fingerprint,
        signing_request_der=a_signing_request(key=key),
        request_id="",
    )
    successor = fingerprint_from_der(first.certificate_chain_der[0])

    with pytest.raises(KeyReusedError):
        bench.registry.renew(
            connection,
            terminal_id=terminal.terminal_id,
            fingerprint=successor,
            signing_request_der=a_signing_request(key=key),
            request_id="",
        )


def test_i01_a_terminal_renews_only_itself(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    other = a_terminal(connection, bench.registry)

    with pytest.raises(CertificateForeignError):
        renewed(connection, bench, other, fingerprint)

    assert statuses(connection, bench, terminal) == [C.CURRENT]


def test_an_unknown_certificate_neither_renews_nor_counts_as_used(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    with pytest.raises(CertificateUnknownError):
        renewed(connection, bench, terminal, "0" * 64)
    with pytest.raises(CertificateUnknownError):
        bench.registry.first_use(connection, fingerprint="0" * 64, request_id="")


def test_a_suspended_terminal_does_not_renew(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    bench.registry.suspend(connection, terminal_id=terminal.terminal_id, reason="moved", actor=OPERATOR)

    with pytest.raises(TerminalSuspendedError):
        renewed(connection, bench, terminal, fingerprint)


def test_a_bad_signing_request_leaves_the_certificate_as_it_was(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    with pytest.raises(SigningRequestUnreadableError):
        bench.registry.renew(
            connection,
            terminal_id=terminal.terminal_id,
            fingerprint=fingerprint,
            signing_request_der=b"garbage",
            request_id="",
        )

    assert statuses(connection, bench, terminal) == [C.CURRENT]


def test_a_terminal_gets_a_bounded_number_of_certificates_a_day(
    connection: Connection, tmp_path: Path, shared_authority: Authority
) -> None:
    policy = replace(DEFAULT_POLICY, certificates_per_day_max=3)
    bench = a_registry(tmp_path, authority=shared_authority, policy=policy)
    terminal = a_terminal(connection, bench.registry)
    fingerprint = current_fingerprint(connection, bench.registry, terminal.terminal_id)
    for _ in range(2):
        renewed(connection, bench, terminal, fingerprint)

    with pytest.raises(TooManyCertificatesError) as refused:
        renewed(connection, bench, terminal, fingerprint)

    assert refused.value.retry_after == timedelta(days=1) - timedelta(minutes=3)
    bench.clock.advance(refused.value.retry_after)
    assert renewed(connection, bench, terminal, fingerprint)


def test_renewal_is_due_early_when_the_authority_itself_ends_soon(connection: Connection, tmp_path: Path) -> None:
    clock = Clock()
    authority = an_authority(tmp_path, clock, CertificateLifetimes(issuing=timedelta(days=3)))
    bench = a_registry(tmp_path, clock, authority=authority)
    terminal = a_terminal(connection, bench.registry, state=TerminalState.ACTIVE)

    (certificate,) = bench.registry.certificates(connection, terminal.terminal_id)

    assert certificate.not_after == clock.now() + timedelta(days=3)
