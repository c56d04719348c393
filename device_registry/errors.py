"""What can go wrong with terminals and their certificates, in registry words."""

from datetime import datetime, timedelta
from pathlib import Path
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


class TransitionLostError(RegistryError):
    """Somebody else changed the terminal's state in the same moment; look again."""

    reason: ClassVar[str] = "TRANSITION_LOST"

    def __init__(self, *, terminal_id: str) -> None:
        self.terminal_id = terminal_id
        super().__init__(terminal_id)


# Who may come in -----------------------------------------------------------------------------------


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


class CertificateUnreadableError(RegistryError):
    """The bytes are no X.509 certificate."""

    reason: ClassVar[str] = "CERTIFICATE_UNREADABLE"


# Enrollment and renewal ----------------------------------------------------------------------------


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


# Commands ------------------------------------------------------------------------------------------


class CommandInvalidError(RegistryError):
    """The action does not take these parameters."""

    reason: ClassVar[str] = "COMMAND_INVALID"

    def __init__(self, *, action: str, detail: str) -> None:
        self.action = action
        self.detail = detail
        super().__init__(f"{action}: {detail}")


class CommandUnknownError(RegistryError):
    """This terminal was never given a command with this id."""

    reason: ClassVar[str] = "COMMAND_UNKNOWN"

    def __init__(self, *, command_id: str) -> None:
        self.command_id = command_id
        super().__init__(command_id)


class TooManyCommandsError(RegistryError):
    """The terminal has as many unanswered commands as one may have."""

    reason: ClassVar[str] = "TOO_MANY_COMMANDS"

    def __init__(self, *, terminal_id: str, commands_open_max: int) -> None:
        self.terminal_id = terminal_id
        self.commands_open_max = commands_open_max
        super().__init__(f"{terminal_id}: {commands_open_max}")


# The authority's own keys --------------------------------------------------------------------------


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
