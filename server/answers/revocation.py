"""How are refusals of banned devices, rolled-back databases, witnesses and checkpoints answered? Rows of errors.py."""

from datetime import timedelta

from grpc import StatusCode

from device_registry import errors as registry
from server.answers import Answer

_LATER = timedelta(seconds=30)


def _row(code: StatusCode, public: str, *details: str, retry_after: timedelta | None = None) -> Answer:
    return Answer(code=code, public=public, details=details, retry_after=retry_after)


REVOCATION: dict[type[Exception], Answer] = {
    registry.TerminalBannedError: _row(
        StatusCode.PERMISSION_DENIED, "This device is banned. Only the platform's security team can lift that."
    ),
    registry.RevocationsRolledBackError: _row(
        StatusCode.UNAVAILABLE,
        "The platform's database lacks revocations it once had; nobody is let in until they are applied again.",
        retry_after=_LATER,
    ),
    registry.RevocationUnwitnessedError: _row(
        StatusCode.UNAVAILABLE,
        "It is done and in force, but the witness outside the database could not be written. Mend that first.",
        retry_after=_LATER,
    ),
    registry.WitnessMissingError: _row(
        StatusCode.FAILED_PRECONDITION, "The witness of the revocations is missing. Bring it back, or rebuild it."
    ),
    registry.WitnessBrokenError: _row(
        StatusCode.FAILED_PRECONDITION, "The witness of the revocations is damaged. Bring it back, or rebuild it."
    ),
    registry.WitnessUnwritableError: _row(
        StatusCode.UNAVAILABLE,
        "The witness of the revocations cannot be written. Look at its disk.",
        retry_after=_LATER,
    ),
    registry.AuditRolledBackError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The audit log is not the one that was signed. Find out why before anything is signed anew.",
        "signed_entries",
        "detail",
    ),
    registry.CheckpointInvalidError: _row(
        StatusCode.INVALID_ARGUMENT, "This is no checkpoint of this platform's audit log.", "detail"
    ),
}
