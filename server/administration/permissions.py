"""What may each role do? One row for each method of the admin API; a method without a row is nobody's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from device_registry.operators.roles import Role
from server.administration.caller import OperatorCaller
from server.refusals import RoleMissingError

PACKAGE: Final = "shualian.admin.v1"
VIEWER, OPERATOR, SECURITY = Role.VIEWER, Role.OPERATOR, Role.SECURITY


def _rows(service: str, **methods: Role) -> dict[str, Role]:
    return {f"{PACKAGE}.{service}/{method}": role for method, role in methods.items()}


# Looking is VIEWER's, daily work is OPERATOR's, and what decides whom the platform trusts is SECURITY's.
PERMISSIONS: Final[Mapping[str, Role]] = MappingProxyType(
    {
        **_rows(
            "RegistryService",
            AddSite=OPERATOR,
            UpdateSite=OPERATOR,
            ListSites=VIEWER,
            RegisterTerminal=OPERATOR,
            ImportTerminals=OPERATOR,
            GetTerminal=VIEWER,
            ListTerminals=VIEWER,
            WatchTerminals=VIEWER,
            IssueEnrollmentToken=OPERATOR,
            SuspendTerminal=OPERATOR,
            ResumeTerminal=OPERATOR,
            QuarantineTerminal=OPERATOR,
            EvictTerminal=OPERATOR,
            RevokeTerminal=SECURITY,
            BanTerminal=SECURITY,
            UnbanTerminal=SECURITY,
            RetireTerminal=SECURITY,
        ),
        **_rows(
            "FleetService",
            GetCensus=VIEWER,
            RunAudit=OPERATOR,
            EnforceAudit=SECURITY,
            ListFindings=VIEWER,
            AcknowledgeFinding=OPERATOR,
            MitigateFinding=SECURITY,
            CloseFinding=OPERATOR,
        ),
        **_rows("CommandService", QueueCommand=OPERATOR, ListCommands=VIEWER, CancelCommand=OPERATOR),
        **_rows(
            "RolloutService",
            StartRollout=OPERATOR,
            PauseRollout=OPERATOR,
            ResumeRollout=OPERATOR,
            CancelRollout=OPERATOR,
            GetRollout=VIEWER,
            ListRollouts=VIEWER,
            ListMembers=VIEWER,
            Forecast=VIEWER,
        ),
        **_rows(
            "MakerService",
            AddManufacturer=SECURITY,
            WithdrawManufacturer=SECURITY,
            ListManufacturers=VIEWER,
            AddModel=SECURITY,
            WithdrawModel=SECURITY,
            ListModels=VIEWER,
            AddFirmware=SECURITY,
            JudgeFirmware=SECURITY,
            ListFirmware=VIEWER,
        ),
        **_rows(
            "TicketService",
            IssueInstallerTicket=OPERATOR,
            ListInstallerTickets=VIEWER,
            RevokeInstallerTicket=OPERATOR,
        ),
        **_rows(
            "AuditService",
            ListEntries=VIEWER,
            Verify=VIEWER,
            CreateCheckpoint=SECURITY,
            ListCheckpoints=VIEWER,
        ),
        **_rows(
            "RevocationService",
            ListRevocations=VIEWER,
            VerifyWitness=VIEWER,
            Reapply=SECURITY,
            RebuildWitness=SECURITY,
        ),
        **_rows(
            "OperatorService",
            AddOperator=SECURITY,
            ListOperators=VIEWER,
            ChangeRole=SECURITY,
            RevokeOperator=SECURITY,
            RenewOperator=VIEWER,
            WhoAmI=VIEWER,
        ),
        **_rows(
            "AuthorityService",
            ListIssuers=VIEWER,
            PrepareIssuer=SECURITY,
            InstallIssuer=SECURITY,
            ActivateIssuer=SECURITY,
            TaintIssuer=SECURITY,
            RevokeIssuer=SECURITY,
        ),
    }
)

WHILE_ROLLED_BACK: Final = frozenset(
    {
        f"{PACKAGE}.RevocationService/VerifyWitness",
        f"{PACKAGE}.RevocationService/ListRevocations",
        f"{PACKAGE}.RevocationService/Reapply",
        f"{PACKAGE}.OperatorService/WhoAmI",
    }
)
"""What is open while the database lacks revocations that it once had: to see it, and to mend it."""

_OTHERS: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": VIEWER,
        "unknown/unknown": VIEWER,  # what is not there is answered UNIMPLEMENTED, to operators alone
    }
)


def needed_for(method: str) -> Role | None:
    """Return the role that a method asks for, `package.Service/Method`; None when it has no row and nobody may."""
    return PERMISSIONS.get(method) or _OTHERS.get(method)


def refuse_without_role(method: str, role: Role) -> None:
    """Return when the role may call the method.

    Raises:
        RoleMissingError: it may not.
    """
    needed = needed_for(method)
    if needed is None or not role.covers(needed):
        raise RoleMissingError(needed=needed.value if needed is not None else "none")


def refuse_caller(method: str, caller: OperatorCaller) -> None:
    """Return when somebody may call the method now.

    Raises:
        RevocationsRolledBackError: the database was set back, so that it cannot be asked what somebody may do.
        RoleMissingError: their role does not cover it.
    """
    if caller.rolled_back is not None and method not in WHILE_ROLLED_BACK:
        raise caller.rolled_back
    refuse_without_role(method, caller.role)
