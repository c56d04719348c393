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
