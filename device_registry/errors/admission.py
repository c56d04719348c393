"""Why a terminal or its certificate is not let in."""

from datetime import datetime
from typing import ClassVar

from device_registry.errors.base import RegistryError


class TerminalRefusedError(RegistryError):
    """A terminal is not let in; the subclass says why."""

    reason: ClassVar[str] = "TERMINAL_REFUSED"

    def __init__(self, *, terminal_id: str) -> None:
        self.terminal_id = terminal_id
        super().__init__(terminal_id)


class TerminalUnknownError(TerminalRefusedError):
    """No terminal has this id."""

    reason: ClassVar[str] = "TERMINAL_UNKNOWN"


class TerminalNotEnrolledError(TerminalRefusedError):
    """The terminal is registered and has no certificate yet."""

    reason: ClassVar[str] = "TERMINAL_NOT_ENROLLED"


class TerminalSuspendedError(TerminalRefusedError):
    """An operator paused the terminal; it may come back with the same certificate."""

    reason: ClassVar[str] = "TERMINAL_SUSPENDED"


class TerminalQuarantinedError(TerminalRefusedError):
    """The risk rules took the terminal out of service until someone has looked."""

    reason: ClassVar[str] = "TERMINAL_QUARANTINED"


class TerminalRevokedError(TerminalRefusedError):
    """The terminal's certificate was withdrawn; only a new registration and enrollment helps."""

    reason: ClassVar[str] = "TERMINAL_REVOKED"


class TerminalRetiredError(TerminalRefusedError):
    """The terminal was taken out of service for good."""

    reason: ClassVar[str] = "TERMINAL_RETIRED"


class CertificateRefusedError(RegistryError):
    """A certificate does not open the door; the subclass says why."""

    reason: ClassVar[str] = "CERTIFICATE_REFUSED"

    def __init__(self, *, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        super().__init__(fingerprint)


class CertificateUnknownError(CertificateRefusedError):
    """The certificate is not in the registry, whoever signed it."""

    reason: ClassVar[str] = "CERTIFICATE_UNKNOWN"


class CertificateForeignError(CertificateRefusedError):
    """The certificate belongs to another terminal."""

    reason: ClassVar[str] = "CERTIFICATE_FOREIGN"


class CertificateRetiredError(CertificateRefusedError):
    """The certificate was replaced by a newer one."""

    reason: ClassVar[str] = "CERTIFICATE_RETIRED"


class CertificateRevokedError(CertificateRefusedError):
    """The certificate was withdrawn."""

    reason: ClassVar[str] = "CERTIFICATE_REVOKED"


class CertificateExpiredError(CertificateRefusedError):
    """The certificate's time is over by the platform's clock."""

    reason: ClassVar[str] = "CERTIFICATE_EXPIRED"

    def __init__(self, *, fingerprint: str, platform_time: datetime, not_after: datetime) -> None:
        super().__init__(fingerprint=fingerprint)
        self.platform_time = platform_time
        """Tells the terminal a wrong clock from a lapsed certificate."""
        self.not_after = not_after


class CertificateUnreadableError(RegistryError):
    """The bytes are no X.509 certificate."""

    reason: ClassVar[str] = "CERTIFICATE_UNREADABLE"
