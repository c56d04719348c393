"""How are refusals of makers, factory identities, installer tickets and late renewals answered? Rows of errors.py."""

from grpc import StatusCode

from device_registry import errors as registry
from server.answers import Answer


def _row(code: StatusCode, public: str, *details: str, field: str = "") -> Answer:
    return Answer(code=code, public=public, details=details, field=field)


ENROLLMENT: dict[type[Exception], Answer] = {
    registry.MakerUnknownError: _row(StatusCode.NOT_FOUND, "There is no such manufacturer."),
    registry.MakerExistsError: _row(
        StatusCode.ALREADY_EXISTS, "An approved manufacturer has this name or factory root already.", "name"
    ),
    registry.MakerWithdrawnError: _row(StatusCode.FAILED_PRECONDITION, "The manufacturer was withdrawn."),
    registry.ModelUnknownError: _row(
        StatusCode.FAILED_PRECONDITION, "The model is not approved. Ask the platform's operators to approve it."
    ),
    registry.ModelExistsError: _row(StatusCode.ALREADY_EXISTS, "The manufacturer has an approved model of this name."),
    registry.ModelWithdrawnError: _row(StatusCode.FAILED_PRECONDITION, "The model was withdrawn."),
    registry.FirmwareUnknownError: _row(StatusCode.NOT_FOUND, "There is no such firmware."),
    registry.FirmwareExistsError: _row(
        StatusCode.ALREADY_EXISTS, "The model has a firmware of this version. Give a new image a new version."
    ),
    registry.FirmwareStateError: _row(
        StatusCode.FAILED_PRECONDITION, "The firmware's state does not allow this.", "state", "wanted"
    ),
    registry.ManifestRefusedError: _row(
        StatusCode.INVALID_ARGUMENT, "The firmware manifest or its signature is not right.", "detail", field="manifest"
    ),
    registry.FactoryRootRefusedError: _row(
        StatusCode.INVALID_ARGUMENT,
        "A certificate cannot be the root of factory identities.",
        "detail",
        field="root_certificates_der",
    ),
    registry.TicketUnknownError: _row(StatusCode.NOT_FOUND, "There is no such installer ticket."),
    registry.FactoryProofRefusedError: _row(
        StatusCode.UNAUTHENTICATED,
        "The factory identity does not prove this serial number; see fault and detail.",
        "fault",
        "detail",
        field="factory_proof",
    ),
    registry.TerminalUnregisteredError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The factory identity is genuine, but nobody registered this serial number. Register it, or bring a ticket.",
        field="serial_number",
    ),
    registry.ManufacturerMismatchError: _row(
        StatusCode.PERMISSION_DENIED, "The terminal is registered under another manufacturer. Correct the registration."
    ),
    registry.FactoryKeyUnpinnedError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The terminal never enrolled with its factory identity. Revoke it, register it again, and enroll.",
    ),
    registry.CertificationLapsedError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The model's certification is over. Its maker must renew it before a terminal enrolls.",
        "expired_on",
    ),
    registry.ClassAboveModelError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The terminal is registered for a higher class than its model is certified for. Correct the registration.",
        "terminal_class",
        "model_class",
    ),
    registry.DuplicateSerialError: _row(
        StatusCode.PERMISSION_DENIED,
        "Another device has this serial number. Ask the platform's operators.",
        field="serial_number",
    ),
    registry.SharedFactoryKeyError: _row(
        StatusCode.PERMISSION_DENIED,
        "Another terminal has this factory key. Ask the platform's operators.",
        field="factory_proof",
    ),
    registry.CloneSuspectedError: _row(
        StatusCode.PERMISSION_DENIED,
        "This terminal has a certificate in use. Renew that one; if it is lost, ask the platform's operators.",
    ),
    registry.TicketRefusedError: _row(
        StatusCode.UNAUTHENTICATED, "There is no such installer ticket. Ask for a new one.", field="installer.ticket"
    ),
    registry.TicketExpiredError: _row(
        StatusCode.PERMISSION_DENIED,
        "The installer ticket's time is over. Ask for a new one.",
        field="installer.ticket",
    ),
    registry.TicketSpentError: _row(
        StatusCode.PERMISSION_DENIED,
        "The installer ticket has let in all its terminals. Ask for a new one.",
        field="installer.ticket",
    ),
    registry.TicketRegionError: _row(
        StatusCode.PERMISSION_DENIED, "The installer ticket is for another region.", field="installer.site_id"
    ),
    registry.RenewalProofRefusedError: _row(
        StatusCode.UNAUTHENTICATED,
        "The signature is not by the old certificate's key over this nonce and signing request.",
        field="signature",
    ),
    registry.CertificateStillGoodError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The certificate has not lapsed. Set the terminal's clock, then renew with DeviceService.RenewCertificate.",
        "platform_time",
        "not_after",
    ),
    registry.GraceOverError: _row(
        StatusCode.FAILED_PRECONDITION,
        "The certificate lapsed too long ago. Enroll with the factory identity, or register the terminal again.",
        "platform_time",
        "not_after",
        "grace_until",
    ),
}
