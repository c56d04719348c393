"""What can go wrong while a terminal gets its first or its next certificate."""

from datetime import timedelta
from typing import ClassVar

from device_registry.errors.base import RegistryError


class EnrollmentRefusedError(RegistryError):
    """The proof that came with an enrollment does not hold."""

    reason: ClassVar[str] = "ENROLLMENT_REFUSED"

    def __init__(self, *, serial_number: str) -> None:
        self.serial_number = serial_number
        super().__init__(serial_number)


class TokenRefusedError(EnrollmentRefusedError):
    """The token and the serial number do not belong together; whether either exists is not said."""

    reason: ClassVar[str] = "TOKEN_REFUSED"


class TokenUsedError(EnrollmentRefusedError):
    """The token is right and was used before."""

    reason: ClassVar[str] = "TOKEN_USED"


class TokenExpiredError(EnrollmentRefusedError):
    """The token is right and past its time, or replaced by a newer one."""

    reason: ClassVar[str] = "TOKEN_EXPIRED"


class NonceRefusedError(EnrollmentRefusedError):
    """The signing request carries no nonce, or one that is unknown, used, lapsed or of another serial number."""

    reason: ClassVar[str] = "NONCE_REFUSED"


class TooManyChallengesError(RegistryError):
    """So many enrollments are under way that no new one can begin now."""

    reason: ClassVar[str] = "TOO_MANY_CHALLENGES"

    def __init__(self, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(f"again in {retry_after}")


class SigningRequestError(RegistryError):
    """A signing request cannot be accepted; the subclass says why."""

    reason: ClassVar[str] = "SIGNING_REQUEST_REFUSED"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class SigningRequestUnreadableError(SigningRequestError):
    """The bytes are no PKCS#10 request in DER, or too many."""

    reason: ClassVar[str] = "SIGNING_REQUEST_UNREADABLE"


class KeyTypeRefusedError(SigningRequestError):
    """The key is not ECDSA on P-256."""

    reason: ClassVar[str] = "KEY_TYPE_REFUSED"


class PossessionUnprovenError(SigningRequestError):
    """The request is not signed by the key it asks a certificate for."""

    reason: ClassVar[str] = "POSSESSION_UNPROVEN"


class KeyReusedError(RegistryError):
    """The public key had a certificate before; every certificate needs a new key."""

    reason: ClassVar[str] = "KEY_REUSED"

    def __init__(self, *, terminal_id: str, holder_id: str) -> None:
        self.terminal_id = terminal_id
        self.holder_id = holder_id
        super().__init__(f"{terminal_id} offers a key of {holder_id}")


class TooManyCertificatesError(RegistryError):
    """The terminal got as many certificates as one may have in a day."""

    reason: ClassVar[str] = "TOO_MANY_CERTIFICATES"

    def __init__(self, *, terminal_id: str, retry_after: timedelta) -> None:
        self.terminal_id = terminal_id
        self.retry_after = retry_after
        super().__init__(f"{terminal_id}: again in {retry_after}")
