"""What each role may do, written down a second time: the table of permissions is not asked about itself."""

from device_registry.operators.roles import Role
from server.administration.permissions import PACKAGE, PERMISSIONS, WHILE_ROLLED_BACK, refuse_without_role
from server.refusals import RoleMissingError

DAILY_WORK = {
    "CommandService/CancelCommand",
    "CommandService/QueueCommand",
    "FleetService/AcknowledgeFinding",
    "FleetService/CloseFinding",
    "FleetService/RunAudit",
    "RegistryService/AddSite",
    "RegistryService/EvictTerminal",
    "RegistryService/ImportTerminals",
    "RegistryService/IssueEnrollmentToken",
    "RegistryService/QuarantineTerminal",
    "RegistryService/RegisterTerminal",
    "RegistryService/ResumeTerminal",
    "RegistryService/SuspendTerminal",
    "RegistryService/UpdateSite",
    "RolloutService/CancelRollout",
    "RolloutService/PauseRollout",
    "RolloutService/ResumeRollout",
    "RolloutService/StartRollout",
    "TicketService/IssueInstallerTicket",
    "TicketService/RevokeInstallerTicket",
}
"""What a VIEWER may not do."""
TRUST = {
    "AuditService/CreateCheckpoint",
    "AuthorityService/ActivateIssuer",
    "AuthorityService/InstallIssuer",
    "AuthorityService/PrepareIssuer",
    "AuthorityService/RevokeIssuer",
    "AuthorityService/TaintIssuer",
    "FleetService/EnforceAudit",
    "FleetService/MitigateFinding",
    "MakerService/AddFirmware",
    "MakerService/AddManufacturer",
    "MakerService/AddModel",
    "MakerService/JudgeFirmware",
    "MakerService/WithdrawManufacturer",
    "MakerService/WithdrawModel",
    "OperatorService/AddOperator",
    "OperatorService/ChangeRole",
    "OperatorService/RevokeOperator",
    "RegistryService/BanTerminal",
    "RegistryService/RetireTerminal",
    "RegistryService/RevokeTerminal",
    "RegistryService/UnbanTerminal",
    "RevocationService/Reapply",
    "RevocationService/RebuildWitness",
}
"""What an OPERATOR may not do either."""
ON_ONESELF = {"OperatorService/RenewOperator"}
"""What changes something and is everybody's: it is about nobody but the caller."""
LOOKING = ("Get", "List", "Watch", "Verify", "Forecast", "WhoAmI")
"""How a method is called that changes nothing."""


def denied_to(role: Role) -> set[str]:
    """Return the methods that the door refuses to a role."""
    denied = set()
    for path in PERMISSIONS:
        try:
            refuse_without_role(path, role)
        except RoleMissingError:
            denied.add(path.removeprefix(f"{PACKAGE}."))
    return denied


def test_a_viewer_does_neither_daily_work_nor_what_decides_about_trust() -> None:
    assert denied_to(Role.VIEWER) == DAILY_WORK | TRUST


def test_an_operator_does_not_decide_about_trust() -> None:
    assert denied_to(Role.OPERATOR) == TRUST


def test_security_may_do_everything() -> None:
    assert denied_to(Role.SECURITY) == set()


def test_what_changes_something_is_not_a_viewers() -> None:
    open_to_all = {path.removeprefix(f"{PACKAGE}.") for path in PERMISSIONS} - DAILY_WORK - TRUST - ON_ONESELF

    assert {path for path in open_to_all if not path.partition("/")[2].startswith(LOOKING)} == set()


def test_what_is_open_while_the_database_is_set_back_shows_and_mends_that_and_nothing_else() -> None:
    assert {path.removeprefix(f"{PACKAGE}.") for path in WHILE_ROLLED_BACK} == {
        "OperatorService/WhoAmI",
        "RevocationService/ListRevocations",
        "RevocationService/Reapply",
        "RevocationService/VerifyWitness",
    }
