"""The questions the registry asks its tables about manufacturers, models and firmware."""

from sqlalchemy import ColumnElement, Connection, select

from device_registry.makers.approvals import DeviceModel, Firmware, Manufacturer
from device_registry.tables import device_models, factory_roots, firmware, manufacturers

_ROOTS = select(factory_roots.c.manufacturer_id, factory_roots.c.fingerprint, factory_roots.c.certificate_der).order_by(
    factory_roots.c.added_at, factory_roots.c.fingerprint
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


def models_of(connection: Connection, *where: ColumnElement[bool]) -> list[DeviceModel]:
    """Return the models that all these conditions hold for, oldest first."""
    rows = connection.execute(_MODELS.where(*where).order_by(device_models.c.model_id)).mappings()
    return [DeviceModel(**row) for row in rows]


def firmware_of(connection: Connection, *where: ColumnElement[bool]) -> list[Firmware]:
    """Return the firmware that all these conditions hold for, oldest first."""
    rows = connection.execute(_FIRMWARE.where(*where).order_by(firmware.c.firmware_id)).mappings()
    return [Firmware(**row) for row in rows]
