"""Whose terminals are let in? The manufacturers, models and firmware that somebody here has approved."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

import uuid_utils
from sqlalchemy import Connection, insert, update

from device_registry.changes import Changes
from device_registry.enrollment.chains import anchor_from_der
from device_registry.errors import (
    FieldInvalidError,
    FirmwareExistsError,
    FirmwareStateError,
    FirmwareUnknownError,
    MakerExistsError,
    MakerUnknownError,
    MakerWithdrawnError,
    ManifestRefusedError,
    ModelExistsError,
    ModelUnknownError,
    ModelWithdrawnError,
)
from device_registry.makers import approved
from device_registry.makers.approvals import DeviceModel, Firmware, FirmwareState, MakerState, Manufacturer
from device_registry.makers.manifests import firmware_key_from_der, manifest_from
from device_registry.model import TerminalClass
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationKind
from device_registry.tables import device_models, factory_roots, firmware, manufacturers
from device_registry.wording import REASON_LENGTH_MAX, refuse_text

NAME_LENGTH_MAX = 128
ROOTS_MAX = 8
"""Factory roots one manufacturer may have."""

# How a finding spreads and is cleared: a flag may be lifted, a withdrawal is for good.
_FIRMWARE_WAYS = {
    FirmwareState.APPROVED: frozenset({FirmwareState.FLAGGED, FirmwareState.WITHDRAWN}),
    FirmwareState.FLAGGED: frozenset({FirmwareState.APPROVED, FirmwareState.FLAGGED, FirmwareState.WITHDRAWN}),
    FirmwareState.WITHDRAWN: frozenset[FirmwareState](),
}


class Makers:
    """Approves manufacturers, models and firmware, takes the approval back, and says what is approved."""

    def __init__(self, *, now: Callable[[], datetime], changes: Changes, revocations: Revocations) -> None:
        self._now = now
        self._changes = changes
        self._revocations = revocations

    # What is approved ------------------------------------------------------------------------------

    def manufacturers(self, connection: Connection) -> list[Manufacturer]:
        """Return every manufacturer, oldest first, withdrawn ones included."""
        return approved.manufacturers_of(connection)

    def manufacturer(self, connection: Connection, manufacturer_id: str) -> Manufacturer:
        """Return a manufacturer."""
        found = approved.manufacturers_of(connection, manufacturers.c.manufacturer_id == manufacturer_id)
        if not found:
            raise MakerUnknownError(maker=manufacturer_id)
        return found[0]

    def manufacturer_named(self, connection: Connection, name: str) -> Manufacturer:
        """Return the approved manufacturer of a name; of a withdrawn one, raise that it is."""
        return _approved_among(approved.manufacturers_of(connection, manufacturers.c.name == name), wanted=name)

    def manufacturer_of_root(self, connection: Connection, fingerprint: str) -> Manufacturer:
        """Return the approved manufacturer of a factory root; of a withdrawn one, raise that it is."""
        return _approved_among(approved.makers_of_root(connection, fingerprint), wanted=fingerprint)

    def models(self, connection: Connection, manufacturer_id: str | None = None) -> list[DeviceModel]:
        """Return every model, or those of one manufacturer, oldest first, withdrawn ones included."""
        if manufacturer_id is None:
            return approved.models_of(connection)
        return approved.models_of(connection, device_models.c.manufacturer_id == manufacturer_id)

    def model(self, connection: Connection, model_id: str) -> DeviceModel:
        """Return a model."""
        found = approved.models_of(connection, device_models.c.model_id == model_id)
        if not found:
            raise ModelUnknownError(maker="", model=model_id)
        return found[0]

    def model_named(self, connection: Connection, *, manufacturer: str, model: str) -> DeviceModel:
        """Return the approved model of an approved manufacturer, by the names a terminal is registered under."""
        maker = self.manufacturer_named(connection, manufacturer)
        found = approved.models_of(
            connection, device_models.c.manufacturer_id == maker.manufacturer_id, device_models.c.name == model
        )
        if not found:
            raise ModelUnknownError(maker=manufacturer, model=model)
        for one in found:
            if one.state is MakerState.APPROVED:
                return one
        raise ModelWithdrawnError(maker=manufacturer, model=model)

    def all_firmware(self, connection: Connection, model_id: str | None = None) -> list[Firmware]:
        """Return every firmware, or that of one model, oldest first, whatever its state."""
        if model_id is None:
            return approved.firmware_of(connection)
        return approved.firmware_of(connection, firmware.c.model_id == model_id)

    def firmware(self, connection: Connection, firmware_id: str) -> Firmware:
        """Return a firmware."""
        found = approved.firmware_of(connection, firmware.c.firmware_id == firmware_id)
        if not found:
            raise FirmwareUnknownError(firmware_id=firmware_id)
        return found[0]

    # Decisions -------------------------------------------------------------------------------------

    def add_manufacturer(
        self,
        connection: Connection,
        *,
        name: str,
        root_certificates_der: Sequence[bytes],
        firmware_key_der: bytes | None,
        actor: str,
        reason: str,
        request_id: str = "",
    ) -> Manufacturer:
        """Approve a manufacturer: terminals with a factory identity under one of these roots are its own."""
        refuse_text(NAME_LENGTH_MAX, name=name)
        refuse_text(REASON_LENGTH_MAX, reason=reason)
        now = self._now()
        if firmware_key_der is not None:
            firmware_key_from_der(firmware_key_der)
        known = [maker for maker in self.manufacturers(connection) if maker.state is MakerState.APPROVED]
        if any(maker.name == name for maker in known):
            raise MakerExistsError(name=name, detail="this name")
        manufacturer_id = str(uuid_utils.uuid7())
        anchors = [anchor_from_der(der, now=now) for der in root_certificates_der]
        if not 0 < len(anchors) <= ROOTS_MAX:
            raise FieldInvalidError(field="root_certificates_der", detail=f"1 to {ROOTS_MAX} certificates")
        for anchor in anchors:
            owner = next((maker for maker in known if anchor.fingerprint in maker.root_fingerprints), None)
            if owner is not None:
                raise MakerExistsError(name=owner.name, detail=f"root {anchor.fingerprint}")
        connection.execute(
            insert(manufacturers),
            {
                "manufacturer_id": manufacturer_id,
                "name": name,
                "firmware_key_der": firmware_key_der,
                "state": MakerState.APPROVED,
                "state_reason": reason,
                "state_since": now,
                "added_at": now,
            },
        )
        connection.execute(
            insert(factory_roots),
            [
                {
                    "manufacturer_id": manufacturer_id,
                    "fingerprint": anchor.fingerprint,
                    "certificate_der": anchor.der,
                    "not_after": anchor.not_after,
                    "added_at": now,
                }
                for anchor in {anchor.fingerprint: anchor for anchor in anchors}.values()
            ],
        )
        self._changes.note(
            connection, actor=actor, action="maker.added", subject=manufacturer_id, reason=reason, request_id=request_id
        )
        return self.manufacturer(connection, manufacturer_id)

    def withdraw_manufacturer(
        self, connection: Connection, *, manufacturer_id: str, actor: str, reason: str, request_id: str = ""
    ) -> Manufacturer:
        """Take a manufacturer's approval back: none of its terminals enrolls by factory identity any more."""
        refuse_text(REASON_LENGTH_MAX, reason=reason)
        maker = self.manufacturer(connection, manufacturer_id)
        if maker.state is MakerState.WITHDRAWN:
            raise MakerWithdrawnError(maker=maker.name)
        now = self._now()
        change = update(manufacturers).where(manufacturers.c.manufacturer_id == manufacturer_id)
        self._revocations.note_revoked(connection, kind=RevocationKind.MAKER, subject=manufacturer_id)
        connection.execute(change.values(state=MakerState.WITHDRAWN, state_reason=reason, state_since=now))
        self._changes.note(
            connection,
            actor=actor,
            action="maker.withdrawn",
            subject=manufacturer_id,
            reason=reason,
            request_id=request_id,
        )
        return replace(maker, state=MakerState.WITHDRAWN, state_reason=reason, state_since=now)

    def add_model(
        self,
        connection: Connection,
        *,
        manufacturer_id: str,
        name: str,
        terminal_class: TerminalClass,
        certification_number: str,
        certification_expires_on: date,
        actor: str,
        reason: str,
        request_id: str = "",
    ) -> DeviceModel:
        """Approve a model, up to a class, until its certification ends."""
        refuse_text(NAME_LENGTH_MAX, name=name, certification_number=certification_number)
        refuse_text(REASON_LENGTH_MAX, reason=reason)
        maker = self.manufacturer(connection, manufacturer_id)
        if maker.state is MakerState.WITHDRAWN:
            raise MakerWithdrawnError(maker=maker.name)
        of_maker = self.models(connection, manufacturer_id)
        if any(model.name == name and model.state is MakerState.APPROVED for model in of_maker):
            raise ModelExistsError(maker=maker.name, model=name)
        now, model_id = self._now(), str(uuid_utils.uuid7())
        connection.execute(
            insert(device_models),
            {
                "model_id": model_id,
                "manufacturer_id": manufacturer_id,
                "name": name,
                "terminal_class": terminal_class,
                "certification_number": certification_number,
                "certification_expires_on": certification_expires_on,
                "state": MakerState.APPROVED,
                "state_reason": reason,
                "state_since": now,
                "added_at": now,
            },
        )
        self._changes.note(
            connection, actor=actor, action="model.added", subject=model_id, reason=reason, request_id=request_id
        )
        return self.model(connection, model_id)

    def withdraw_model(
        self, connection: Connection, *, model_id: str, actor: str, reason: str, request_id: str = ""
    ) -> DeviceModel:
        """Take a model's approval back: no terminal of it enrolls by factory identity any more."""
        refuse_text(REASON_LENGTH_MAX, reason=reason)
        model = self.model(connection, model_id)
        if model.state is MakerState.WITHDRAWN:
            raise ModelWithdrawnError(maker=model.manufacturer, model=model.name)
        now = self._now()
        change = update(device_models).where(device_models.c.model_id == model_id)
        self._revocations.note_revoked(connection, kind=RevocationKind.MODEL, subject=model_id)
        connection.execute(change.values(state=MakerState.WITHDRAWN, state_reason=reason, state_since=now))
        self._changes.note(
            connection, actor=actor, action="model.withdrawn", subject=model_id, reason=reason, request_id=request_id
        )
        return replace(model, state=MakerState.WITHDRAWN, state_reason=reason, state_since=now)

    def add_firmware(
        self,
        connection: Connection,
        *,
        model_id: str,
        manifest: bytes,
        signature: bytes,
        actor: str,
        reason: str,
        request_id: str = "",
    ) -> Firmware:
        """Approve a firmware by the manifest that its maker signed; version, digest and size are the manifest's."""
        refuse_text(REASON_LENGTH_MAX, reason=reason)
        model = self.model(connection, model_id)
        maker = self.manufacturer(connection, model.manufacturer_id)
        if MakerState.WITHDRAWN in {model.state, maker.state}:
            raise ModelWithdrawnError(maker=maker.name, model=model.name)
        said = manifest_from(manifest, signature=signature, firmware_key_der=maker.firmware_key_der)
        if (said.manufacturer, said.model) != (maker.name, model.name):
            raise ManifestRefusedError(detail=f"it is for {said.manufacturer} {said.model}")
        if any(one.version == said.version for one in self.all_firmware(connection, model_id)):
            raise FirmwareExistsError(model=model.name, version=said.version)
        now, firmware_id = self._now(), str(uuid_utils.uuid7())
        connection.execute(
            insert(firmware),
            {
                "firmware_id": firmware_id,
                "model_id": model_id,
                "version": said.version,
                "sha256": said.sha256,
                "size_bytes": said.size_bytes,
                "manifest": manifest,
                "signature": signature,
                "state": FirmwareState.APPROVED,
                "finding": "",
                "state_since": now,
                "added_at": now,
            },
        )
        self._changes.note(
            connection, actor=actor, action="firmware.added", subject=firmware_id, reason=reason, request_id=request_id
        )
        return self.firmware(connection, firmware_id)

    def judge_firmware(
        self,
        connection: Connection,
        *,
        firmware_id: str,
        state: FirmwareState,
        finding: str,
        actor: str,
        request_id: str = "",
    ) -> Firmware:
        """Flag a firmware with a finding, lift the flag (the finding then says why), or withdraw it for good."""
        refuse_text(REASON_LENGTH_MAX, finding=finding)
        known = self.firmware(connection, firmware_id)
        if state not in _FIRMWARE_WAYS[known.state]:
            raise FirmwareStateError(firmware_id=firmware_id, state=known.state, wanted=state)
        now, kept = self._now(), "" if state is FirmwareState.APPROVED else finding
        change = update(firmware).where(firmware.c.firmware_id == firmware_id)
        connection.execute(change.values(state=state, finding=kept, state_since=now))
        self._changes.note(
            connection,
            actor=actor,
            action=f"firmware.{state.lower()}",
            subject=firmware_id,
            reason=finding,
            request_id=request_id,
        )
        return replace(known, state=state, finding=kept, state_since=now)


def _approved_among(found: Sequence[Manufacturer], *, wanted: str) -> Manufacturer:
    if not found:
        raise MakerUnknownError(maker=wanted)
    for maker in found:
        if maker.state is MakerState.APPROVED:
            return maker
    raise MakerWithdrawnError(maker=found[-1].name)
