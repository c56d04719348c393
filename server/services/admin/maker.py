"""Whose terminals are let in, as the security team asks for it."""

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from sqlalchemy import Connection

from device_registry import TerminalClass
from device_registry.makers import approvals
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.refusals import FieldViolation, InvalidRequestError
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import maker_pb2 as pb
from shualian.admin.v1 import maker_pb2_grpc, registry_pb2

T = TypeVar("T")


class MakerService(maker_pb2_grpc.MakerServiceServicer):
    """MakerService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._makers = domain.makers
        self._unit_of_work = unit_of_work

    # Manufacturers ---------------------------------------------------------------------------------

    async def AddManufacturer(
        self, request: pb.AddManufacturerRequest, _context: Context
    ) -> pb.AddManufacturerResponse:
        """Approve a manufacturer."""
        added = await self._write(
            lambda connection, actor, request_id: self._makers.add_manufacturer(
                connection,
                name=request.name,
                root_certificates_der=request.root_certificates_der,
                firmware_key_der=request.firmware_key_der or None,
                actor=actor,
                reason=request.reason,
                request_id=request_id,
            )
        )
        return pb.AddManufacturerResponse(manufacturer=_manufacturer(added))

    async def WithdrawManufacturer(
        self, request: pb.WithdrawManufacturerRequest, _context: Context
    ) -> pb.WithdrawManufacturerResponse:
        """Take a manufacturer's approval back."""
        withdrawn = await self._write(
            lambda connection, actor, request_id: self._makers.withdraw_manufacturer(
                connection,
                manufacturer_id=request.manufacturer_id,
                actor=actor,
                reason=request.reason,
                request_id=request_id,
            )
        )
        return pb.WithdrawManufacturerResponse(manufacturer=_manufacturer(withdrawn))

    async def ListManufacturers(
        self, _request: pb.ListManufacturersRequest, _context: Context
    ) -> pb.ListManufacturersResponse:
        """List every manufacturer."""
        makers = await self._unit_of_work.read(self._makers.manufacturers)
        return pb.ListManufacturersResponse(manufacturers=map(_manufacturer, makers))

    # Models ----------------------------------------------------------------------------------------

    async def AddModel(self, request: pb.AddModelRequest, _context: Context) -> pb.AddModelResponse:
        """Approve a model."""
        terminal_class = convert.word_of(
            registry_pb2.TerminalClass, "TERMINAL_CLASS", request.terminal_class, TerminalClass
        )
        expires_on = _day(request.certification_expires_on)
        added = await self._write(
            lambda connection, actor, request_id: self._makers.add_model(
                connection,
                manufacturer_id=request.manufacturer_id,
                name=request.name,
                terminal_class=terminal_class or TerminalClass.SCAN,
                certification_number=request.certification_number,
                certification_expires_on=expires_on,
                actor=actor,
                reason=request.reason,
                request_id=request_id,
            )
        )
        return pb.AddModelResponse(model=_model(added))

    async def WithdrawModel(self, request: pb.WithdrawModelRequest, _context: Context) -> pb.WithdrawModelResponse:
        """Take a model's approval back."""
        withdrawn = await self._write(
            lambda connection, actor, request_id: self._makers.withdraw_model(
                connection, model_id=request.model_id, actor=actor, reason=request.reason, request_id=request_id
            )
        )
        return pb.WithdrawModelResponse(model=_model(withdrawn))

    async def ListModels(self, request: pb.ListModelsRequest, _context: Context) -> pb.ListModelsResponse:
        """List models."""
        models = await self._unit_of_work.read(
            lambda connection: self._makers.models(connection, request.manufacturer_id or None)
        )
        return pb.ListModelsResponse(models=map(_model, models))

    # Firmware --------------------------------------------------------------------------------------

    async def AddFirmware(self, request: pb.AddFirmwareRequest, _context: Context) -> pb.AddFirmwareResponse:
        """Approve a firmware."""
        added = await self._write(
            lambda connection, actor, request_id: self._makers.add_firmware(
                connection,
                model_id=request.model_id,
                manifest=request.manifest,
                signature=request.signature,
                actor=actor,
                reason=request.reason,
                request_id=request_id,
            )
        )
        return pb.AddFirmwareResponse(firmware=_firmware(added))

    async def JudgeFirmware(self, request: pb.JudgeFirmwareRequest, _context: Context) -> pb.JudgeFirmwareResponse:
        """Flag a firmware, lift the flag, or withdraw it."""
        state = convert.word_of(pb.FirmwareState, "FIRMWARE_STATE", request.state, approvals.FirmwareState)
        judged = await self._write(
            lambda connection, actor, request_id: self._makers.judge_firmware(
                connection,
                firmware_id=request.firmware_id,
                state=state or approvals.FirmwareState.FLAGGED,
                finding=request.finding,
                actor=actor,
                request_id=request_id,
            )
        )
        return pb.JudgeFirmwareResponse(firmware=_firmware(judged))

    async def ListFirmware(self, request: pb.ListFirmwareRequest, _context: Context) -> pb.ListFirmwareResponse:
        """List firmware."""
        firmware = await self._unit_of_work.read(
            lambda connection: self._makers.all_firmware(connection, request.model_id or None)
        )
        return pb.ListFirmwareResponse(firmware=map(_firmware, firmware))

    async def _write(self, change: Callable[[Connection, str, str], T]) -> T:
        """Make a change in the name of the caller."""
        caller = current_operator()
        return await self._unit_of_work.write(lambda connection: change(connection, caller.actor, caller.request_id))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        wrong = FieldViolation(field="certification_expires_on", rule="must be a day of the calendar, YYYY-MM-DD")
        raise InvalidRequestError(violations=(wrong,)) from None


def _manufacturer(record: approvals.Manufacturer) -> pb.Manufacturer:
    return pb.Manufacturer(
        manufacturer_id=record.manufacturer_id,
        name=record.name,
        state=convert.enum_of(pb.MakerState, "MAKER_STATE", record.state),
        state_reason=record.state_reason,
        state_since=convert.when(record.state_since),
        added_at=convert.when(record.added_at),
        root_fingerprints=record.root_fingerprints,
        signs_firmware=record.firmware_key_der is not None,
    )


def _model(record: approvals.DeviceModel) -> pb.Model:
    return pb.Model(
        model_id=record.model_id,
        manufacturer_id=record.manufacturer_id,
        manufacturer=record.manufacturer,
        name=record.name,
        terminal_class=convert.enum_of(registry_pb2.TerminalClass, "TERMINAL_CLASS", record.terminal_class),
        certification_number=record.certification_number,
        certification_expires_on=record.certification_expires_on.isoformat(),
        state=convert.enum_of(pb.MakerState, "MAKER_STATE", record.state),
        state_reason=record.state_reason,
        state_since=convert.when(record.state_since),
    )


def _firmware(record: approvals.Firmware) -> pb.Firmware:
    return pb.Firmware(
        firmware_id=record.firmware_id,
        model_id=record.model_id,
        manufacturer=record.manufacturer,
        model=record.model,
        version=record.version,
        sha256=record.sha256,
        size_bytes=record.size_bytes,
        state=convert.enum_of(pb.FirmwareState, "FIRMWARE_STATE", record.state),
        finding=record.finding,
        state_since=convert.when(record.state_since),
    )
