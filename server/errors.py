"""How is each error answered? The one table: error class to status, public sentence and retry.

`interceptors/errors.py` is its only reader for calls, docs/errors.md is printed from it, and a test walks every
subclass of the domains' errors and fails when one has no row. An error without a row is INTERNAL and says nothing.
"""

from collections.abc import Iterator
from datetime import timedelta

from grpc import StatusCode

from device_registry import errors as registry
from face_pipeline import errors as face
from face_pipeline.models.runtime import InferenceError
from server import refusals
from server.answers import Answer, Reply, reply_from
from server.answers.benefit import BENEFITS
from server.answers.credential import CREDENTIALS
from server.answers.doubt import DOUBT
from server.answers.enrollment import ENROLLMENT
from server.answers.face import FACES
from server.answers.next_actions import with_next_actions
from server.answers.revocation import REVOCATION
from server.answers.self_pay import SELF_PAY
from server.credentials import errors as credentials
from server.settlement import errors as settlement
from server.store import errors as store

INTERNAL_REASON = "INTERNAL"

ABORTED = StatusCode.ABORTED
ALREADY_EXISTS = StatusCode.ALREADY_EXISTS
FAILED_PRECONDITION = StatusCode.FAILED_PRECONDITION
INTERNAL = StatusCode.INTERNAL
INVALID_ARGUMENT = StatusCode.INVALID_ARGUMENT
NOT_FOUND = StatusCode.NOT_FOUND
PERMISSION_DENIED = StatusCode.PERMISSION_DENIED
RESOURCE_EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED
UNAUTHENTICATED = StatusCode.UNAUTHENTICATED
UNAVAILABLE = StatusCode.UNAVAILABLE
UNIMPLEMENTED = StatusCode.UNIMPLEMENTED

_SOON = timedelta(seconds=1)
_CSR = "signing_request_der"
_OURS = Answer(code=INTERNAL, public="Something is wrong on the platform's side. Its operators have been told.")
_MODELS = Answer(code=UNAVAILABLE, public="Faces cannot be looked at right now.", retry_after=timedelta(seconds=30))


def _row(code: StatusCode, public: str, *details: str, field: str = "", retry_after: timedelta | None = None) -> Answer:
    return Answer(code=code, public=public, details=details, field=field, retry_after=retry_after)


_TRANSPORT: dict[type[Exception], Answer] = {
    refusals.InvalidRequestError: _row(INVALID_ARGUMENT, "The request breaks the contract; see the field violations."),
    refusals.MethodUnknownError: _row(UNIMPLEMENTED, "There is no such method here."),
    refusals.CertificateMissingError: _row(UNAUTHENTICATED, "Connect with the terminal's certificate."),
    refusals.TerminalCertificateError: _row(
        PERMISSION_DENIED, "This is a terminal's certificate. Connect with an operator's."
    ),
    refusals.RoleMissingError: _row(
        PERMISSION_DENIED, "Your role does not cover this. Ask a colleague who has the needed one.", "needed"
    ),
    refusals.LocalOnlyError: _row(
        PERMISSION_DENIED, "This is done on the platform's own machine alone: run the command there, without a server."
    ),
    refusals.StandingStaleError: _row(
        UNAVAILABLE, "The platform cannot vouch for anyone right now. Try again.", retry_after=_SOON
    ),
    refusals.TerminalClassError: _row(PERMISSION_DENIED, "The terminal is not certified for this.", "needed"),
    refusals.RateLimitedError: _row(RESOURCE_EXHAUSTED, "Too many calls in a short time. Wait, then go on."),
    refusals.MessageRateError: _row(RESOURCE_EXHAUSTED, "Too many messages in a short time. Wait, then begin again."),
    refusals.CallsOpenError: _row(RESOURCE_EXHAUSTED, "Too many calls are open. End one first."),
    refusals.FaceSessionsOpenError: _row(RESOURCE_EXHAUSTED, "Too many face sessions are open on this terminal."),
    refusals.FaceSessionsFullError: _row(RESOURCE_EXHAUSTED, "All places for face sessions are taken. Try again."),
    refusals.WatchesOpenError: _row(RESOURCE_EXHAUSTED, "Too many operators are watching. End one watch first."),
    refusals.FramesExceededError: _row(RESOURCE_EXHAUSTED, "The session took as many frames as it may. Begin again."),
    refusals.StreamOrderError: _row(INVALID_ARGUMENT, "This message does not belong here.", "expected"),
    refusals.StreamStalledError: _row(ABORTED, "Nothing came for too long. Begin again."),
    refusals.StreamSupersededError: _row(ABORTED, "The terminal opened another control stream; this one is over."),
    refusals.TerminalOverdueError: _row(ABORTED, "No heartbeat came for too long. Connect again."),
}

_REGISTRY: dict[type[Exception], Answer] = {
    registry.FieldInvalidError: _row(INVALID_ARGUMENT, "A field is empty, too long or of the wrong form."),
    registry.SiteUnknownError: _row(NOT_FOUND, "There is no such site."),
    registry.SerialNumberTakenError: _row(ALREADY_EXISTS, "Another terminal in service has this serial number."),
    registry.IllegalTransitionError: _row(FAILED_PRECONDITION, "The terminal's state does not allow this."),
    registry.EvictionOfShutOutError: _row(
        FAILED_PRECONDITION,
        "The terminal is suspended or quarantined, and an eviction would set it free. Resume it first, then evict it; "
        "or revoke it.",
        "state",
    ),
    registry.TransitionLostError: _row(ABORTED, "The terminal's state changed in the same moment. Look again."),
    registry.TerminalUnknownError: _row(NOT_FOUND, "There is no such terminal."),
    registry.TerminalNotEnrolledError: _row(
        FAILED_PRECONDITION, "The terminal has no certificate that counts. Enroll it."
    ),
    registry.TerminalSuspendedError: _row(
        PERMISSION_DENIED, "This terminal is suspended. Ask the platform's operators."
    ),
    registry.TerminalQuarantinedError: _row(
        PERMISSION_DENIED, "This terminal is in quarantine. Ask the platform's operators."
    ),
    registry.TerminalRevokedError: _row(
        PERMISSION_DENIED, "This terminal is revoked. It comes back only when it is registered anew."
    ),
    registry.TerminalRetiredError: _row(PERMISSION_DENIED, "This terminal was taken out of service."),
    registry.CertificateUnknownError: _row(UNAUTHENTICATED, "No terminal here has this certificate."),
    registry.CertificateForeignError: _row(PERMISSION_DENIED, "The certificate belongs to another terminal."),
    registry.CertificateRetiredError: _row(UNAUTHENTICATED, "This certificate was replaced. Use the newer one."),
    registry.CertificateRevokedError: _row(
        PERMISSION_DENIED, "This certificate is revoked. Enroll the terminal again."
    ),
    registry.CertificateExpiredError: _row(
        UNAUTHENTICATED,
        "This certificate's time is over. Renew it with EnrollmentService.RenewExpired, or enroll the terminal again.",
        "platform_time",
        "not_after",
    ),
    registry.CertificateUnreadableError: _row(UNAUTHENTICATED, "The certificate cannot be read."),
    registry.OperatorUnknownError: _row(UNAUTHENTICATED, "No operator here has this certificate."),
    registry.OperatorRevokedError: _row(PERMISSION_DENIED, "This operator was locked out. Ask the security team."),
    registry.OperatorExpiredError: _row(
        UNAUTHENTICATED, "This operator's certificate has lapsed. Ask the security team for a new one."
    ),
    registry.OperatorCertificateRetiredError: _row(
        UNAUTHENTICATED, "This certificate was replaced. Use the operator's newer one."
    ),
    registry.OperatorNotFoundError: _row(NOT_FOUND, "There is no such operator."),
    registry.OperatorRenewedOftenError: _row(RESOURCE_EXHAUSTED, "The operator got too many certificates in a day."),
    registry.OperatorExistsError: _row(ALREADY_EXISTS, "An operator with this name has a good certificate already."),
    registry.TokenRefusedError: _row(
        UNAUTHENTICATED, "Token and serial number do not belong together. Ask for a new token.", field="token"
    ),
    registry.TokenUsedError: _row(PERMISSION_DENIED, "This token was used before. Ask for a new one.", field="token"),
    registry.TokenExpiredError: _row(PERMISSION_DENIED, "This token's time is over. Ask for a new one.", field="token"),
    registry.NonceRefusedError: _row(
        ABORTED, "The signing request carries no nonce that is good. Get a new challenge and begin again.", field=_CSR
    ),
    registry.TooManyChallengesError: _row(RESOURCE_EXHAUSTED, "Too many enrollments are under way. Try again."),
    registry.SigningRequestUnreadableError: _row(
        INVALID_ARGUMENT, "The signing request is no PKCS#10 request in DER.", field=_CSR
    ),
    registry.KeyTypeRefusedError: _row(INVALID_ARGUMENT, "The key must be ECDSA on P-256.", field=_CSR),
    registry.PossessionUnprovenError: _row(
        INVALID_ARGUMENT, "The signing request is not signed by the key it names.", field=_CSR
    ),
    registry.KeyReusedError: _row(
        INVALID_ARGUMENT, "This key had a certificate before. Make a new key for each certificate.", field=_CSR
    ),
    registry.TooManyCertificatesError: _row(RESOURCE_EXHAUSTED, "The terminal got too many certificates in a day."),
    registry.CommandInvalidError: _row(INVALID_ARGUMENT, "The command does not take these parameters."),
    registry.CommandUnknownError: _row(NOT_FOUND, "This terminal was never given a command with this id."),
    registry.TooManyCommandsError: _row(RESOURCE_EXHAUSTED, "Too many commands of this terminal are unanswered."),
    registry.CommandOverError: _row(FAILED_PRECONDITION, "The command is over; nothing is left to take back."),
    registry.IdempotencyKeyReusedError: _row(
        ALREADY_EXISTS, "This idempotency key belongs to another request. Make a new one.", field="idempotency_key"
    ),
    registry.FirmwareUnfitError: _row(
        FAILED_PRECONDITION, "This firmware is not approved for offers. Approve one, or choose another.", "state"
    ),
    registry.FirmwareOfAnotherModelError: _row(
        FAILED_PRECONDITION, "The firmware is for another model than this terminal.", "model"
    ),
    registry.RolloutUnknownError: _row(NOT_FOUND, "There is no such rollout."),
    registry.RolloutStateError: _row(FAILED_PRECONDITION, "The rollout's state does not allow this.", "state"),
    registry.RolloutEmptyError: _row(FAILED_PRECONDITION, "No terminal in service fits the selection. Widen it."),
    registry.RolloutTooLargeError: _row(
        FAILED_PRECONDITION, "Too many terminals fit the selection. Narrow it, by region or site.", "members_max"
    ),
    registry.TooManyRolloutsError: _row(FAILED_PRECONDITION, "Too many rollouts are open. End one first."),
    registry.FindingUnknownError: _row(NOT_FOUND, "There is no such finding."),
    registry.FindingStateError: _row(FAILED_PRECONDITION, "The finding is too far on for this. Look at its state."),
    registry.RiskPolicyError: _OURS,
    registry.AuthorityExistsError: _OURS,
    registry.AuthorityMissingError: _OURS,
    registry.AuthorityBrokenError: _OURS,
    registry.KeyExposedError: _OURS,
    registry.PassphraseRefusedError: _OURS,
    registry.AuthorityExpiredError: _OURS,
    registry.IssuerKeyMismatchError: _OURS,
    registry.IssuerNoneActiveError: _row(
        UNAVAILABLE,
        "No issuing authority is active, so nothing can be signed. Prepare and activate one.",
        retry_after=timedelta(minutes=5),
    ),
    registry.IssuerUnknownError: _row(NOT_FOUND, "There is no such issuing authority."),
    registry.IssuerTransitionError: _row(
        FAILED_PRECONDITION, "The issuing authority's state does not allow this.", "state", "wanted"
    ),
    registry.IssuerPendingError: _row(
        FAILED_PRECONDITION, "Another issuing authority is prepared. Activate or revoke it first.", "issuer_id"
    ),
    registry.IssuerNotInstalledError: _row(
        FAILED_PRECONDITION, "The issuing authority has no certificate yet. Let the root sign it and install that."
    ),
    registry.IssuerCertificateRefusedError: _row(
        INVALID_ARGUMENT, "The certificate does not fit the prepared key.", "detail", field="certificate_der"
    ),
    registry.IssuerInUseError: _row(
        FAILED_PRECONDITION,
        "Terminals or operators still depend on this issuing authority. Renew them first.",
        "terminals",
        "operators",
    ),
    registry.IssuingKeyMissingError: _row(
        UNAVAILABLE, "No certificate can be signed right now. Try again.", retry_after=timedelta(seconds=30)
    ),
    registry.HsmUnavailableError: _row(
        UNAVAILABLE, "No certificate can be signed right now. Try again.", retry_after=timedelta(seconds=30)
    ),
}

_FACE: dict[type[Exception], Answer] = {
    face.ModelMissingError: _MODELS,
    face.ModelTamperedError: _MODELS,
    face.ModelFetchError: _MODELS,
    face.ModelRewriteError: _MODELS,
    face.ModelContractError: _MODELS,
    face.ManifestError: _OURS,
    face.PolicyError: _OURS,
    face.FrameUndecodableError: _row(INVALID_ARGUMENT, "A frame is no complete JPEG.", field="frame.data"),
    face.FrameTooLargeError: _row(
        INVALID_ARGUMENT, "A frame is too large; see the capture profile.", field="frame.data"
    ),
    face.FrameOrderError: _row(
        INVALID_ARGUMENT, "Frames must rise in sequence and never go back in time.", field="frame.sequence"
    ),
    face.FrameIncompleteError: _row(
        INVALID_ARGUMENT, "A frame must bring each picture that was promised at the start.", field="frame.pictures"
    ),
    face.SessionEndedError: _row(FAILED_PRECONDITION, "The session has ended. Begin a new one."),
    face.FaceQualityError: _row(INVALID_ARGUMENT, "The portrait is not good enough.", "guidance"),
    face.EmbeddingShapeError: _OURS,
    face.TemplateModelError: _OURS,
    InferenceError: _OURS,
    face.TemplateSealError: _OURS,
}

_SETTLEMENT: dict[type[Exception], Answer] = {
    settlement.TransactionIdNotV7Error: _row(
        INVALID_ARGUMENT, "A transaction id must be a UUIDv7 in lower-case hex.", field="transaction_id"
    ),
    settlement.TransactionIdTimeError: _row(
        INVALID_ARGUMENT, "The transaction id was made at an impossible time. Set the clock.", field="transaction_id"
    ),
    settlement.TransactionIdReusedError: _row(
        ALREADY_EXISTS, "This transaction id belongs to another request. Make a new one.", field="transaction_id"
    ),
    settlement.BillInvalidError: _row(INVALID_ARGUMENT, "The bill's amounts contradict each other or the bounds."),
    settlement.BusinessTypeNotPayableError: _row(
        INVALID_ARGUMENT, "Nothing is paid under this business type.", field="bill.business_type"
    ),
    settlement.AuthorizationMissingError: _row(
        PERMISSION_DENIED, "An ID number alone pays nothing. Offer one of the ways.", "ways", field="authorization"
    ),
    settlement.PinRequiredError: _row(
        FAILED_PRECONDITION,
        "Above the PIN-free limit of this bill, channel or day. Ask for the PIN; or for a practitioner, where "
        "staff_may_confirm says so.",
        "pin_free_fen",
        "staff_may_confirm",
        field="authorization.face.pin",
    ),
    settlement.AmountOverLimitError: _row(FAILED_PRECONDITION, "The bill is above what this face pays.", "limit_fen"),
    settlement.QuoteUnknownError: _row(NOT_FOUND, "There is no such quote. Ask for a new one.", field="quote_id"),
    settlement.QuoteExpiredError: _row(FAILED_PRECONDITION, "The quote's time is over. Ask for a new one."),
    settlement.QuoteMismatchError: _row(INVALID_ARGUMENT, "Bill or person is not the quoted one."),
    settlement.QuoteOutdatedError: _row(ABORTED, "The shares have changed since the quote. Ask for a new one."),
    settlement.InsufficientFundError: _row(FAILED_PRECONDITION, "An account does not hold enough.", "account_kind"),
    settlement.InsurerRefusedError: _row(FAILED_PRECONDITION, "The insurer refuses this bill.", "code"),
    settlement.InsurerUnavailableError: _row(UNAVAILABLE, "The insurer cannot be asked now.", retry_after=_SOON),
    settlement.OutcomeUnknownError: _row(
        UNAVAILABLE, "Nobody knows yet whether it was booked. Send the same request again, or reverse it."
    ),
    settlement.SettlementNotFoundError: _row(NOT_FOUND, "This terminal has no such settlement."),
    settlement.NotSettledError: _row(FAILED_PRECONDITION, "Only a settled bill can be cancelled.", "state"),
    settlement.CancelTooLateError: _row(
        FAILED_PRECONDITION, "A bill is cancelled on the day it was paid, or not at all."
    ),
    settlement.ReversalTooLateError: _row(FAILED_PRECONDITION, "The settlement is too old to be reversed."),
    settlement.TransactionReversedError: _row(FAILED_PRECONDITION, "The transaction was reversed; it is never paid."),
    settlement.TransactionCancelledError: _row(
        FAILED_PRECONDITION, "The transaction was cancelled; it is not paid again."
    ),
    settlement.ContributionInvalidError: _row(INVALID_ARGUMENT, "A contribution is out of bounds.", field="amount_fen"),
    settlement.PostingUnbalancedError: _OURS,
    settlement.PostingRepeatedError: _OURS,
    settlement.AccountUnknownError: _OURS,
    settlement.RulesInvalidError: _OURS,
}

_STORE: dict[type[Exception], Answer] = {
    store.StoreBusyError: _row(UNAVAILABLE, "The platform is busy. Send the same request again.", retry_after=_SOON),
    store.StoreFailedError: _row(
        UNAVAILABLE, "The platform cannot write right now; nothing was changed.", retry_after=timedelta(seconds=5)
    ),
    store.WalkUnderWayError: _row(
        RESOURCE_EXHAUSTED,
        "Another long look through the books (verify, audit, export) is under way. Try again when it is through.",
        retry_after=timedelta(seconds=5),
    ),
    store.EventsMissedError: _row(UNAVAILABLE, "The platform is catching up. Try again.", retry_after=_SOON),
}

ANSWERS: dict[type[Exception], Answer] = with_next_actions(
    {
        **_TRANSPORT,
        **_REGISTRY,
        **ENROLLMENT,
        **REVOCATION,
        **_FACE,
        **FACES,
        **CREDENTIALS,
        **_SETTLEMENT,
        **BENEFITS,
        **DOUBT,
        **SELF_PAY,
        **_STORE,
    }
)

_UNFORESEEN = with_next_actions({Exception: _OURS})[Exception]

ROOTS: tuple[type[Exception], ...] = (
    refusals.RefusalError,
    registry.RegistryError,
    face.FaceError,
    credentials.CredentialError,
    settlement.SettlementError,
    store.StoreError,
)
"""Every error a domain raises on purpose is one of these."""


def reply_to(error: Exception) -> Reply:
    """Return what the caller reads about an error; of one without a row, nothing but that it happened."""
    answer = next((ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS), None)
    if answer is None:
        return reply_from(error, _UNFORESEEN, INTERNAL_REASON)
    return reply_from(error, answer, getattr(error, "reason", INTERNAL_REASON))


def as_markdown() -> str:
    """Return the table as docs/errors.md has it, by reason."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "| Reason | Status | What the caller reads | Next action | Retry |"
    yield "| --- | --- | --- | --- | --- |"
    rows = {getattr(kind, "reason", kind.__name__): (kind, answer) for kind, answer in ANSWERS.items()}
    for reason, (kind, answer) in sorted(rows.items()):
        retry = "as told in `RetryInfo`" if _says_when(kind, answer) else ""
        details = f" Metadata: {', '.join(f'`{name}`' for name in answer.details)}." if answer.details else ""
        yield f"| `{reason}` | {answer.code.name} | {answer.public}{details} | {answer.next_action} | {retry} |"
    yield f"| `{INTERNAL_REASON}` | {INTERNAL.name} | {_OURS.public} | {_UNFORESEEN.next_action} | |"


def _says_when(kind: type[Exception], answer: Answer) -> bool:
    return answer.retry_after is not None or "retry_after" in getattr(kind.__init__, "__annotations__", {})
