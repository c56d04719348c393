"""Two devices for one name: what is refused as a finding, what is no way around a decision, and the second door."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from device_registry import CertificateStatus, TerminalState
from device_registry.errors import (
    CloneSuspectedError,
    DuplicateSerialError,
    FactoryKeyUnpinnedError,
    RegistryError,
    SerialNumberTakenError,
    SharedFactoryKeyError,
    TerminalBannedError,
    TerminalQuarantinedError,
    TerminalRevokedError,
    TerminalSuspendedError,
)
from device_registry.fleet.finding import FindingKind
from device_registry.tables import terminals
from tests.support.builders import OPERATOR, a_terminal, an_enrollment
from tests.support.doors import DEVICE, HERON, Doors, actions, fingerprint, state
from tests.support.factory import Device

# Clones --------------------------------------------------------------------------------------------


def test_another_key_for_a_pinned_serial_number_is_a_duplicate(connection: Connection, doors: Doors) -> None:
    held = doors.active(connection, DEVICE)

    with pytest.raises(DuplicateSerialError) as caught:
        doors.enroll(connection, HERON.make(DEVICE.serial_number))

    assert (caught.value.kind, caught.value.terminal_id) == (FindingKind.DUPLICATE_SERIAL, held.terminal.terminal_id)


def sharing(device: Device) -> Device:
    """Return a device whose maker burned a key that another one has."""
    return HERON.make("HD3-000099", key=device.holder.key)


@pytest.mark.parametrize("is_registered", [True, False], ids=["registered", "by ticket or not at all"])
def test_a_key_under_a_second_serial_number_is_shared_registered_or_not(
    connection: Connection, doors: Doors, *, is_registered: bool
) -> None:
    held = doors.active(connection, DEVICE)
    second = sharing(DEVICE)
    if is_registered:
        doors.registered(connection, second)

    with pytest.raises(SharedFactoryKeyError) as caught:
        doors.enroll(connection, second)

    assert (caught.value.kind, caught.value.terminal_id) == (FindingKind.SHARED_FACTORY_KEY, held.terminal.terminal_id)


def test_a_terminal_with_a_certificate_in_use_that_enrolls_again_is_a_clone_and_keeps_its_certificate(
    connection: Connection, doors: Doors
) -> None:
    held = doors.active(connection, DEVICE)

    with pytest.raises(CloneSuspectedError) as caught:
        doors.enroll(connection, DEVICE)

    (certificate,) = doors.bench.registry.certificates(connection, held.terminal.terminal_id)
    assert caught.value.kind is FindingKind.CLONE
    assert certificate.status is CertificateStatus.CURRENT


def test_a_terminal_that_enrolled_by_token_is_no_easier_to_clone(connection: Connection, doors: Doors) -> None:
    terminal = doors.registered(connection, DEVICE)
    doors.use(connection, an_enrollment(connection, doors.bench.registry, terminal))

    with pytest.raises(CloneSuspectedError):
        doors.enroll(connection, DEVICE)


@pytest.mark.parametrize(
    ("decision", "error"),
    [
        ("suspend", TerminalSuspendedError),
        ("quarantine", TerminalQuarantinedError),
        ("revoke", TerminalRevokedError),
        ("ban", TerminalBannedError),
    ],
)
def test_the_factory_identity_is_no_way_around_a_decision(
    connection: Connection, doors: Doors, decision: str, error: type[RegistryError]
) -> None:
    held = doors.active(connection, DEVICE)
    decide = getattr(doors.bench.registry, decision)
    decide(connection, terminal_id=held.terminal.terminal_id, reason="looked odd", actor=OPERATOR)
    doors.clock.advance(timedelta(days=90))

    with pytest.raises(error):
        doors.enroll(connection, DEVICE)


# The second door -----------------------------------------------------------------------------------


def test_a_terminal_whose_certificates_have_all_lapsed_gets_one_by_its_pinned_key_and_stays_who_it_is(
    connection: Connection, doors: Doors
) -> None:
    held = doors.active(connection, DEVICE)
    doors.clock.advance(timedelta(days=90))

    again = doors.enroll(connection, DEVICE)

    terminal_id = held.terminal.terminal_id
    assert again.terminal_id == terminal_id
    assert state(connection, doors, terminal_id) is TerminalState.ACTIVE
    assert actions(connection, terminal_id)[-1] == "certificate.reissued_by_factory_key"
    assert {it.fingerprint: it.status for it in doors.bench.registry.certificates(connection, terminal_id)} == {
        held.fingerprint: CertificateStatus.RETIRED,
        fingerprint(again): CertificateStatus.CURRENT,
    }


def test_a_late_renewal_whose_answer_got_lost_does_not_shut_the_second_door(
    connection: Connection, doors: Doors
) -> None:
    held = doors.active(connection, DEVICE)
    doors.clock.advance(timedelta(days=31))
    lost = [doors.renew_expired(connection, held), doors.enroll(connection, DEVICE)]

    again = doors.enroll(connection, DEVICE)

    known = {it.fingerprint: it.status for it in doors.bench.registry.certificates(connection, again.terminal_id)}
    assert [known[fingerprint(one)] for one in lost] == [CertificateStatus.RETIRED, CertificateStatus.RETIRED]
    doors.use(connection, again)
    with pytest.raises(CloneSuspectedError):
        doors.enroll(connection, DEVICE)


def test_the_second_door_is_shut_to_a_key_that_was_never_pinned(connection: Connection, doors: Doors) -> None:
    terminal = doors.registered(connection, DEVICE)
    doors.use(connection, an_enrollment(connection, doors.bench.registry, terminal))
    doors.clock.advance(timedelta(days=90))

    with pytest.raises(FactoryKeyUnpinnedError):
        doors.enroll(connection, DEVICE)


def test_the_database_itself_refuses_a_factory_key_twice_in_service(connection: Connection, doors: Doors) -> None:
    doors.active(connection, DEVICE)
    other = a_terminal(connection, doors.bench.registry)
    pin = terminals.update().where(terminals.c.terminal_id == other.terminal_id)

    with pytest.raises(Exception, match=r"(?i)unique"), connection.begin_nested():
        connection.execute(pin.values(factory_key_sha256=DEVICE.key_sha256))


def test_a_serial_number_in_service_is_not_registered_by_a_ticket_twice(connection: Connection, doors: Doors) -> None:
    doors.active(connection, DEVICE)

    with pytest.raises(SerialNumberTakenError):
        doors.registered(connection, DEVICE)
