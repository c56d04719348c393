"""How are the refusals of people, PINs, codes and credentials answered? Part of the one table in errors.py."""

from datetime import timedelta
from types import MappingProxyType

from grpc import StatusCode

from server.answers import Answer
from server.credentials import errors as credentials

ABORTED = StatusCode.ABORTED
ALREADY_EXISTS = StatusCode.ALREADY_EXISTS
FAILED_PRECONDITION = StatusCode.FAILED_PRECONDITION
INVALID_ARGUMENT = StatusCode.INVALID_ARGUMENT
NOT_FOUND = StatusCode.NOT_FOUND
PERMISSION_DENIED = StatusCode.PERMISSION_DENIED
RESOURCE_EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = StatusCode.UNAVAILABLE

_SOON = timedelta(seconds=1)
_OURS = Answer(
    code=StatusCode.INTERNAL, public="Something is wrong on the platform's side. Its operators have been told."
)


def _row(code: StatusCode, public: str, *details: str, field: str = "", retry_after: timedelta | None = None) -> Answer:
    return Answer(code=code, public=public, details=details, field=field, retry_after=retry_after)


_ROWS: dict[type[Exception], Answer] = {
    credentials.IdNumberInvalidError: _row(
        INVALID_ARGUMENT, "This is no ID number: form or checksum.", field="claimed_identity.id_number"
    ),
    credentials.NameInvalidError: _row(
        INVALID_ARGUMENT, "The name is empty or too long.", field="claimed_identity.name"
    ),
    credentials.CardNumberInvalidError: _row(INVALID_ARGUMENT, "This is no card number.", field="card_number"),
    credentials.PractitionerCodeInvalidError: _row(
        INVALID_ARGUMENT, "This is no practitioner's code.", field="start.practitioner_code"
    ),
    credentials.PinFormatError: _row(INVALID_ARGUMENT, "A PIN is six digits.", field="pin"),
    credentials.PinGuessableError: _row(INVALID_ARGUMENT, "This PIN is easily guessed. Choose another.", field="pin"),
    credentials.PhoneNumberInvalidError: _row(INVALID_ARGUMENT, "This is no phone number.", field="phone"),
    credentials.SiteGalleryFullError: _row(
        FAILED_PRECONDITION, "As many people as are safe are looked for at this site.", "people_max"
    ),
    credentials.PersonExistsError: _row(ALREADY_EXISTS, "This person is known already."),
    credentials.CardTakenError: _row(ALREADY_EXISTS, "This card belongs to somebody else."),
    credentials.PersonUnknownError: _row(NOT_FOUND, "There is no such person."),
    credentials.FieldSealError: _OURS,
    credentials.AssertionInvalidError: _row(PERMISSION_DENIED, "This assertion is not ours, or was changed."),
    credentials.AssertionExpiredError: _row(
        FAILED_PRECONDITION, "The assertion's time is over. The person must show their face again."
    ),
    credentials.AssertionUsedError: _row(
        FAILED_PRECONDITION, "The assertion was used before. The person must show their face again."
    ),
    credentials.AssertionForeignError: _row(
        PERMISSION_DENIED, "The assertion was made for another terminal, purpose or business type."
    ),
    credentials.PinMissingError: _row(FAILED_PRECONDITION, "This person has no PIN. Offer another way."),
    credentials.PinWrongError: _row(PERMISSION_DENIED, "Card or PIN is wrong."),
    credentials.PinTriesSpentError: _row(RESOURCE_EXHAUSTED, "Too many wrong PINs on this terminal. Wait, then go on."),
    credentials.PinLockedError: _row(FAILED_PRECONDITION, "Too many wrong PINs. Offer another way.", "until"),
    credentials.PinCheckBusyError: _row(UNAVAILABLE, "Too many PINs are being checked. Try again.", retry_after=_SOON),
    credentials.CodeInvalidError: _row(PERMISSION_DENIED, "This code is not ours, or was changed."),
    credentials.CodeExpiredError: _row(FAILED_PRECONDITION, "The code's time is over. The person shows a new one."),
    credentials.CodeUsedError: _row(FAILED_PRECONDITION, "The code was used before. The person shows a new one."),
    credentials.CredentialNotActiveError: _row(
        FAILED_PRECONDITION, "The person has no active credential. Activate it, or offer another way."
    ),
    credentials.ActivationOvertakenError: _row(ABORTED, "The person's record changed in the same moment. Begin again."),
    credentials.RequestReusedError: _row(
        ALREADY_EXISTS, "This request id belongs to another request. Make a new one.", field="request_id"
    ),
    credentials.PersonNotInRegisterError: _row(
        FAILED_PRECONDITION,
        "Name, ID number and kinship do not agree in the register. A child is bound by a guardian whom it names.",
    ),
    credentials.RegisterUnavailableError: _row(
        UNAVAILABLE, "The register of people cannot be asked now. Try again.", retry_after=timedelta(seconds=5)
    ),
    credentials.RegisterTriesSpentError: _row(
        RESOURCE_EXHAUSTED, "Too many names or numbers from this terminal are not in the register. Wait, then go on."
    ),
    credentials.BindingSelfError: _row(INVALID_ARGUMENT, "Nobody binds themselves.", field="relative"),
    credentials.BindingsFullError: _row(
        FAILED_PRECONDITION,
        "The credential pays for as many relatives as it may. End one first.",
        "relatives_max",
    ),
    credentials.BindingExistsError: _row(ALREADY_EXISTS, "This relative is bound already.", field="relative"),
    credentials.BindingUnknownError: _row(NOT_FOUND, "There is no such binding.", field="binding_id"),
    credentials.RelativeFaceMissingError: _row(
        FAILED_PRECONDITION,
        "From the sixteenth birthday on the relative shows their own face.",
        field="relative_face_assertion",
    ),
    credentials.PinExistsError: _row(
        FAILED_PRECONDITION, "This person has a PIN, and a face alone does not replace it. Leave it out.", field="pin"
    ),
}

CREDENTIALS = MappingProxyType(_ROWS)
