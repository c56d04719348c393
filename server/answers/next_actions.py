"""What does a terminal do after a refusal? One word from a closed set, for each row of the table in errors.py.

A firmware that knows these words needs to know no reason: it obeys, and shows people the sentence. What the status says
well enough is derived from it; what a person, another certificate or a clock must mend stands here by name.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from grpc import StatusCode

from device_registry import errors as registry
from server import refusals
from server.answers import Answer, NextAction
from server.settlement import errors as settlement

A = NextAction

BY_STATUS: Mapping[StatusCode, NextAction] = MappingProxyType(
    {
        StatusCode.UNAVAILABLE: A.RETRY,
        StatusCode.ABORTED: A.RETRY,
        StatusCode.RESOURCE_EXHAUSTED: A.WAIT,
        StatusCode.INTERNAL: A.WAIT,
        StatusCode.UNAUTHENTICATED: A.CONTACT_OPERATOR,
        StatusCode.INVALID_ARGUMENT: A.CHANGE_REQUEST,
        StatusCode.NOT_FOUND: A.CHANGE_REQUEST,
        StatusCode.ALREADY_EXISTS: A.CHANGE_REQUEST,
        StatusCode.UNIMPLEMENTED: A.CHANGE_REQUEST,
        StatusCode.FAILED_PRECONDITION: A.CHANGE_REQUEST,
        StatusCode.PERMISSION_DENIED: A.CHANGE_REQUEST,
    }
)

BY_ERROR: Mapping[type[Exception], NextAction] = MappingProxyType(
    {
        # Who calls, and with what.
        refusals.CertificateMissingError: A.ENROLL,
        refusals.TerminalClassError: A.CONTACT_OPERATOR,
        refusals.TerminalCertificateError: A.CHANGE_REQUEST,
        refusals.RoleMissingError: A.CONTACT_OPERATOR,
        registry.TerminalUnknownError: A.CONTACT_OPERATOR,
        registry.TerminalNotEnrolledError: A.ENROLL,
        registry.TerminalSuspendedError: A.WAIT,
        registry.TerminalQuarantinedError: A.WAIT,
        registry.TerminalRevokedError: A.STOP,
        registry.TerminalBannedError: A.STOP,
        registry.TerminalRetiredError: A.STOP,
        registry.CertificateUnknownError: A.ENROLL,
        registry.CertificateForeignError: A.CONTACT_OPERATOR,
        registry.CertificateRetiredError: A.ENROLL,
        registry.CertificateRevokedError: A.ENROLL,
        registry.CertificateExpiredError: A.RENEW,
        registry.CertificateUnreadableError: A.ENROLL,
        registry.RevocationsRolledBackError: A.WAIT,
        # How it enrolls.
        registry.TokenRefusedError: A.CONTACT_OPERATOR,
        registry.TokenUsedError: A.CONTACT_OPERATOR,
        registry.TokenExpiredError: A.CONTACT_OPERATOR,
        registry.NonceRefusedError: A.RETRY,
        registry.IllegalTransitionError: A.CONTACT_OPERATOR,
        registry.FactoryProofRefusedError: A.CONTACT_OPERATOR,
        registry.TerminalUnregisteredError: A.CONTACT_OPERATOR,
        registry.ManufacturerMismatchError: A.CONTACT_OPERATOR,
        registry.FactoryKeyUnpinnedError: A.CONTACT_OPERATOR,
        registry.MakerWithdrawnError: A.CONTACT_OPERATOR,
        registry.ModelUnknownError: A.CONTACT_OPERATOR,
        registry.ModelWithdrawnError: A.CONTACT_OPERATOR,
        registry.CertificationLapsedError: A.CONTACT_OPERATOR,
        registry.ClassAboveModelError: A.CONTACT_OPERATOR,
        registry.DuplicateSerialError: A.CONTACT_OPERATOR,
        registry.SharedFactoryKeyError: A.CONTACT_OPERATOR,
        registry.CloneSuspectedError: A.CONTACT_OPERATOR,
        registry.TicketRefusedError: A.CONTACT_OPERATOR,
        registry.TicketExpiredError: A.CONTACT_OPERATOR,
        registry.TicketSpentError: A.CONTACT_OPERATOR,
        registry.TicketRegionError: A.CONTACT_OPERATOR,
        registry.RenewalProofRefusedError: A.CHANGE_REQUEST,
        registry.CertificateStillGoodError: A.FIX_CLOCK,
        registry.GraceOverError: A.ENROLL,
        # Time.
        settlement.TransactionIdTimeError: A.FIX_CLOCK,
    }
)


def with_next_actions(answers: Mapping[type[Exception], Answer]) -> dict[type[Exception], Answer]:
    """Return the table with its last column filled."""
    return {
        kind: replace(answer, next_action=answer.next_action or BY_ERROR.get(kind, BY_STATUS[answer.code]))
        for kind, answer in answers.items()
    }
