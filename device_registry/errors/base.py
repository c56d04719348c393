"""What can go wrong with the registry's records, whatever they are about."""

from typing import ClassVar


class RegistryError(Exception):
    """Root of everything this package raises on purpose."""

    reason: ClassVar[str] = "REGISTRY_ERROR"


class FieldInvalidError(RegistryError):
    """A field of a record is empty, too long or of the wrong form."""

    reason: ClassVar[str] = "FIELD_INVALID"

    def __init__(self, *, field: str, detail: str) -> None:
        self.field = field
        self.detail = detail
        super().__init__(f"{field}: {detail}")


class SiteUnknownError(RegistryError):
    """No site has this id."""

    reason: ClassVar[str] = "SITE_UNKNOWN"

    def __init__(self, *, site_id: str) -> None:
        self.site_id = site_id
        super().__init__(site_id)


class SerialNumberTakenError(RegistryError):
    """Another terminal that is still in service has this serial number."""

    reason: ClassVar[str] = "SERIAL_NUMBER_TAKEN"

    def __init__(self, *, serial_number: str, terminal_id: str) -> None:
        self.serial_number = serial_number
        self.terminal_id = terminal_id
        super().__init__(f"{serial_number} belongs to {terminal_id}")


class IllegalTransitionError(RegistryError):
    """A terminal cannot go from its state to the wanted one."""

    reason: ClassVar[str] = "ILLEGAL_TRANSITION"

    def __init__(self, *, terminal_id: str, state: str, wanted: str) -> None:
        self.terminal_id = terminal_id
        self.state = state
        self.wanted = wanted
        super().__init__(f"{terminal_id}: {state} to {wanted}")


class EvictionOfShutOutError(IllegalTransitionError):
    """A suspended or quarantined terminal was to be evicted, which would let it enroll and come in again."""

    reason: ClassVar[str] = "EVICTION_OF_SHUT_OUT"


class TransitionLostError(RegistryError):
    """Somebody else changed the terminal's state in the same moment; look again."""

    reason: ClassVar[str] = "TRANSITION_LOST"

    def __init__(self, *, terminal_id: str) -> None:
        self.terminal_id = terminal_id
        super().__init__(terminal_id)
