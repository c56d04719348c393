"""Where the domain is put together: keys, books, registry, people and money, each with what it needs, by keyword.

This half knows no gRPC, so that a command of the CLI starts fast; `platform.py` puts services and listeners on top of
it. Nothing else constructs these objects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from device_registry import AuditLog, Authority, Commands, Issuers, Registry, RegistryPolicy
from device_registry.audit.checkpoints import Checkpoints
from device_registry.changes import Changes
from device_registry.enrollment.factory import FactoryEnrollments
from device_registry.enrollment.grace import GraceRenewals
from device_registry.enrollment.issuance import RENEW_AFTER_FRACTION, Issuance
from device_registry.enrollment.tickets import Tickets
from device_registry.fleet.finding import Mitigation
from device_registry.fleet.findings import Findings
from device_registry.fleet.fleet import Fleet
from device_registry.fleet.places import SitePlaces
from device_registry.fleet.risk_policy import load_risk_policy
from device_registry.imports import Imports
from device_registry.makers.makers import Makers
from device_registry.operators.operators import Operators
from device_registry.revocation.restoration import Restoration, revoke_issuer_again
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationKind
from device_registry.revocation.withdrawals import TAKEN_AGAIN
from device_registry.revocation.witness import WitnessFile
from device_registry.rollouts.forecast import Forecasts
from device_registry.rollouts.rollouts import Rollouts
from device_registry.roster import Roster
from device_registry.sites import Sites
from server.activity import FleetActivity
from server.config import Config
from server.credentials.activating import ActivationAssertions
from server.credentials.activation import Credentials
from server.credentials.assertion import Assertions
from server.credentials.codes import DynamicCodes
from server.credentials.family import FamilyAccounts
from server.credentials.guardians import Guardians
from server.credentials.people import People
from server.credentials.staff import StaffAssertions
from server.faces.practitioners import Practitioners
from server.issuing import open_authority, take_up_issuers
from server.keyring import Keyring, read_keys
from server.settings.insurer import InsurerKind
from server.settlement.insurers import Insurer
from server.settlement.insurers.absent import AbsentInsurer
from server.settlement.insurers.local import LocalInsurer, load_rules
from server.settlement.ledger import Ledger
from server.settlement.self_pay.cash import Cash
from server.settlement.self_pay.channels import SelfPays
from server.settlement.self_pay.credit import CreditLines
from server.settlement.self_pay.electronic_account import ElectronicAccount
from server.settlement.self_pay.policy import SelfPayPolicy
from server.store import announce, migrate, open_engine

if TYPE_CHECKING:
    from face_pipeline import FacePipeline

ROOMS = ("device_registry", "face_pipeline", "monitoring", "server")


class RoomsScatteredError(Exception):
    """Packages of the platform are found in different folders: one of them is somebody else's."""

    reason: ClassVar[str] = "ROOMS_SCATTERED"

    def __init__(self, *, folders: dict[str, str]) -> None:
        self.folders = folders
        super().__init__(", ".join(f"{room} in {folder}" for room, folder in folders.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The platform without its doors."""

    config: Config
    now: Callable[[], datetime]
    keys: Keyring
    engine: Engine
    authority: Authority
    audit: AuditLog
    checkpoints: Checkpoints
    revocations: Revocations
    restoration: Restoration
    registry: Registry
    issuers: Issuers
    makers: Makers
    tickets: Tickets
    factory: FactoryEnrollments
    grace: GraceRenewals
    commands: Commands
    rollouts: Rollouts
    forecasts: Forecasts
    operators: Operators
    roster: Roster
    imports: Imports
    sites: Sites
    findings: Findings
    fleet: Fleet
    places: SitePlaces
    people: People
    assertions: Assertions
    staff_assertions: StaffAssertions
    activations: ActivationAssertions
    credentials: Credentials
    codes: DynamicCodes
    family: FamilyAccounts
    guardians: Guardians
    practitioners: Practitioners
    ledger: Ledger
    insurer: Insurer
    """One that is far away has no line here yet: `insurers.insurer_of` gives it one, with a unit of work."""
    credit: CreditLines
    self_pays: SelfPays

    def faces(self) -> "FacePipeline":
        """Load the models; takes a second, so only who looks at faces does it.

        Raises:
            ModelError: a model is missing or is not the one the manifest names.
        """
        from server.faces.loading import load_faces  # noqa: PLC0415 - half of the time that a small command takes

        return load_faces(self.config)


def utc_now() -> datetime:
    """Return the time, aware, UTC."""
    return datetime.now(UTC)


def build_domain(config: Config, *, now: Callable[[], datetime] = utc_now) -> Domain:
    """Put the domain together on the configured database, which is brought to the newest schema.

    Raises:
        RiskPolicyError: the policy of the fleet checks asks for what is not there or not allowed.
        RoomsScatteredError: a foreign package would be used in the place of ours.
        KeyFileError, AuthorityError: there is no authority yet, or its files are not in order.
        StoreError: the database does not open.
    """
    refuse_scattered_rooms()
    keys = read_keys(config)
    authority = open_authority(config, passphrase=keys.ca_passphrase)
    engine = open_engine(config.database_url)
    migrate(engine)
    audit = AuditLog(now=now)
    ledger = Ledger(now=now)
    credit = credit_lines(config, ledger=ledger, audit=audit, now=now)
    policy, changes = registry_policy(config), Changes(audit=audit, announce=announce)
    issuance = Issuance(authority=authority, policy=policy)
    revocations = Revocations(now=now, announce=announce, witness=WitnessFile(config.witness))
    operators = Operators(now=now, authority=authority, audit=audit, revocations=revocations)
    registry = Registry(
        now=now, authority=authority, audit=audit, announce=announce, policy=policy, revocations=revocations
    )
    findings = Findings(now=now, audit=audit)
    issuers = Issuers(now=now, authority=authority, audit=audit, announce=announce, revocations=revocations)
    take_up_issuers(engine, issuers)
    makers = Makers(now=now, changes=changes, revocations=revocations)
    tickets = Tickets(now=now, changes=changes, revocations=revocations)
    roster = Roster(now=now, policy=policy)
    commands = Commands(now=now, changes=changes, policy=policy, firmware=makers)
    return Domain(
        config=config,
        now=now,
        keys=keys,
        engine=engine,
        authority=authority,
        audit=audit,
        checkpoints=Checkpoints(
            now=now,
            audit=audit,
            signing_key=keys.audit,
            root_fingerprint_sha256=authority.root_fingerprint_sha256,
            file=WitnessFile(config.checkpoints),
        ),
        revocations=revocations,
        restoration=Restoration(
            now=now,
            revocations=revocations,
            changes=changes,
            effects={
                RevocationKind.ISSUER: revoke_issuer_again,
                RevocationKind.OPERATOR: operators.revoke_again,
                **TAKEN_AGAIN,
            },
        ),
        registry=registry,
        issuers=issuers,
        makers=makers,
        tickets=tickets,
        factory=FactoryEnrollments(
            now=now,
            makers=makers,
            tickets=tickets,
            registry=registry,
            issuance=issuance,
            changes=changes,
            revocations=revocations,
        ),
        grace=GraceRenewals(now=now, policy=policy, issuance=issuance, changes=changes),
        commands=commands,
        rollouts=Rollouts(now=now, changes=changes, commands=commands, roster=roster),
        forecasts=Forecasts(now=now, policy=policy),
        findings=findings,
        fleet=Fleet(
            now=now,
            findings=findings,
            decisions={
                Mitigation.SUSPEND: registry.suspend,
                Mitigation.QUARANTINE: registry.quarantine,
                Mitigation.EVICT: registry.evict,
            },
            policy=load_risk_policy(config.fleet.risk_policy),
            activity=FleetActivity(),
            zone=ZoneInfo(config.settlement.time_zone),
        ),
        places=SitePlaces(audit=audit),
        operators=operators,
        roster=roster,
        imports=Imports(registry=registry),
        sites=Sites(audit=audit),
        people=People(
            now=now,
            index_key=keys.people_index,
            data_key=keys.people_data,
            template_keys=keys.templates,
            audit=audit,
            site_people_max=config.face.gallery_people_max,
        ),
        assertions=Assertions(
            now=now, signing_key=keys.assertion, key_id="assertion", lifetime=config.face.assertion_lifetime
        ),
        staff_assertions=StaffAssertions(
            now=now, signing_key=keys.assertion, key_id="assertion", lifetime=config.face.assertion_lifetime
        ),
        activations=ActivationAssertions(
            now=now,
            signing_key=keys.assertion,
            key_id="assertion",
            lifetime=config.face.assertion_lifetime,
            data_key=keys.people_data,
            template_keys=keys.templates,
        ),
        credentials=Credentials(now=now, data_key=keys.people_data, audit=audit),
        codes=DynamicCodes(
            now=now, signing_key=keys.assertion, key_id="assertion", lifetime=config.credential.code_lifetime
        ),
        family=FamilyAccounts(now=now, zone=ZoneInfo(config.settlement.time_zone), audit=audit),
        guardians=Guardians(now=now, audit=audit),
        practitioners=Practitioners(
            now=now,
            index_key=keys.people_index,
            data_key=keys.people_data,
            template_keys=keys.templates,
            audit=audit,
        ),
        ledger=ledger,
        insurer=AbsentInsurer()
        if config.insurer.kind is InsurerKind.FSI
        else LocalInsurer(
            rules=load_rules(config.settlement.local_rules),
            ledger=ledger,
            now=now,
            zone=ZoneInfo(config.settlement.time_zone),
        ),
        credit=credit,
        self_pays=SelfPays(
            Cash(),
            ElectronicAccount(ledger=ledger, needs_pin=config.self_pay.electronic_account_needs_pin),
            credit,
        ),
    )


def credit_lines(config: Config, *, ledger: Ledger, audit: AuditLog, now: Callable[[], datetime]) -> CreditLines:
    """Return who may owe how much, as configured."""
    settings = config.self_pay
    return CreditLines(
        ledger=ledger,
        audit=audit,
        now=now,
        zone=ZoneInfo(config.settlement.time_zone),
        policy=SelfPayPolicy(
            credit_needs_pin=settings.credit_needs_pin,
            credit_refused_when_overdue=settings.credit_refused_when_overdue,
            credit_for_prepayments=settings.credit_for_prepayments,
            credit_limit_fen_max=settings.credit_limit_fen_max,
        ),
    )


def registry_policy(config: Config) -> RegistryPolicy:
    """Return the registry's choices, as configured."""
    registry = config.registry
    return RegistryPolicy(
        token_lifetime=registry.token_lifetime,
        nonce_lifetime=registry.nonce_lifetime,
        nonces_open_max=registry.nonces_open_max,
        renewal_grace=registry.renewal_grace,
        certificates_per_day_max=_certificates_per_day_max(registry.certificate_lifetime),
        heartbeat_interval=registry.heartbeat_interval,
        overdue_after=registry.overdue_after,
        flapping_connects=registry.flapping_connects,
        flapping_window=registry.flapping_window,
        grace_class_i=registry.grace_class_i,
        grace_class_ii=registry.grace_class_ii,
        grace_class_iii=registry.grace_class_iii,
    )


def _certificates_per_day_max(lifetime: timedelta) -> int:
    """Return the bound for a terminal that renews in time, twice over: short-lived certificates need more of them."""
    renewals_a_day = timedelta(days=1) / (lifetime * RENEW_AFTER_FRACTION)
    return max(RegistryPolicy().certificates_per_day_max, ceil(2 * renewals_a_day))


def refuse_scattered_rooms() -> None:
    """Check that all packages lie side by side; see STYLE, "the import name `server`".

    Raises:
        RoomsScatteredError: they do not.
    """
    specs = {room: find_spec(room) for room in ROOMS}
    folders = {
        room: str(Path(spec.origin).parent.parent) if spec and spec.origin else "nowhere"
        for room, spec in specs.items()
    }
    if len(set(folders.values())) != 1:
        raise RoomsScatteredError(folders=folders)
