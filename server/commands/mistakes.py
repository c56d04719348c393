"""What is an operator told when something does not work? One sentence, what to do next, and an exit code for scripts.

Every error of ours has a stable reason and a docstring that says in one line what is wrong; the text of the error says
which one. That makes the sentence. What to do next stands here, by reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """How a command ended; printed by `shualian --help`."""

    OK = 0
    """It worked."""
    REFUSED = 1
    """It was refused, or a check found something wrong."""
    USAGE = 2
    """The command line is wrong."""
    CONFIGURATION = 3
    """The configuration is wrong; every mistake is listed."""
    NOT_SET_UP = 4
    """Something must be set up first: the authority, the keys or the models."""
    UNAVAILABLE = 5
    """The database or a file cannot be used right now; the same command may work later."""
    BUG = 70
    """A mistake of ours; the log line on standard error says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What to tell about an error."""

    reason: str
    message: str
    next: str
    code: ExitCode


class CommandError(Exception):
    """What the command line itself finds wrong: a sentence, and what to do next."""

    reason = "COMMAND_REFUSED"

    def __init__(self, message: str, *, next: str, code: ExitCode = ExitCode.REFUSED) -> None:  # noqa: A002 - as in Mistake
        self.next = next
        self.code = code
        super().__init__(message)


_LIST_TERMINALS: Final = "`shualian terminal list` shows the terminals and their states."
_INSTALL: Final = "Run `shualian models install`."
_INIT: Final = "Run `shualian ca init` first; it makes the authority and the keys."

NEXT: Final[Mapping[str, tuple[str, ExitCode]]] = {
    "SITE_UNKNOWN": ("`shualian site list` shows the sites.", ExitCode.REFUSED),
    "TERMINAL_UNKNOWN": (_LIST_TERMINALS, ExitCode.REFUSED),
    "SERIAL_NUMBER_TAKEN": ("Revoke the other terminal first, or check the serial number.", ExitCode.REFUSED),
    "ILLEGAL_TRANSITION": (_LIST_TERMINALS, ExitCode.REFUSED),
    "TRANSITION_LOST": ("Look at the terminal again, then repeat the command.", ExitCode.UNAVAILABLE),
    "TOO_MANY_COMMANDS": ("`shualian command list` shows what waits for the terminal.", ExitCode.REFUSED),
    "AUTHORITY_EXISTS": ("Use the one that is there, or name another folder with SHUALIAN_DATA_DIR.", ExitCode.REFUSED),
    "AUTHORITY_MISSING": (_INIT, ExitCode.NOT_SET_UP),
    "AUTHORITY_BROKEN": ("Restore the authority's folder from its backup.", ExitCode.NOT_SET_UP),
    "AUTHORITY_EXPIRED": ("A new issuing certificate is needed, signed by the root.", ExitCode.NOT_SET_UP),
    "KEY_EXPOSED": ("Give the file mode 0600 (chmod 600), and think about who may have read it.", ExitCode.NOT_SET_UP),
    "KEY_MISSING": ("Or is SHUALIAN_DATA_DIR not the folder you meant?", ExitCode.NOT_SET_UP),
    "PASSPHRASE_REFUSED": ("Put the right passphrase into the file that tls.ca_passphrase names.", ExitCode.NOT_SET_UP),
    "MODEL_MISSING": (_INSTALL, ExitCode.NOT_SET_UP),
    "MODEL_TAMPERED": ("Find out who changed the file, then run `shualian models install`.", ExitCode.NOT_SET_UP),
    "MODEL_FETCH_FAILED": ("Check the way to the package registry, then run the command again.", ExitCode.UNAVAILABLE),
    "MODEL_REWRITE_FAILED": ("Report it: the model and the fix-up do not go together.", ExitCode.REFUSED),
    "MANIFEST_INVALID": ("Correct the file that models_manifest names (docs/models.md).", ExitCode.CONFIGURATION),
    "CONFIG_INVALID": ("docs/configuration.md lists every setting with its bounds.", ExitCode.CONFIGURATION),
    "FACE_QUALITY": ("Take another portrait: one face, from the front, sharp, evenly lit.", ExitCode.REFUSED),
    "FRAME_UNDECODABLE": ("Give a whole JPEG file.", ExitCode.REFUSED),
    "STORE_BUSY": ("Run the command again in a moment.", ExitCode.UNAVAILABLE),
    "STORE_FAILED": ("Is the disk full, or the database locked or moved?", ExitCode.UNAVAILABLE),
}  # fmt: skip


def explain(error: BaseException) -> Mistake | None:
    """Return what to tell about an error, or None when it is a bug of ours."""
    reason = getattr(error, "reason", None)
    match error:
        case CommandError():
            return Mistake(reason=error.reason, message=str(error), next=error.next, code=error.code)
        case Exception() if isinstance(reason, str):
            following, code = NEXT.get(reason, ("docs/errors.md says more about this reason.", ExitCode.REFUSED))
            return Mistake(reason=reason, message=_sentence(error), next=following, code=code)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror or type(error).__name__}."
            return Mistake(
                reason="FILE_UNUSABLE",
                message=message,
                next="Check the path and who may use it.",
                code=ExitCode.UNAVAILABLE,
            )
        case _:
            return None


def _sentence(error: BaseException) -> str:
    """Return the first line of the error's docstring, with the text of the error as its example."""
    about = (type(error).__doc__ or type(error).__name__).strip().splitlines()[0].rstrip(".")
    mistakes = getattr(error, "mistakes", ())
    text = "\n- ".join(("", *mistakes)) if mistakes else f" {error}".rstrip(" .")
    end = "" if mistakes or text.endswith("?") else "."
    return f"{about}:{text}{end}" if text else f"{about}."
