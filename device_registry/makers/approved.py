"""The questions the registry asks its tables about manufacturers, models and firmware."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, select

from device_registry.makers.approvals import DeviceModel, Firmware, MakerState, Manufacturer
from device_registry.tables import device_models, factory_roots, firmware, manufacturers

_ROOTS = select(factory_roots.c.manufacturer_id, factory_roots.c.fingerprint, factory_roots.c.certificate_der).order_by(
    factory_roots.c.added_at, factory_roots.c.fingerprint
)
_ROOT_FINGERPRINTS = (
    select(factory_roots.c.fingerprint)
    .join(manufacturers, manufacturers.c.manufacturer_id == factory_roots.c.manufacturer_id)
    .order_by(
        manufacturers.c.state != MakerState.APPROVED, factory_roots.c.added_at.desc(), factory_roots.c.fingerprint
    )
)
_ROOT_CERTIFICATES = select(factory_roots.c.fingerprint, factory_roots.c.certificate_der).where(
    factory_roots.c.fingerprint.in_(bindparam("fingerprints", expanding=True))
)
_MODELS = select(device_models, manufacturers.c.name.label("manufacturer")).join(
    manufacturers, manufacturers.c.manufacturer_id == device_models.c.manufacturer_id
)
_FIRMWARE = (
    select(firmware, device_models.c.name.label("model"), manufacturers.c.name.label("manufacturer"))
    .join(device_models, device_models.c.model_id == firmware.c.model_id)
    .join(manufacturers, manufacturers.c.manufacturer_id == device_models.c.manufacturer_id)
)


def manufacturers_of(connection: Connection, *where: ColumnElement[bool]) -> list[Manufacturer]:
    """Return the manufacturers that all these conditions hold for, oldest first, with their factory roots."""
    rows = connection.execute(select(manufacturers).where(*where).order_by(manufacturers.c.manufacturer_id)).mappings()
    found = [dict(row) for row in rows]
    roots: dict[str, dict[str, bytes]] = {row["manufacturer_id"]: {} for row in found}
    wanted = _ROOTS.where(factory_roots.c.manufacturer_id.in_(roots))
    for manufacturer_id, fingerprint, der in connection.execute(wanted):
        roots[manufacturer_id][fingerprint] = der
    return [
        Manufacturer(
            **row,
            root_certificates_der=tuple(roots[row["manufacturer_id"]].values()),
            root_fingerprints=tuple(roots[row["manufacturer_id"]]),
        )
        for row in found
    ]


def makers_of_root(connection: Connection, fingerprint: str) -> list[Manufacturer]:
    """Return the manufacturers that a factory root is or was recorded for, oldest first."""
    owners = select(factory_roots.c.manufacturer_id).where(factory_roots.c.fingerprint == fingerprint)
    return manufacturers_of(connection, manufacturers.c.manufacturer_id.in_(owners))


def root_fingerprints(connection: Connection) -> list[str]:
    """Return every recorded factory root: those of approved manufacturers first, of these the newest first."""
    return list(dict.fromkeys(connection.scalars(_ROOT_FINGERPRINTS)))


def root_certificates(connection: Connection, fingerprints: Sequence[str]) -> dict[str, bytes]:
    """Return recorded factory roots by fingerprint."""
    rows = connection.execute(_ROOT_CERTIFICATES, {"fingerprints": list(fingerprints)}).mappings()
    return {row["fingerprint"]: row["certificate_der"] for row in rows}


def models_of(connection: Connection, *where: ColumnElement[bool]) -> list[DeviceModel]:
    """Return the models that all these conditions hold for, oldest first."""
    rows = connection.execute(_MODELS.where(*where).order_by(device_models.c.model_id)).mappings()
    return [DeviceModel(**row) for row in rows]


def firmware_of(connection: Connection, *where: ColumnElement[bool]) -> list[Firmware]:
    """Return the firmware that all these conditions hold for, oldest first."""
    rows = connection.execute(_FIRMWARE.where(*where).order_by(firmware.c.firmware_id)).mappings()
    return [Firmware(**row) for row in rows]
