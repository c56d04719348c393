"""What can go wrong with makers, models, firmware and installer tickets."""

from typing import ClassVar

from device_registry.errors.base import RegistryError


class MakerUnknownError(RegistryError):
    """There is no such manufacturer."""

    reason: ClassVar[str] = "MAKER_UNKNOWN"

    def __init__(self, *, maker: str) -> None:
        self.maker = maker
        super().__init__(maker)


class MakerExistsError(RegistryError):
    """An approved manufacturer has this name, or this factory root, already."""

    reason: ClassVar[str] = "MAKER_EXISTS"

    def __init__(self, *, name: str, detail: str) -> None:
        self.name = name
        self.detail = detail
        super().__init__(f"{name}: {detail}")


class MakerWithdrawnError(RegistryError):
    """The manufacturer was withdrawn."""

    reason: ClassVar[str] = "MAKER_WITHDRAWN"

    def __init__(self, *, maker: str) -> None:
        self.maker = maker
        super().__init__(maker)


class ModelUnknownError(RegistryError):
    """No approved manufacturer has such a model."""

    reason: ClassVar[str] = "MODEL_UNKNOWN"

    def __init__(self, *, maker: str, model: str) -> None:
        self.maker = maker
        self.model = model
        super().__init__(f"{maker} {model}".strip())


class ModelExistsError(RegistryError):
    """The manufacturer has an approved model of this name already."""

    reason: ClassVar[str] = "MODEL_EXISTS"

    def __init__(self, *, maker: str, model: str) -> None:
        self.maker = maker
        self.model = model
        super().__init__(f"{maker} {model}")


class ModelWithdrawnError(RegistryError):
    """The model was withdrawn."""

    reason: ClassVar[str] = "MODEL_WITHDRAWN"

    def __init__(self, *, maker: str, model: str) -> None:
        self.maker = maker
        self.model = model
        super().__init__(f"{maker} {model}")


class FirmwareUnknownError(RegistryError):
    """There is no such firmware."""

    reason: ClassVar[str] = "FIRMWARE_UNKNOWN"

    def __init__(self, *, firmware_id: str) -> None:
        self.firmware_id = firmware_id
        super().__init__(firmware_id)


class FirmwareExistsError(RegistryError):
    """The model has a firmware of this version already; a version is one set of bytes for good."""

    reason: ClassVar[str] = "FIRMWARE_EXISTS"

    def __init__(self, *, model: str, version: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} {version}")


class FirmwareStateError(RegistryError):
    """The firmware cannot go from its state to the wanted one."""

    reason: ClassVar[str] = "FIRMWARE_STATE"

    def __init__(self, *, firmware_id: str, state: str, wanted: str) -> None:
        self.firmware_id = firmware_id
        self.state = state
        self.wanted = wanted
        super().__init__(f"{firmware_id}: {state} to {wanted}")


class ManifestRefusedError(RegistryError):
    """A firmware manifest is not what its maker signs: its form, its content or its signature."""

    reason: ClassVar[str] = "MANIFEST_REFUSED"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class FactoryRootRefusedError(RegistryError):
    """A certificate cannot be the root of factory identities."""

    reason: ClassVar[str] = "FACTORY_ROOT_REFUSED"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class TicketUnknownError(RegistryError):
    """There is no such installer ticket."""

    reason: ClassVar[str] = "TICKET_UNKNOWN"

    def __init__(self, *, ticket_id: str) -> None:
        self.ticket_id = ticket_id
        super().__init__(ticket_id)
