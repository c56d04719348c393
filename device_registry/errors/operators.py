"""What can go wrong with operators, and why one is not let in."""

from datetime import timedelta
from typing import ClassVar

from device_registry.errors.base import RegistryError


class OperatorRefusedError(RegistryError):
    """An operator is not let in; the subclass says why."""

    reason: ClassVar[str] = "OPERATOR_REFUSED"

    def __init__(self, *, name: str = "") -> None:
        self.name = name
        super().__init__(name)


class OperatorUnknownError(OperatorRefusedError):
    """No operator has this certificate or this name."""

    reason: ClassVar[str] = "OPERATOR_UNKNOWN"


class OperatorRevokedError(OperatorRefusedError):
    """The operator was locked out."""

    reason: ClassVar[str] = "OPERATOR_REVOKED"


class OperatorExpiredError(OperatorRefusedError):
    """The operator's certificate has lapsed."""

    reason: ClassVar[str] = "OPERATOR_EXPIRED"


class OperatorCertificateRetiredError(OperatorRefusedError):
    """The operator has a newer certificate and has used it."""

    reason: ClassVar[str] = "OPERATOR_CERTIFICATE_RETIRED"


class OperatorRenewedOftenError(RegistryError):
    """The operator got as many certificates as one may have in a day."""

    reason: ClassVar[str] = "OPERATOR_RENEWED_OFTEN"

    def __init__(self, *, name: str, retry_after: timedelta) -> None:
        self.name = name
        self.retry_after = retry_after
        super().__init__(f"{name}: again in {retry_after}")


class OperatorNotFoundError(RegistryError):
    """No operator has this name."""

    reason: ClassVar[str] = "OPERATOR_NOT_FOUND"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(name)


class OperatorExistsError(RegistryError):
    """An operator with this name is let in already, with a certificate that is good."""

    reason: ClassVar[str] = "OPERATOR_EXISTS"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(name)
