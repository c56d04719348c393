"""What is an operator told when something does not work? One sentence, what to do next, and an exit code for scripts.

Every error of ours has a stable reason and a docstring that says in one line what is wrong; the text of the error says
which one. That makes the sentence. What to do next stands here, by reason.
"""

from collections.abc import Mapping, Sequence
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


class AdminCallError(Exception):
    """The admin API refused a call; reason, sentence and details are the platform's."""

    def __init__(
        self,
        *,
        reason: str,
        public: str,
        code: str,
        details: Mapping[str, str],
        fields: Sequence[tuple[str, str]],
        request_id: str,
    ) -> None:
        self.reason = reason
        self.public = public
        self.code = code
        self.details = details
        self.fields = fields
        self.request_id = request_id
        super().__init__(public)


_LIST_TERMINALS: Final = "`shualian terminal list` shows the terminals and their states."
_LIST_ISSUERS: Final = "`shualian ca list` shows the issuing authorities and their states."
_WITNESS: Final = (
    "Bring the file back. If it is lost, and the database was not set back: `shualian revocation witness --rebuild`."
)
_INSTALL: Final = "Run `shualian models install`."
_INIT: Final = "Run `shualian ca init` first; it makes the authority and the keys."

NEXT: Final[Mapping[str, tuple[str, ExitCode]]] = {
    "SITE_UNKNOWN": ("`shualian site list` shows the sites.", ExitCode.REFUSED),
    "TERMINAL_UNKNOWN": (_LIST_TERMINALS, ExitCode.REFUSED),
    "SERIAL_NUMBER_TAKEN": ("Revoke the other terminal first, or check the serial number.", ExitCode.REFUSED),
    "TERMINAL_BANNED": ("`shualian terminal unban` lifts a ban; the security team decides.", ExitCode.REFUSED),
    "ILLEGAL_TRANSITION": (_LIST_TERMINALS, ExitCode.REFUSED),
    "TRANSITION_LOST": ("Look at the terminal again, then repeat the command.", ExitCode.UNAVAILABLE),
    "ROLE_MISSING": ("Ask somebody whose role covers it; `shualian operator list` shows who.", ExitCode.REFUSED),
    "OPERATOR_UNKNOWN": ("Is it another platform's? `shualian operator list` shows who is let in.", ExitCode.REFUSED),
    "OPERATOR_REVOKED": ("Ask the security team; `shualian operator add` lets somebody in again.", ExitCode.REFUSED),
    "OPERATOR_EXPIRED": ("Run `shualian operator request` and have the security team add you again.", ExitCode.REFUSED),
    "OPERATOR_CERTIFICATE_RETIRED": ("Use the folder that `shualian operator renew` wrote to.", ExitCode.REFUSED),
    "OPERATOR_RENEWED_OFTEN": ("Wait; the newest folder is good meanwhile.", ExitCode.UNAVAILABLE),
    "OPERATOR_NOT_FOUND": ("`shualian operator list` shows the operators.", ExitCode.REFUSED),
    "OPERATOR_EXISTS": ("Revoke them first, or let them renew with `shualian operator renew`.", ExitCode.REFUSED),
    "CERTIFICATE_OF_A_TERMINAL": ("Name an operator's folder with `--as`.", ExitCode.REFUSED),
    "INVALID_REQUEST": ("Correct what is named in brackets.", ExitCode.REFUSED),
    "TOO_MANY_COMMANDS": ("`shualian command list` shows what waits for the terminal.", ExitCode.REFUSED),
    "COMMAND_UNKNOWN": ("`shualian command list` shows a terminal's commands.", ExitCode.REFUSED),
    "COMMAND_OVER": ("`shualian command list` shows how it ended.", ExitCode.REFUSED),
    "FIRMWARE_UNFIT": ("`shualian maker` shows which firmware is approved.", ExitCode.REFUSED),
    "ROLLOUT_UNKNOWN": ("`shualian rollout list` shows the rollouts.", ExitCode.REFUSED),
    "ROLLOUT_STATE": ("`shualian rollout show` shows where it stands.", ExitCode.REFUSED),
    "ROLLOUT_EMPTY": ("`shualian terminal list` with the same filter shows who fits.", ExitCode.REFUSED),
    "TOO_MANY_ROLLOUTS": ("`shualian rollout list` shows those that are open.", ExitCode.REFUSED),
    "MAKER_EXISTS": ("`shualian maker list` shows the manufacturers.", ExitCode.REFUSED),
    "MODEL_EXISTS": ("`shualian maker model list` shows the models.", ExitCode.REFUSED),
    "FACTORY_ROOT_REFUSED": ("Ask the maker for the root of its factory identities.", ExitCode.REFUSED),
    "MANIFEST_REFUSED": ("Ask the maker to sign it anew, with the key it gave.", ExitCode.REFUSED),
    "FIRMWARE_EXISTS": ("A new image needs a new version; `shualian firmware list` shows them.", ExitCode.REFUSED),
    "FIRMWARE_STATE": ("`shualian firmware list` shows what is thought of it.", ExitCode.REFUSED),
    "FIRMWARE_UNKNOWN": ("`shualian firmware list` shows what is approved.", ExitCode.REFUSED),
    "PRACTITIONER_UNKNOWN": ("`shualian practitioner list` shows who is in service.", ExitCode.REFUSED),
    "PRACTITIONER_EXISTS": ("`shualian practitioner list` shows who is in service.", ExitCode.REFUSED),
    "PRACTITIONER_CODE_INVALID": ("8 to 32 letters and digits, as in the national register.", ExitCode.USAGE),
    "FACE_RULES_INVALID": ("Correct the file that `[face] rules` names.", ExitCode.CONFIGURATION),
    "RULES_INVALID": (
        "Correct the file that settlement.local_rules names (docs/operations/benefit-rules.md).",
        ExitCode.CONFIGURATION,
    ),
    "RULES_NOT_IN_FORCE": ("Name a later day, or add a set that begins earlier.", ExitCode.REFUSED),
    "PERIOD_INVALID": ("--until is the last day; it cannot be before --from.", ExitCode.USAGE),
    "SETTLEMENT_NOT_FOUND": ("`shualian settlement doubts` shows what is in doubt.", ExitCode.REFUSED),
    "NOT_A_DEAD_LETTER": ("`shualian settlement show` says where it stands.", ExitCode.REFUSED),
    "REVERSAL_WANTED": ("Close it as reversed, or have it tried anew: `shualian settlement retry`.", ExitCode.REFUSED),
    "CLOSING_CONTRADICTED": ("Have it tried anew: `shualian settlement retry`.", ExitCode.REFUSED),
    "RECONCILIATION_UNDER_WAY": ("Look again in a minute: `shualian reconciliation list`.", ExitCode.UNAVAILABLE),
    "RECONCILIATION_ITEM_UNKNOWN": ("`shualian reconciliation list` shows what is open.", ExitCode.REFUSED),
    "RECONCILIATION_ITEM_STATE": ("`shualian reconciliation list` shows how far it has come.", ExitCode.REFUSED),
    "TICKET_UNKNOWN": ("`shualian ticket list` shows the tickets.", ExitCode.REFUSED),
    "AUTHORITY_EXISTS": ("Use the one that is there, or name another folder with SHUALIAN_DATA_DIR.", ExitCode.REFUSED),
    "AUTHORITY_MISSING": (_INIT, ExitCode.NOT_SET_UP),
    "AUTHORITY_BROKEN": ("Restore the authority's folder from its backup.", ExitCode.NOT_SET_UP),
    "AUTHORITY_EXPIRED": ("Roll to a new issuing authority: `shualian ca prepare`.", ExitCode.NOT_SET_UP),
    "ISSUER_UNKNOWN": (_LIST_ISSUERS, ExitCode.REFUSED),
    "ISSUER_TRANSITION_ILLEGAL": (_LIST_ISSUERS, ExitCode.REFUSED),
    "ISSUER_PENDING": ("Activate it, or take it back with `shualian ca revoke`.", ExitCode.REFUSED),
    "ISSUER_NOT_INSTALLED": ("Let the root sign it: `shualian ca prepare --root DIR` again.", ExitCode.REFUSED),
    "ISSUER_CERTIFICATE_REFUSED": ("Sign what `shualian ca prepare` wrote, with this root.", ExitCode.REFUSED),
    "ISSUER_IN_USE": ("Wait until they have renewed, or lock them out with --force.", ExitCode.REFUSED),
    "ISSUER_NONE_ACTIVE": ("`shualian ca prepare`, then `shualian ca activate`, and restart.", ExitCode.NOT_SET_UP),
    "ISSUING_KEY_MISSING": ("Restore the key, or see docs/runbooks/issuing-authority-lost.md.", ExitCode.NOT_SET_UP),
    "HSM_UNAVAILABLE": ("Is the token there, and its PIN in the file authority.pin_file?", ExitCode.UNAVAILABLE),
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
    "LOCAL_ONLY": ("Run it on the platform's own machine, without --server.", ExitCode.REFUSED),
    "REVOCATIONS_ROLLED_BACK": (
        "Apply them again: `shualian revocation reapply --reason ...` (docs/runbooks/database-restored.md).",
        ExitCode.NOT_SET_UP,
    ),
    "WITNESS_MISSING": (_WITNESS, ExitCode.NOT_SET_UP),
    "WITNESS_BROKEN": (_WITNESS, ExitCode.NOT_SET_UP),
    "WITNESS_UNWRITABLE": ("Look at the disk that registry.witness is on.", ExitCode.UNAVAILABLE),
    "REVOCATION_UNWITNESSED": ("It is in force. Look at the disk that registry.witness is on.", ExitCode.UNAVAILABLE),
    "AUDIT_ROLLED_BACK": (
        "If a backup was restored on purpose: `shualian audit checkpoint --after-restore --reason ...`.",
        ExitCode.REFUSED,
    ),
    "FINDING_UNKNOWN": ("`shualian fleet findings --all` shows them.", ExitCode.REFUSED),
    "FINDING_STATE": ("`shualian fleet findings --all` shows how far it has come.", ExitCode.REFUSED),
    "RISK_POLICY_INVALID": (
        "Correct the file that fleet.risk_policy names (docs/operations/fleet-checks.md).",
        ExitCode.CONFIGURATION,
    ),
    "STORE_BUSY": ("Run the command again in a moment.", ExitCode.UNAVAILABLE),
    "STORE_FAILED": ("Is the disk full, or the database locked or moved?", ExitCode.UNAVAILABLE),
}  # fmt: skip


def explain(error: BaseException) -> Mistake | None:
    """Return what to tell about an error, or None when it is a bug of ours."""
    reason = getattr(error, "reason", None)
    match error:
        case CommandError():
            return Mistake(reason=error.reason, message=str(error), next=error.next, code=error.code)
        case AdminCallError():
            return _refused_call(error)
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


_BY_STATUS: Final[Mapping[str, tuple[str, ExitCode]]] = {
    "UNAVAILABLE": (
        "Is the platform running, and the address right? Run the command again in a moment.",
        ExitCode.UNAVAILABLE,
    ),
    "DEADLINE_EXCEEDED": ("Look whether it was done, then run the command again.", ExitCode.UNAVAILABLE),
    "RESOURCE_EXHAUSTED": ("Run the command again in a moment.", ExitCode.UNAVAILABLE),
    "INTERNAL": ("The platform's log has a line with this request id; please report it.", ExitCode.BUG),
    "PERMISSION_DENIED": ("`shualian operator whoami` says who you are to the platform.", ExitCode.REFUSED),
    "UNAUTHENTICATED": (
        "Check the folder that `--as` names; `shualian operator renew` gives a new certificate.",
        ExitCode.REFUSED,
    ),
}


def _refused_call(error: AdminCallError) -> Mistake:
    """Return what the platform said, with the fields to blame and what to do next."""
    told = [f"{name} {value}" for name, value in sorted(error.details.items()) if name != "next_action"]
    told += [f"{field}: {rule}" for field, rule in error.fields if field and rule != error.public]
    told += [f"request {error.request_id}"] if error.code == "INTERNAL" else []
    following, code = NEXT.get(
        error.reason,
        _BY_STATUS.get(error.code, ("docs/errors.md says more about this reason.", ExitCode.REFUSED)),
    )
    message = f"{error.public} ({'; '.join(told)})" if told else error.public
    return Mistake(reason=error.reason, message=message, next=following, code=code)


def _sentence(error: BaseException) -> str:
    """Return the first line of the error's docstring, with the text of the error as its example."""
    about = (type(error).__doc__ or type(error).__name__).strip().splitlines()[0].rstrip(".")
    mistakes = getattr(error, "mistakes", ()) or getattr(error, "problems", ())
    text = "\n- ".join(("", *mistakes)) if mistakes else f" {error}".rstrip(" .")
    end = "" if mistakes or text.endswith("?") else "."
    return f"{about}:{text}{end}" if text else f"{about}."
