"""What can go wrong with factory identities, installer tickets and renewals after expiry."""

from datetime import date, datetime
from typing import ClassVar

from device_registry.errors.base import RegistryError
from device_registry.errors.enrollment import EnrollmentRefusedError
from device_registry.fleet.finding import FindingKind


class FactoryProofRefusedError(EnrollmentRefusedError):
    """The factory identity, or what it signed, does not prove this serial number."""

    reason: ClassVar[str] = "FACTORY_PROOF_REFUSED"

    def __init__(self, *, serial_number: str, fault: str, detail: str) -> None:
        super().__init__(serial_number=serial_number)
        self.fault = fault
        """A word of `chains.Fault`."""
        self.detail = detail

    def __str__(self) -> str:
        """Say what was wrong with which."""
        return f"{self.serial_number}: {self.fault}, {self.detail}"


class TerminalUnregisteredError(EnrollmentRefusedError):
    """The factory identity is genuine, but nobody registered this serial number."""

    reason: ClassVar[str] = "TERMINAL_UNREGISTERED"


class ManufacturerMismatchError(EnrollmentRefusedError):
    """The factory identity is genuine, but of another manufacturer than the one the terminal is registered under."""

    reason: ClassVar[str] = "MANUFACTURER_MISMATCH"


class FactoryKeyUnpinnedError(EnrollmentRefusedError):
    """The terminal enrolled by token, so no factory key of its is known that could open the second door."""

    reason: ClassVar[str] = "FACTORY_KEY_UNPINNED"


class CertificationLapsedError(RegistryError):
    """The model's certification is over: no terminal of it enrolls."""

    reason: ClassVar[str] = "CERTIFICATION_LAPSED"

    def __init__(self, *, model: str, expired_on: date) -> None:
        self.model = model
        self.expired_on = expired_on
        super().__init__(f"{model}: since {expired_on}")


class ClassAboveModelError(RegistryError):
    """The terminal is registered for more than its model is certified for."""

    reason: ClassVar[str] = "CLASS_ABOVE_MODEL"

    def __init__(self, *, terminal_class: str, model_class: str) -> None:
        self.terminal_class = terminal_class
        self.model_class = model_class
        super().__init__(f"class {terminal_class}, model has {model_class}")


class SuspiciousEnrollmentError(EnrollmentRefusedError):
    """A genuine factory identity where it should not be; refused, and kept as a finding."""

    reason: ClassVar[str] = "ENROLLMENT_SUSPICIOUS"
    kind: ClassVar[FindingKind]

    def __init__(self, *, serial_number: str, terminal_id: str, detail: str) -> None:
        super().__init__(serial_number=serial_number)
        self.terminal_id = terminal_id
        """The terminal that the finding is about."""
        self.detail = detail


class DuplicateSerialError(SuspiciousEnrollmentError):
    """Another factory key than the pinned one claims this serial number."""

    reason: ClassVar[str] = "DUPLICATE_SERIAL"
    kind: ClassVar[FindingKind] = FindingKind.DUPLICATE_SERIAL


class SharedFactoryKeyError(SuspiciousEnrollmentError):
    """This factory key belongs to another terminal in service."""

    reason: ClassVar[str] = "SHARED_FACTORY_KEY"
    kind: ClassVar[FindingKind] = FindingKind.SHARED_FACTORY_KEY


class CloneSuspectedError(SuspiciousEnrollmentError):
    """A terminal that has a certificate in use asks for a first one, with the right factory key."""

    reason: ClassVar[str] = "CLONE_SUSPECTED"
    kind: ClassVar[FindingKind] = FindingKind.CLONE


class TicketRefusedError(EnrollmentRefusedError):
    """There is no such installer ticket."""

    reason: ClassVar[str] = "TICKET_REFUSED"


class TicketExpiredError(EnrollmentRefusedError):
    """The installer ticket is right and past its time, or revoked."""

    reason: ClassVar[str] = "TICKET_EXPIRED"


class TicketSpentError(EnrollmentRefusedError):
    """The installer ticket has let in as many terminals as it was made for."""

    reason: ClassVar[str] = "TICKET_SPENT"


class TicketRegionError(EnrollmentRefusedError):
    """The installer ticket is for another region than the site's."""

    reason: ClassVar[str] = "TICKET_REGION"


class RenewalProofRefusedError(RegistryError):
    """What should prove the old key is not signed by it, or not over this nonce and signing request."""

    reason: ClassVar[str] = "RENEWAL_PROOF_REFUSED"


class CertificateStillGoodError(RegistryError):
    """The certificate has not lapsed by the platform's clock: it renews over its own connection."""

    reason: ClassVar[str] = "CERTIFICATE_STILL_GOOD"

    def __init__(self, *, platform_time: datetime, not_after: datetime) -> None:
        self.platform_time = platform_time
        self.not_after = not_after
        super().__init__(f"until {not_after}")


class GraceOverError(RegistryError):
    """The certificate lapsed longer ago than the terminal's class allows for a renewal."""

    reason: ClassVar[str] = "GRACE_OVER"

    def __init__(self, *, platform_time: datetime, not_after: datetime, grace_until: datetime) -> None:
        self.platform_time = platform_time
        self.not_after = not_after
        self.grace_until = grace_until
        super().__init__(f"lapsed at {not_after}, grace until {grace_until}")
