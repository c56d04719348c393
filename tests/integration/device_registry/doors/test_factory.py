"""Enrollment with the factory's identity: what it opens, what it pins, and every cheat that it meets."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from device_registry import CertificateStatus, TerminalClass, TerminalState
from device_registry.enrollment.chains import Fault
from device_registry.enrollment.factory import FactoryProof
from device_registry.enrollment.roots import FactoryRoots
from device_registry.errors import (
    CertificationLapsedError,
    ClassAboveModelError,
    FactoryProofRefusedError,
    KeyReusedError,
    MakerWithdrawnError,
    ManufacturerMismatchError,
    ModelUnknownError,
    ModelWithdrawnError,
    NonceRefusedError,
    RegistryError,
    TerminalUnregisteredError,
)
from tests.support.authority import a_signing_request
from tests.support.builders import OPERATOR
from tests.support.database import Database
from tests.support.doors import DEVICE, HERON, Doors, actions, fingerprint, state
from tests.support.factory import SECURITY, Factory, an_approved_maker, an_approved_model

EGRET = Factory(maker="Egret Systems")


@pytest.fixture
def connection(database: Database, doors: Doors) -> Iterator[Connection]:
    """Return a connection to books in which two manufacturers are approved."""
    with database.engine.begin() as connection:
        for factory in (HERON, EGRET):
            an_approved_model(
                connection, doors.bench.makers, an_approved_maker(connection, doors.bench.makers, factory)
            )
        yield connection


# The first certificate -----------------------------------------------------------------------------


def test_a_registered_terminal_enrolls_by_its_factory_identity_and_the_key_is_pinned(
    connection: Connection, doors: Doors
) -> None:
    terminal = doors.registered(connection, DEVICE)

    enrollment = doors.enroll(connection, DEVICE)

    enrolled = doors.bench.registry.terminal(connection, terminal.terminal_id)
    assert enrollment.terminal_id == terminal.terminal_id
    assert enrolled.state is TerminalState.ENROLLED
    assert enrolled.factory_key_sha256 == DEVICE.key_sha256
    assert actions(connection, terminal.terminal_id) == ["terminal.registered", "terminal.enrolled"]


def test_a_lost_answer_is_asked_for_again_and_only_the_last_certificate_is_good(
    connection: Connection, doors: Doors
) -> None:
    doors.registered(connection, DEVICE)
    lost = doors.enroll(connection, DEVICE)

    again = doors.enroll(connection, DEVICE)

    known = doors.bench.registry.certificates(connection, again.terminal_id)
    assert {it.fingerprint: it.status for it in known} == {
        fingerprint(lost): CertificateStatus.REVOKED,
        fingerprint(again): CertificateStatus.CURRENT,
    }


def test_a_factory_enrollment_voids_the_open_token(connection: Connection, doors: Doors) -> None:
    terminal = doors.registered(connection, DEVICE)
    registry = doors.bench.registry
    token = registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)
    doors.enroll(connection, DEVICE)
    nonce = registry.challenge(connection, serial_number=DEVICE.serial_number).nonce

    with pytest.raises(RegistryError) as caught:
        registry.enroll(
            connection,
            serial_number=DEVICE.serial_number,
            token=token.token,
            signing_request_der=a_signing_request(nonce=nonce),
            request_id="",
        )
    assert caught.value.reason == "TOKEN_EXPIRED"


def test_an_evicted_terminal_comes_back_with_the_same_factory_key(connection: Connection, doors: Doors) -> None:
    held = doors.active(connection, DEVICE)
    doors.bench.registry.evict(
        connection, terminal_id=held.terminal.terminal_id, reason="disk replaced", actor=OPERATOR
    )

    assert doors.enroll(connection, DEVICE).terminal_id == held.terminal.terminal_id


# Proofs that do not hold ---------------------------------------------------------------------------


def refused_proof(
    doors: Doors, connection: Connection, change: Callable[[FactoryProof, bytes, bytes], FactoryProof]
) -> str:
    """Enroll with a proof that was tampered with; return the fault."""
    doors.registered(connection, DEVICE)
    nonce = doors.bench.registry.challenge(connection, serial_number=DEVICE.serial_number).nonce
    request = a_signing_request(nonce=nonce)
    proof = change(DEVICE.proof(nonce=nonce, signing_request_der=request), nonce, request)

    with pytest.raises(FactoryProofRefusedError) as caught:
        doors.enroll_with(connection, proof, request, serial_number=DEVICE.serial_number)
    return caught.value.fault


def by_a_key_of_its_own(proof: FactoryProof, nonce: bytes, request: bytes) -> FactoryProof:
    """Present the certificate of the real device, which is no secret, without its key."""
    thief = HERON.make(DEVICE.serial_number)
    return replace(proof, signature=thief.proof(nonce=nonce, signing_request_der=request).signature)


def over_another_nonce(_proof: FactoryProof, _nonce: bytes, request: bytes) -> FactoryProof:
    return DEVICE.proof(nonce=b"\x00" * 32, signing_request_der=request)


def over_another_request(_proof: FactoryProof, nonce: bytes, _request: bytes) -> FactoryProof:
    return DEVICE.proof(nonce=nonce, signing_request_der=a_signing_request(nonce=nonce))


def without_the_context(_proof: FactoryProof, nonce: bytes, request: bytes) -> FactoryProof:
    return DEVICE.proof(nonce=nonce, signing_request_der=request, context=b"")


@pytest.mark.parametrize("change", [by_a_key_of_its_own, over_another_nonce, over_another_request, without_the_context])
def test_a_signature_by_another_key_or_over_other_bytes_is_refused(
    connection: Connection, doors: Doors, change: Callable[[FactoryProof, bytes, bytes], FactoryProof]
) -> None:
    assert refused_proof(doors, connection, change) == Fault.SIGNATURE


def test_the_identity_of_another_device_does_not_pass_for_this_one(connection: Connection, doors: Doors) -> None:
    doors.registered(connection, DEVICE)

    with pytest.raises(FactoryProofRefusedError) as caught:
        doors.enroll(connection, HERON.make("HD3-000018"), serial_number=DEVICE.serial_number)
    assert caught.value.fault == Fault.SERIAL_NUMBER


def test_a_nonce_is_good_once(connection: Connection, doors: Doors) -> None:
    doors.registered(connection, DEVICE)
    nonce = doors.bench.registry.challenge(connection, serial_number=DEVICE.serial_number).nonce
    for expected in (None, NonceRefusedError):
        request = a_signing_request(nonce=nonce)
        proof = DEVICE.proof(nonce=nonce, signing_request_der=request)
        try:
            doors.enroll_with(connection, proof, request, serial_number=DEVICE.serial_number)
        except NonceRefusedError as error:
            assert expected is type(error)  # noqa: PT017 - the first round must not raise
        else:
            assert expected is None


def test_only_who_proves_a_genuine_identity_learns_that_the_serial_number_is_not_registered(
    connection: Connection, doors: Doors
) -> None:
    with pytest.raises(TerminalUnregisteredError):
        doors.enroll(connection, DEVICE)
    with pytest.raises(FactoryProofRefusedError):
        doors.enroll(connection, Factory(maker="Nobody").make(DEVICE.serial_number))


def test_the_same_serial_number_of_another_maker_is_another_terminal(connection: Connection, doors: Doors) -> None:
    doors.registered(connection, DEVICE)

    with pytest.raises(ManufacturerMismatchError):
        doors.enroll(connection, EGRET.make(DEVICE.serial_number))


def test_another_makers_word_leaves_a_good_terminal_alone(connection: Connection, doors: Doors) -> None:
    doors.active(connection, DEVICE)

    with pytest.raises(ManufacturerMismatchError):  # and no DuplicateSerialError, for which a terminal is locked up
        doors.enroll(connection, EGRET.make(DEVICE.serial_number))


# The factory key is for proofs only ----------------------------------------------------------------


def test_the_factory_key_gets_no_certificate_at_the_factory_door(connection: Connection, doors: Doors) -> None:
    doors.registered(connection, DEVICE)
    nonce = doors.bench.registry.challenge(connection, serial_number=DEVICE.serial_number).nonce
    request = a_signing_request(nonce=nonce, key=the_factory_key())
    proof = DEVICE.proof(nonce=nonce, signing_request_der=request)

    with pytest.raises(KeyReusedError):
        doors.enroll_with(connection, proof, request, serial_number=DEVICE.serial_number)


def test_the_factory_key_gets_no_certificate_at_a_renewal(connection: Connection, doors: Doors) -> None:
    held = doors.active(connection, DEVICE)

    with pytest.raises(KeyReusedError):
        doors.bench.registry.renew(
            connection,
            terminal_id=held.terminal.terminal_id,
            fingerprint=held.fingerprint,
            signing_request_der=a_signing_request(key=the_factory_key()),
            request_id="",
        )


def the_factory_key() -> ec.EllipticCurvePrivateKey:
    assert isinstance(DEVICE.holder.key, ec.EllipticCurvePrivateKey)
    return DEVICE.holder.key


# What must be approved -----------------------------------------------------------------------------


def test_a_withdrawn_manufacturer_makes_no_new_terminals_and_the_running_ones_go_on(
    connection: Connection, doors: Doors
) -> None:
    running = doors.active(connection, HERON.make("HD3-000001"))
    doors.registered(connection, DEVICE)
    maker = doors.bench.makers.manufacturer_named(connection, HERON.maker)
    doors.bench.makers.withdraw_manufacturer(
        connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="keys were stolen"
    )

    with pytest.raises(MakerWithdrawnError):
        doors.enroll(connection, DEVICE)
    assert state(connection, doors, running.terminal.terminal_id) is TerminalState.ACTIVE


def test_a_root_that_came_back_under_a_new_approval_is_good_again(connection: Connection, doors: Doors) -> None:
    makers = doors.bench.makers
    maker = makers.manufacturer_named(connection, HERON.maker)
    makers.withdraw_manufacturer(connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="a mistake")
    an_approved_model(connection, makers, an_approved_maker(connection, makers, HERON))
    doors.registered(connection, DEVICE)

    assert doors.enroll(connection, DEVICE).certificate_chain_der


def test_a_maker_that_was_approved_anew_with_a_renewed_root_is_good_again(connection: Connection, doors: Doors) -> None:
    makers = doors.bench.makers
    maker = makers.manufacturer_named(connection, HERON.maker)
    makers.withdraw_manufacturer(connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="audited")
    again = makers.add_manufacturer(
        connection,
        name=HERON.maker,
        root_certificates_der=[HERON.renewed_root().der],
        firmware_key_der=None,
        actor=SECURITY,
        reason="audited again, the root is renewed",
    )
    an_approved_model(connection, makers, again)
    doors.registered(connection, DEVICE)

    assert doors.enroll(connection, DEVICE).certificate_chain_der


def test_roots_are_parsed_once_and_a_new_maker_counts_at_once(connection: Connection, doors: Doors) -> None:
    roots = FactoryRoots()
    before = roots.all(connection)
    plover = Factory(maker="Plover Works")
    an_approved_maker(connection, doors.bench.makers, plover)

    after = roots.all(connection)

    assert {root.der for root in after} == {HERON.root.der, EGRET.root.der, plover.root.der}
    assert all(root in after for root in before)
    assert {id(root.certificate) for root in before} < {id(root.certificate) for root in after}


def test_the_roots_of_a_withdrawn_maker_come_last(connection: Connection, doors: Doors) -> None:
    roots = FactoryRoots()
    for factory, other in ((HERON, EGRET), (EGRET, HERON)):
        maker = doors.bench.makers.manufacturer_named(connection, factory.maker)
        doors.bench.makers.withdraw_manufacturer(
            connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="audited"
        )
        assert [root.der for root in roots.all(connection)] == [other.root.der, factory.root.der]
        an_approved_maker(connection, doors.bench.makers, factory)


def test_an_unknown_or_withdrawn_model_does_not_enroll(connection: Connection, doors: Doors) -> None:
    other = HERON.make("HD9-000001")
    doors.registered(connection, DEVICE)
    doors.registered(connection, other, model="HD-9")
    model = doors.bench.makers.model_named(connection, manufacturer=HERON.maker, model="HD-3")
    doors.bench.makers.withdraw_model(connection, model_id=model.model_id, actor=SECURITY, reason="recalled")

    with pytest.raises(ModelWithdrawnError):
        doors.enroll(connection, DEVICE)
    with pytest.raises(ModelUnknownError):
        doors.enroll(connection, other)


def test_a_lapsed_certification_stops_enrollments_and_not_terminals(connection: Connection, doors: Doors) -> None:
    running = doors.active(connection, HERON.make("HD3-000001"))
    doors.registered(connection, DEVICE)
    doors.clock.advance(timedelta(days=700))

    with pytest.raises(CertificationLapsedError) as caught:
        doors.enroll(connection, DEVICE)
    assert caught.value.expired_on.isoformat() == "2027-12-31"
    assert state(connection, doors, running.terminal.terminal_id) is TerminalState.ACTIVE


def test_a_terminal_is_not_enrolled_for_more_than_its_model_is_certified_for(
    connection: Connection, doors: Doors
) -> None:
    makers = doors.bench.makers
    maker = makers.manufacturer_named(connection, HERON.maker)
    an_approved_model(connection, makers, maker, name="HD-2", terminal_class=TerminalClass.CARD)
    below, above = HERON.make("HD2-000001"), HERON.make("HD2-000002")
    doors.registered(connection, below, model="HD-2", terminal_class=TerminalClass.SCAN)
    doors.registered(connection, above, model="HD-2", terminal_class=TerminalClass.FACE)

    assert doors.enroll(connection, below).certificate_chain_der
    with pytest.raises(ClassAboveModelError):
        doors.enroll(connection, above)
