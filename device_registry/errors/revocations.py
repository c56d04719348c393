"""What can go wrong with the log of revocations, its witness outside the database, and the audit log's checkpoints."""

from pathlib import Path
from typing import ClassVar

from device_registry.errors.admission import TerminalRefusedError
from device_registry.errors.base import RegistryError


class TerminalBannedError(TerminalRefusedError):
    """The device is banned: its serial number and factory key are refused until the ban is lifted."""

    reason: ClassVar[str] = "TERMINAL_BANNED"


class RevocationsRolledBackError(RegistryError):
    """The database lacks revocations that the witness has: it was restored from a backup, or changed by hand."""

    reason: ClassVar[str] = "REVOCATIONS_ROLLED_BACK"

    def __init__(self, *, witness_entries: int, database_entries: int, agree_until: int) -> None:
        self.witness_entries = witness_entries
        self.database_entries = database_entries
        self.agree_until = agree_until
        super().__init__(
            f"the witness has {witness_entries} revocations, the database {database_entries}; "
            f"they agree on the first {agree_until}"
        )


class WitnessError(RegistryError):
    """The witness of the revocations cannot be used; the subclass says why."""

    reason: ClassVar[str] = "WITNESS_UNUSABLE"

    def __init__(self, *, path: Path, detail: str) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{path}: {detail}")


class WitnessMissingError(WitnessError):
    """The witness is not there although the database has revocations."""

    reason: ClassVar[str] = "WITNESS_MISSING"


class WitnessBrokenError(WitnessError):
    """A line of the witness is not what was written."""

    reason: ClassVar[str] = "WITNESS_BROKEN"


class WitnessUnwritableError(WitnessError):
    """The witness cannot be written: the disk is full, gone or read-only."""

    reason: ClassVar[str] = "WITNESS_UNWRITABLE"


class RevocationUnwitnessedError(RegistryError):
    """The change is committed and in force, but the witness does not have it yet."""

    reason: ClassVar[str] = "REVOCATION_UNWITNESSED"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class AuditRolledBackError(RegistryError):
    """The audit log is not the one that was signed earlier: entries were cut off or changed."""

    reason: ClassVar[str] = "AUDIT_ROLLED_BACK"

    def __init__(self, *, signed_entries: int, detail: str) -> None:
        self.signed_entries = signed_entries
        self.detail = detail
        super().__init__(f"the checkpoint at entry {signed_entries}: {detail}")


class CheckpointInvalidError(RegistryError):
    """A checkpoint was not signed by this platform's audit key, or is no checkpoint."""

    reason: ClassVar[str] = "CHECKPOINT_INVALID"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)
