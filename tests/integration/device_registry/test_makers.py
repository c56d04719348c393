"""Manufacturers, models and firmware: approved, withdrawn, flagged, and what is refused."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from device_registry import Authority, TerminalClass
from device_registry.errors import (
    FactoryRootRefusedError,
    FieldInvalidError,
    FirmwareExistsError,
    FirmwareStateError,
    MakerExistsError,
    MakerUnknownError,
    MakerWithdrawnError,
    ManifestRefusedError,
    ModelExistsError,
    ModelUnknownError,
    ModelWithdrawnError,
)
from device_registry.makers.approvals import DeviceModel, Firmware, FirmwareState, MakerState, Manufacturer
from device_registry.makers.makers import Makers
from device_registry.tables import audit_log
from tests.support.builders import a_registry
from tests.support.database import Database
from tests.support.factory import SECURITY, Factory, an_approved_maker, an_approved_model

HERON = Factory()


@pytest.fixture
def makers(tmp_path: Path, shared_authority: Authority) -> Makers:
    return a_registry(tmp_path, authority=shared_authority).makers


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.engine.begin() as connection:
        yield connection


@pytest.fixture
def maker(connection: Connection, makers: Makers) -> Manufacturer:
    return an_approved_maker(connection, makers, HERON)


@pytest.fixture
def model(connection: Connection, makers: Makers, maker: Manufacturer) -> DeviceModel:
    return an_approved_model(connection, makers, maker)


def add_firmware(
    connection: Connection, makers: Makers, model: DeviceModel, manifest: bytes, *, signer: Factory = HERON
) -> Firmware:
    return makers.add_firmware(
        connection,
        model_id=model.model_id,
        manifest=manifest,
        signature=signer.sign_manifest(manifest),
        actor=SECURITY,
        reason="release notes read",
    )


def actions(connection: Connection) -> list[tuple[str, str, str]]:
    return [
        (row.action, row.actor, row.reason)
        for row in connection.execute(select(audit_log).order_by(audit_log.c.entry_id))
    ]


def test_what_was_approved_is_found_by_the_names_a_terminal_is_registered_under(
    connection: Connection, makers: Makers, maker: Manufacturer, model: DeviceModel
) -> None:
    found = makers.model_named(connection, manufacturer="Heron Devices", model="HD-3")

    assert found == model
    assert (found.manufacturer, found.terminal_class) == ("Heron Devices", TerminalClass.FACE)
    assert makers.manufacturers(connection) == [maker]
    assert maker.root_certificates_der == (HERON.root.der,)
    assert actions(connection) == [
        ("maker.added", SECURITY, "audited in Ningbo"),
        ("model.added", SECURITY, "certified"),
    ]


@pytest.mark.usefixtures("maker")
def test_a_name_or_a_root_belongs_to_one_approved_manufacturer(connection: Connection, makers: Makers) -> None:
    twin, borrower = Factory(), Factory(maker="Egret Systems")
    borrower.root = HERON.root

    for factory in (twin, borrower):
        with pytest.raises(MakerExistsError):
            an_approved_maker(connection, makers, factory)


def test_a_withdrawn_manufacturer_may_be_approved_anew_under_a_new_id(
    connection: Connection, makers: Makers, maker: Manufacturer
) -> None:
    makers.withdraw_manufacturer(
        connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="keys were stolen"
    )
    with pytest.raises(MakerWithdrawnError):
        makers.manufacturer_named(connection, maker.name)

    again = an_approved_maker(connection, makers, HERON)

    assert again.manufacturer_id != maker.manufacturer_id
    assert makers.manufacturer_named(connection, maker.name) == again
    assert actions(connection)[1] == ("maker.withdrawn", SECURITY, "keys were stolen")


@pytest.mark.parametrize(("roots", "error"), [((), FieldInvalidError), ((b"no certificate",), FactoryRootRefusedError)])
def test_a_manufacturer_without_a_good_root_is_refused(
    connection: Connection, makers: Makers, roots: tuple[bytes, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        makers.add_manufacturer(
            connection, name="Egret", root_certificates_der=roots, firmware_key_der=None, actor=SECURITY, reason="new"
        )
    assert makers.manufacturers(connection) == []


@pytest.mark.parametrize("field", ["name", "reason"])
def test_what_an_approval_says_is_not_empty(connection: Connection, makers: Makers, field: str) -> None:
    said = {"name": "Egret", "reason": "new", field: "  "}

    with pytest.raises(FieldInvalidError) as caught:
        makers.add_manufacturer(
            connection, root_certificates_der=[HERON.root.der], firmware_key_der=None, actor=SECURITY, **said
        )

    assert caught.value.field == field


def test_a_model_is_approved_once_and_may_come_back_after_it_was_withdrawn(
    connection: Connection, makers: Makers, maker: Manufacturer, model: DeviceModel
) -> None:
    with pytest.raises(ModelExistsError):
        an_approved_model(connection, makers, maker)
    makers.withdraw_model(connection, model_id=model.model_id, actor=SECURITY, reason="recalled")
    with pytest.raises(ModelWithdrawnError):
        makers.model_named(connection, manufacturer=maker.name, model=model.name)

    again = an_approved_model(connection, makers, maker)

    assert makers.model_named(connection, manufacturer=maker.name, model=model.name) == again
    assert [one.state for one in makers.models(connection, maker.manufacturer_id)] == [
        MakerState.WITHDRAWN,
        MakerState.APPROVED,
    ]


def test_models_of_nobody_are_unknown(connection: Connection, makers: Makers, maker: Manufacturer) -> None:
    with pytest.raises(ModelUnknownError):
        makers.model_named(connection, manufacturer=maker.name, model="HD-9")
    with pytest.raises(MakerUnknownError):
        makers.model_named(connection, manufacturer="Nobody", model="HD-3")


def test_a_certification_holds_through_its_last_day(model: DeviceModel) -> None:
    assert model.certification_expires_on == date(2027, 12, 31)
    assert not model.certification_has_lapsed(datetime(2027, 12, 31, 23, 59, tzinfo=UTC))
    assert model.certification_has_lapsed(datetime(2028, 1, 1, tzinfo=UTC))


def test_a_firmware_says_what_its_maker_signed(
    connection: Connection, makers: Makers, maker: Manufacturer, model: DeviceModel
) -> None:
    manifest = HERON.manifest()

    added = add_firmware(connection, makers, model, manifest)

    assert (added.version, added.sha256, added.size_bytes) == ("2.4.1", "5f" * 32, 1_048_576)
    assert (added.manufacturer, added.model, added.state) == (maker.name, model.name, FirmwareState.APPROVED)
    assert makers.firmware(connection, added.firmware_id) == added
    assert makers.all_firmware(connection, model.model_id)[0].manifest == manifest


@pytest.mark.parametrize(
    "manifest",
    [
        b"no json",
        b"[]",
        HERON.manifest(model="HD-9"),
        HERON.manifest(manufacturer="Egret Systems"),
        HERON.manifest(sha256="5F" * 32),
        HERON.manifest(size_bytes=0),
        HERON.manifest(size_bytes=True),
        HERON.manifest(size_bytes=1.5),
        HERON.manifest(version=""),
        HERON.manifest(more="than it says"),
        HERON.manifest(version="9" * 9000),
    ],
)
def test_a_manifest_that_says_anything_else_is_refused(
    connection: Connection, makers: Makers, model: DeviceModel, manifest: bytes
) -> None:
    with pytest.raises(ManifestRefusedError):
        add_firmware(connection, makers, model, manifest)


def test_a_manifest_that_somebody_else_signed_is_refused(
    connection: Connection, makers: Makers, model: DeviceModel
) -> None:
    with pytest.raises(ManifestRefusedError):
        add_firmware(connection, makers, model, HERON.manifest(), signer=Factory())


def test_a_version_is_one_image_for_good(connection: Connection, makers: Makers, model: DeviceModel) -> None:
    added = add_firmware(connection, makers, model, HERON.manifest())
    makers.judge_firmware(
        connection, firmware_id=added.firmware_id, state=FirmwareState.WITHDRAWN, finding="built wrong", actor=SECURITY
    )

    with pytest.raises(FirmwareExistsError):
        add_firmware(connection, makers, model, HERON.manifest(sha256="60" * 32))


def test_a_flag_carries_its_finding_and_may_be_lifted_but_a_withdrawal_stays(
    connection: Connection, makers: Makers, model: DeviceModel
) -> None:
    firmware_id = add_firmware(connection, makers, model, HERON.manifest()).firmware_id

    def judge(state: FirmwareState, finding: str) -> Firmware:
        return makers.judge_firmware(connection, firmware_id=firmware_id, state=state, finding=finding, actor=SECURITY)

    assert judge(FirmwareState.FLAGGED, "camera driver leaks frames").finding == "camera driver leaks frames"
    assert judge(FirmwareState.APPROVED, "it was the test rig").finding == ""
    judge(FirmwareState.WITHDRAWN, "leaks after all")
    for state in FirmwareState:
        with pytest.raises(FirmwareStateError):
            judge(state, "again")

    assert [action for action, _, _ in actions(connection)[-3:]] == [
        "firmware.flagged",
        "firmware.approved",
        "firmware.withdrawn",
    ]


def test_nothing_is_added_to_a_withdrawn_manufacturer(
    connection: Connection, makers: Makers, maker: Manufacturer, model: DeviceModel
) -> None:
    makers.withdraw_manufacturer(connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="bankrupt")

    with pytest.raises(MakerWithdrawnError):
        an_approved_model(connection, makers, maker, name="HD-4")
    with pytest.raises(ModelWithdrawnError):
        add_firmware(connection, makers, model, HERON.manifest())
