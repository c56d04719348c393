"""How is the room of credentials put together? Desks, register and proofs, each with what it needs, by keyword."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import httpx

from face_pipeline import FacePipeline
from monitoring.metrics import Metrics
from server.credentials.assertion import AssertionClaims
from server.credentials.desk import CodeLimits, CredentialDesk
from server.credentials.holder import HolderProofs
from server.credentials.pin import Pins
from server.credentials.register import Register
from server.credentials.register.http import HttpRegister
from server.credentials.register.local import LocalRegister
from server.credentials.relatives import FamilyDesk
from server.faces.rules import Limits, RuleBook
from server.faces.rules_file import load_rule_book
from server.secret_files import read_secret
from server.services.credential import CredentialService
from server.settings.credential import RegisterKind, RegisterSettings
from server.store import UnitOfWork
from server.wiring import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterRoom:
    """The register, and how it is left."""

    register: Register
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRoom:
    """The credential service, and what it has to do from time to time."""

    service: CredentialService
    forget_expired: Callable[[], Awaitable[None]]


def register_room(
    domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics, *, pipeline: FacePipeline, workers: Executor
) -> RegisterRoom:
    """Return the register that is configured.

    Raises:
        KeyFileError: the file with its token is not in order.
    """
    settings = domain.config.register
    if settings.kind is RegisterKind.LOCAL:
        ours = LocalRegister(unit_of_work=unit_of_work, people=domain.people, guardians=domain.guardians)
        return RegisterRoom(register=ours, close=_nothing)

    def asked(result: str, seconds: float) -> None:
        metrics.register_questions.labels(result).inc()
        metrics.register_seconds.labels(result).observe(seconds)

    register = HttpRegister(
        client=_client(settings),
        enroll=pipeline.enroll,
        executor=workers,
        at_once_max=settings.at_once_max,
        within=settings.timeout,
        answer_after=settings.answer_after,
        on_asked=asked,
    )
    return RegisterRoom(register=register, close=register.close)


def credential_room(
    domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics, *, pins: Pins, register: Register
) -> CredentialRoom:
    """Put the credential service together."""
    config = domain.config
    holders = HolderProofs(unit_of_work=unit_of_work, people=domain.people, assertions=domain.assertions, pins=pins)
    desk = CredentialDesk(
        unit_of_work=unit_of_work,
        now=domain.now,
        people=domain.people,
        credentials=domain.credentials,
        activations=domain.activations,
        codes=domain.codes,
        family=domain.family,
        holders=holders,
        pins=pins,
        code_limits=CodeLimits(
            amount_limit_fen=config.settlement.amount_limit_fen,
            pin_free_limit_fen=config.credential.code_pin_free_limit_fen,
        ),
        anywhere=partial(limits_anywhere, load_rule_book(config.face.rules)),
    )
    family = FamilyDesk(
        unit_of_work=unit_of_work,
        now=domain.now,
        people=domain.people,
        credentials=domain.credentials,
        family=domain.family,
        holders=holders,
        register=register,
    )
    return CredentialRoom(
        service=CredentialService(desk=desk, family=family, metrics=metrics), forget_expired=desk.forget_expired
    )


def limits_anywhere(book: RuleBook, claims: AssertionClaims) -> CodeLimits:
    """Return what a face is good for whatever it pays for: else a code would get it round the rules of one business."""
    limits = book.anywhere(
        Limits(
            amount_limit_fen=claims.amount_limit_fen,
            pin_free_limit_fen=claims.pin_free_limit_fen,
            staff_may_confirm=claims.staff_may_confirm,
        ),
        business_type=claims.business_type,
    )
    return CodeLimits(amount_limit_fen=limits.amount_limit_fen, pin_free_limit_fen=limits.pin_free_limit_fen)


def _client(settings: RegisterSettings) -> httpx.AsyncClient:
    """Return the connections to a register elsewhere; proxies of the environment are not for this."""
    headers = {}
    if settings.token_file is not None:
        headers["authorization"] = f"Bearer {read_secret(settings.token_file).decode().strip()}"
    return httpx.AsyncClient(
        base_url=settings.url,
        headers=headers,
        verify=True if settings.ca_file is None else httpx.create_ssl_context(verify=str(settings.ca_file)),
        timeout=settings.timeout.total_seconds(),
        limits=httpx.Limits(max_connections=settings.at_once_max),
        follow_redirects=False,
        trust_env=False,
    )


async def _nothing() -> None:
    """Leave a register that is our own."""
