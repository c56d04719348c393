"""What can go wrong with people, PINs and face assertions, in this room's words; no text names a person."""

from datetime import datetime, timedelta
from typing import ClassVar


class CredentialError(Exception):
    """Root of everything this room raises on purpose."""

    reason: ClassVar[str] = "CREDENTIAL_ERROR"


class IdNumberInvalidError(CredentialError):
    """It has not the form of a national ID number, or its checksum is wrong."""

    reason: ClassVar[str] = "ID_NUMBER_INVALID"


class NameInvalidError(CredentialError):
    """The name is empty or too long."""

    reason: ClassVar[str] = "NAME_INVALID"


class CardNumberInvalidError(CredentialError):
    """It has not the form of an insurance card number."""

    reason: ClassVar[str] = "CARD_NUMBER_INVALID"


class PractitionerCodeInvalidError(CredentialError):
    """It has not the form of a practitioner's code in the national register."""

    reason: ClassVar[str] = "PRACTITIONER_CODE_INVALID"


class PinFormatError(CredentialError):
    """A PIN is six digits."""

    reason: ClassVar[str] = "PIN_FORMAT_INVALID"


class PinGuessableError(CredentialError):
    """A PIN is not repeated or counted digits, and nothing that stands on the ID card."""

    reason: ClassVar[str] = "PIN_GUESSABLE"


class PhoneNumberInvalidError(CredentialError):
    """It has not the form of a phone number."""

    reason: ClassVar[str] = "PHONE_NUMBER_INVALID"


class SiteGalleryFullError(CredentialError):
    """As many people may be looked for at this site as are safe; one more would make mistaken identity likelier."""

    reason: ClassVar[str] = "SITE_GALLERY_FULL"

    def __init__(self, *, people_max: int) -> None:
        self.people_max = people_max
        super().__init__(f"{people_max} people")


class PersonExistsError(CredentialError):
    """A person with this ID number is known already."""

    reason: ClassVar[str] = "PERSON_EXISTS"


class CardTakenError(CredentialError):
    """This card belongs to somebody else."""

    reason: ClassVar[str] = "CARD_TAKEN"


class PersonUnknownError(CredentialError):
    """Nobody has this id."""

    reason: ClassVar[str] = "PERSON_UNKNOWN"

    def __init__(self, *, person_id: str) -> None:
        self.person_id = person_id
        super().__init__(person_id)


class FieldSealError(CredentialError):
    """A stored field does not open: wrong key, another person's row, or changed bytes."""

    reason: ClassVar[str] = "FIELD_SEAL_BROKEN"


class FaceAssertionError(CredentialError):
    """The face assertion authorises nothing."""

    reason: ClassVar[str] = "ASSERTION_REFUSED"


class AssertionInvalidError(FaceAssertionError):
    """It was not made by this platform, or was changed."""

    reason: ClassVar[str] = "ASSERTION_INVALID"


class AssertionExpiredError(FaceAssertionError):
    """Its time is over; the person must show their face again."""

    reason: ClassVar[str] = "ASSERTION_EXPIRED"


class AssertionUsedError(FaceAssertionError):
    """It has paid for something already."""

    reason: ClassVar[str] = "ASSERTION_USED"


class AssertionForeignError(FaceAssertionError):
    """It was made for another terminal, person, purpose or business type."""

    reason: ClassVar[str] = "ASSERTION_FOREIGN"


class CodeError(CredentialError):
    """The dynamic code authorises nothing."""

    reason: ClassVar[str] = "CODE_REFUSED"


class CodeInvalidError(CodeError):
    """It was not made by this platform, or was changed."""

    reason: ClassVar[str] = "CODE_INVALID"


class CodeExpiredError(CodeError):
    """Its time is over; the person shows a new one."""

    reason: ClassVar[str] = "CODE_EXPIRED"


class CodeUsedError(CodeError):
    """It has paid for something already."""

    reason: ClassVar[str] = "CODE_USED"


class CredentialNotActiveError(CredentialError):
    """The person's credential was never activated, or is dead."""

    reason: ClassVar[str] = "CREDENTIAL_NOT_ACTIVE"


class ActivationOvertakenError(CredentialError):
    """What the activation began from has changed meanwhile: begin again."""

    reason: ClassVar[str] = "ACTIVATION_OVERTAKEN"


class RequestReusedError(CredentialError):
    """The request id belongs to another request. Nothing is said about that one."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"


class PersonNotInRegisterError(CredentialError):
    """Name, ID number and kinship do not agree with the register, or nobody has them; which of them is not told."""

    reason: ClassVar[str] = "PERSON_NOT_IN_REGISTER"


class RegisterUnavailableError(CredentialError):
    """The register cannot be asked, or its answer makes no sense: nobody is vouched for (I10)."""

    reason: ClassVar[str] = "REGISTER_UNAVAILABLE"


class RegisterTriesSpentError(CredentialError):
    """Too many names or numbers that the register does not know came from this terminal."""

    reason: ClassVar[str] = "REGISTER_TRIES_SPENT"

    def __init__(self, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(f"again in {retry_after.total_seconds():.0f} s")


class FamilyError(CredentialError):
    """The family account does not allow this."""

    reason: ClassVar[str] = "FAMILY_REFUSED"


class BindingSelfError(FamilyError):
    """Nobody binds themselves."""

    reason: ClassVar[str] = "BINDING_SELF"


class BindingsFullError(FamilyError):
    """The credential pays for as many relatives as it may."""

    reason: ClassVar[str] = "BINDINGS_FULL"

    def __init__(self, *, relatives_max: int) -> None:
        self.relatives_max = relatives_max
        super().__init__(f"{relatives_max} relatives")


class BindingExistsError(FamilyError):
    """This relative is bound already."""

    reason: ClassVar[str] = "BINDING_EXISTS"


class BindingUnknownError(FamilyError):
    """The holder has no such binding, or it is ended: which of them is not told."""

    reason: ClassVar[str] = "BINDING_UNKNOWN"


class RelativeFaceMissingError(FamilyError):
    """From the sixteenth birthday on nobody is bound without their own face."""

    reason: ClassVar[str] = "RELATIVE_FACE_MISSING"


class PinExistsError(CredentialError):
    """The person has a PIN; a face alone does not replace it."""

    reason: ClassVar[str] = "PIN_EXISTS"


class PinError(CredentialError):
    """The PIN authorises nothing."""

    reason: ClassVar[str] = "PIN_REFUSED"


class PinMissingError(PinError):
    """This person has no PIN."""

    reason: ClassVar[str] = "PIN_NOT_SET"


class PinWrongError(PinError):
    """Not this PIN, or nobody has this card: the caller is not told which."""

    reason: ClassVar[str] = "PIN_WRONG"


class PinTriesSpentError(PinError):
    """Too many wrong PINs came from this terminal; none is looked at for a while."""

    reason: ClassVar[str] = "PIN_TRIES_SPENT"

    def __init__(self, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(f"again in {retry_after.total_seconds():.0f} s")


class PinLockedError(PinError):
    """Too many wrong PINs; none is looked at before `until`."""

    reason: ClassVar[str] = "PIN_LOCKED"

    def __init__(self, *, until: datetime) -> None:
        self.until = until
        super().__init__(f"until {until.isoformat()}")


class PinCheckBusyError(PinError):
    """Too many PINs are being checked; the same request may work in a moment."""

    reason: ClassVar[str] = "PIN_CHECK_BUSY"
