"""What can go wrong with the authority's own keys and certificates."""

from datetime import datetime
from pathlib import Path
from typing import ClassVar

from device_registry.errors.base import RegistryError


class AuthorityError(RegistryError):
    """The certificate authority cannot be made, opened or used."""

    reason: ClassVar[str] = "AUTHORITY_UNUSABLE"

    def __init__(self, *, path: Path, detail: str) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{path}: {detail}")


class AuthorityExistsError(AuthorityError):
    """There is something in the folder already; an authority is never overwritten."""

    reason: ClassVar[str] = "AUTHORITY_EXISTS"


class AuthorityMissingError(AuthorityError):
    """A file of the authority is not there."""

    reason: ClassVar[str] = "AUTHORITY_MISSING"


class AuthorityBrokenError(AuthorityError):
    """The authority's files do not belong together or cannot be read."""

    reason: ClassVar[str] = "AUTHORITY_BROKEN"


class KeyExposedError(AuthorityError):
    """Others than the owner may read a private key's file."""

    reason: ClassVar[str] = "KEY_EXPOSED"


class PassphraseRefusedError(AuthorityError):
    """The passphrase is wrong, or too short to protect a key."""

    reason: ClassVar[str] = "PASSPHRASE_REFUSED"


class AuthorityExpiredError(RegistryError):
    """The issuing certificate's own time is over; nothing can be signed."""

    reason: ClassVar[str] = "AUTHORITY_EXPIRED"

    def __init__(self, *, not_after: datetime) -> None:
        self.not_after = not_after
        super().__init__(f"since {not_after.isoformat()}")


class IssuerUnknownError(RegistryError):
    """No issuing authority has this id."""

    reason: ClassVar[str] = "ISSUER_UNKNOWN"

    def __init__(self, *, issuer_id: str) -> None:
        self.issuer_id = issuer_id
        super().__init__(issuer_id)


class IssuerNoneActiveError(RegistryError):
    """There are issuing authorities, and none of them is active: nothing can be signed."""

    reason: ClassVar[str] = "ISSUER_NONE_ACTIVE"


class IssuerTransitionError(RegistryError):
    """An issuing authority cannot go from its state to the wanted one."""

    reason: ClassVar[str] = "ISSUER_TRANSITION_ILLEGAL"

    def __init__(self, *, issuer_id: str, state: str, wanted: str) -> None:
        self.issuer_id = issuer_id
        self.state = state
        self.wanted = wanted
        super().__init__(f"{issuer_id}: {state} to {wanted}")


class IssuerPendingError(RegistryError):
    """An issuing authority is prepared and installed already; it is activated or revoked before the next one."""

    reason: ClassVar[str] = "ISSUER_PENDING"

    def __init__(self, *, issuer_id: str) -> None:
        self.issuer_id = issuer_id
        super().__init__(issuer_id)


class IssuerNotInstalledError(RegistryError):
    """The issuing authority has a key, and no certificate from the root yet."""

    reason: ClassVar[str] = "ISSUER_NOT_INSTALLED"

    def __init__(self, *, issuer_id: str) -> None:
        self.issuer_id = issuer_id
        super().__init__(issuer_id)


class IssuerCertificateRefusedError(RegistryError):
    """A certificate does not make the prepared key an issuing authority of ours."""

    reason: ClassVar[str] = "ISSUER_CERTIFICATE_REFUSED"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class IssuerInUseError(RegistryError):
    """Terminals or operators still depend on the issuing authority; revoking it would lock them out."""

    reason: ClassVar[str] = "ISSUER_IN_USE"

    def __init__(self, *, issuer_id: str, terminals: int, operators: int) -> None:
        self.issuer_id = issuer_id
        self.terminals = terminals
        self.operators = operators
        super().__init__(f"{issuer_id}: {terminals} terminals, {operators} operators")


class IssuingKeyMissingError(RegistryError):
    """The key of the issuing authority is not at this server, so it cannot sign."""

    reason: ClassVar[str] = "ISSUING_KEY_MISSING"

    def __init__(self, *, issuer_id: str, where: str) -> None:
        self.issuer_id = issuer_id
        self.where = where
        super().__init__(f"{issuer_id}: not in {where}")


class HsmUnavailableError(RegistryError):
    """The token that holds the issuing keys cannot be used now."""

    reason: ClassVar[str] = "HSM_UNAVAILABLE"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class IssuerKeyMismatchError(RegistryError):
    """The key under an issuing authority's id is not the key of its certificate."""

    reason: ClassVar[str] = "ISSUER_KEY_MISMATCH"

    def __init__(self, *, issuer_id: str) -> None:
        self.issuer_id = issuer_id
        super().__init__(issuer_id)
