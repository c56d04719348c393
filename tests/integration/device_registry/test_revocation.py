"""What operators decide holds at once, in memory as in the database."""

import pytest
from sqlalchemy import Connection

from device_registry import CertificateStatus, Standing, Standings, Terminal, TerminalState, admit
from device_registry.errors import (
    FieldInvalidError,
    IllegalTransitionError,
    RegistryError,
    TerminalNotEnrolledError,
    TerminalQuarantinedError,
    TerminalRetiredError,
    TerminalRevokedError,
    TerminalSuspendedError,
    TerminalUnknownError,
)
from tests.support.authority import a_signing_request
from tests.support.builders import OPERATOR, RegistryBench, a_terminal, current_fingerprint, enrolled

S = TerminalState


@pytest.fixture
def terminal(connection: Connection, bench: RegistryBench) -> Terminal:
    return a_terminal(connection, bench.registry, state=S.ACTIVE)


@pytest.fixture
def fingerprint(connection: Connection, bench: RegistryBench, terminal: Terminal) -> str:
    return current_fingerprint(connection, bench.registry, terminal.terminal_id)


@pytest.fixture
def standings(connection: Connection, fingerprint: str) -> Standings:
    assert fingerprint
    standings = Standings()
    standings.load(connection)
    return standings


def known(standings: Standings, fingerprint: str) -> Standing:
    standing = standings.of(fingerprint)
    assert standing is not None
    return standing


def test_memory_knows_who_a_certificate_belongs_to(
    bench: RegistryBench, terminal: Terminal, fingerprint: str, standings: Standings
) -> None:
    standing = known(standings, fingerprint)

    admit(standing, bench.clock.now())
    assert standing.terminal_id == terminal.terminal_id
    assert standing.site_id == terminal.site_id
    assert standing.region == terminal.region
    assert standing.serial_number == terminal.serial_number
    assert standing.terminal_class is terminal.terminal_class
    assert not standing.first_use_pending


@pytest.mark.parametrize(
    ("decision", "refusal"),
    [
        ("suspend", TerminalSuspendedError),
        ("quarantine", TerminalQuarantinedError),
        ("revoke", TerminalRevokedError),
    ],
)
def test_i02_a_decision_holds_for_the_next_call(
    connection: Connection,
    bench: RegistryBench,
    *,
    terminal: Terminal,
    fingerprint: str,
    standings: Standings,
    decision: str,
    refusal: type[RegistryError],
) -> None:
    bench.announcements.heard.clear()

    getattr(bench.registry, decision)(connection, terminal_id=terminal.terminal_id, reason="stolen", actor=OPERATOR)
    changed = [subject for topic, subject in bench.announcements.heard if topic == "terminal"]
    standings.refresh(connection, *changed)

    assert changed == [terminal.terminal_id]
    with pytest.raises(refusal):
        admit(known(standings, fingerprint), bench.clock.now())
    reloaded = Standings()
    reloaded.load(connection)
    assert reloaded.of(fingerprint) == standings.of(fingerprint)


def test_i02_a_revoked_terminals_certificates_are_all_revoked(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str
) -> None:
    bench.registry.renew(
        connection,
        terminal_id=terminal.terminal_id,
        fingerprint=fingerprint,
        signing_request_der=a_signing_request(),
        request_id="",
    )

    revoked = bench.registry.revoke(connection, terminal_id=terminal.terminal_id, reason="stolen", actor=OPERATOR)

    assert (revoked.state, revoked.state_reason) == (S.REVOKED, "stolen")
    statuses = {it.status for it in bench.registry.certificates(connection, terminal.terminal_id)}
    assert statuses == {CertificateStatus.REVOKED}


@pytest.mark.parametrize("state", [S.SUSPENDED, S.QUARANTINED])
def test_a_resumed_terminal_comes_back_with_the_same_certificate(
    connection: Connection, bench: RegistryBench, state: TerminalState
) -> None:
    terminal = a_terminal(connection, bench.registry, state=state)
    standings = Standings()
    standings.load(connection)

    bench.registry.resume(connection, terminal_id=terminal.terminal_id, reason="was a mistake", actor=OPERATOR)
    standings.refresh(connection, terminal.terminal_id)

    fingerprint = current_fingerprint(connection, bench.registry, terminal.terminal_id)
    admit(known(standings, fingerprint), bench.clock.now())


def test_resume_does_not_stand_in_for_a_first_use(connection: Connection, bench: RegistryBench) -> None:
    terminal = a_terminal(connection, bench.registry, state=S.ENROLLED)

    with pytest.raises(IllegalTransitionError):
        bench.registry.resume(connection, terminal_id=terminal.terminal_id, reason="in a hurry", actor=OPERATOR)


def test_a_decision_needs_a_reason_and_a_known_terminal(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    with pytest.raises(FieldInvalidError):
        bench.registry.revoke(connection, terminal_id=terminal.terminal_id, reason="", actor=OPERATOR)
    with pytest.raises(TerminalUnknownError):
        bench.registry.revoke(connection, terminal_id="nobody", reason="stolen", actor=OPERATOR)


def test_a_certificate_that_memory_has_not_heard_of_is_found_in_the_database(
    connection: Connection, bench: RegistryBench, standings: Standings
) -> None:
    newcomer = a_terminal(connection, bench.registry, state=S.REGISTERED)
    fingerprint = enrolled(connection, bench.registry, newcomer)
    assert standings.of(fingerprint) is None

    found = standings.find(connection, fingerprint)

    assert found is not None
    assert found.first_use_pending
    assert standings.of(fingerprint) == found
    assert standings.find(connection, "0" * 64) is None


def test_what_was_found_is_followed_like_what_was_loaded(
    connection: Connection, bench: RegistryBench, standings: Standings
) -> None:
    newcomer = a_terminal(connection, bench.registry, state=S.ACTIVE)
    first = current_fingerprint(connection, bench.registry, newcomer.terminal_id)
    assert standings.find(connection, first) is not None
    bench.registry.renew(
        connection,
        terminal_id=newcomer.terminal_id,
        fingerprint=first,
        signing_request_der=a_signing_request(),
        request_id="",
    )
    second = current_fingerprint(connection, bench.registry, newcomer.terminal_id)
    bench.registry.first_use(connection, fingerprint=second, request_id="")

    standings.refresh(connection, newcomer.terminal_id)

    assert standings.of(first) is None
    assert known(standings, second).certificate_status is CertificateStatus.CURRENT
    retired = standings.find(connection, first)
    assert retired is not None
    assert retired.certificate_status is CertificateStatus.RETIRED
    assert standings.of(first) is None  # a retired one is not remembered


def test_a_terminal_without_certificates_takes_no_room(
    connection: Connection, bench: RegistryBench, standings: Standings
) -> None:
    before = len(standings)
    registered = a_terminal(connection, bench.registry, state=S.REGISTERED)

    standings.refresh(connection, registered.terminal_id)

    assert len(standings) == before


def test_a_revoked_terminal_comes_back_under_a_new_registration(
    connection: Connection, bench: RegistryBench, terminal: Terminal, fingerprint: str, standings: Standings
) -> None:
    bench.registry.revoke(connection, terminal_id=terminal.terminal_id, reason="lost", actor=OPERATOR)

    again = a_terminal(connection, bench.registry, serial_number=terminal.serial_number, state=S.ACTIVE)

    assert again.terminal_id != terminal.terminal_id
    assert bench.registry.terminal(connection, terminal.terminal_id).state is S.RETIRED
    standings.refresh(connection, terminal.terminal_id)
    with pytest.raises(TerminalRetiredError):
        admit(known(standings, fingerprint), bench.clock.now())


@pytest.mark.parametrize("state", S)
def test_i01_only_active_terminals_are_let_in_whatever_the_way_to_their_state(
    connection: Connection, bench: RegistryBench, state: TerminalState
) -> None:
    terminal = a_terminal(connection, bench.registry, state=state)
    certificates = bench.registry.certificates(connection, terminal.terminal_id)
    if state is S.REGISTERED:
        assert not certificates
        return
    standing = Standings().find(connection, certificates[-1].fingerprint)
    assert standing is not None

    if state is S.ACTIVE:
        admit(standing, bench.clock.now())
    elif state is S.ENROLLED:
        admit(standing, bench.clock.now())
        bench.registry.first_use(connection, fingerprint=standing.fingerprint, request_id="")
        assert bench.registry.terminal(connection, terminal.terminal_id).state is S.ACTIVE
    else:
        with pytest.raises(RegistryError) as refused:
            admit(standing, bench.clock.now())
        assert refused.value.reason == f"TERMINAL_{state}"
        assert not isinstance(refused.value, TerminalNotEnrolledError)
