"""A platform as it is deployed: a process of its own, driven from other processes; and terminals as processes."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from sqlalchemy import Connection, make_url

from device_registry import Authority, CertificateLifetimes
from face_pipeline import portrait
from server.config import Config, load_config
from server.credentials.people import InsuredPerson
from server.demo import platform as demo
from server.demo.stage import Stage
from server.issuing import issuing_keys
from server.keyring import make_keys
from server.listeners import Ready
from server.programs import Answer, Program, environment, program
from server.settlement.ledger import Account, AccountKind
from server.wiring import Domain, build_domain
from tests.support.database import migrated_at
from tests.support.models import installed_models_dir
from tests.support.platform import ACTOR, EnrolledTerminal, a_registered_terminal, an_enrolled_terminal
from tests.support.visitors import LIN, PIN, TRIES_MAX, Visitor, made_up_id_number

T = TypeVar("T")

SECONDS_MAX = 60.0
"""Bounds a wait that would else have no end; a terminal that was sent away may stay away for half of it."""
REGION = "330100"
FUND_FEN = 1_000_000_000
ACCOUNT_FEN = 10_000_000


@dataclass
class _Stage(Stage):
    """The demo's stage with settings of the test's own."""

    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process."""
        return {**super().env, **self.settings}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A program that ran to its end."""

    code: int
    events: Sequence[Answer]
    words: str
    """What it wrote to standard error."""

    def event(self, name: str) -> Answer:
        """Return the last event with this name; that there is none is a failed test."""
        found = [event for event in self.events if event["event"] == name]
        assert found, f"no {name} in {[event['event'] for event in self.events]}; {self.words[-400:]}"
        return found[-1]


class Deployment:
    """One platform on one data folder; the process may be killed and started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Make a place for it; settings are variables without their prefix, such as `face_workers="1"`."""
        variables = {f"SHUALIAN_{name.upper()}": value for name, value in settings.items()}
        self.stage = _Stage(folder=folder, models_dir=installed_models_dir(), settings=variables)
        self._domain: Domain | None = None
        self._numbers = count(1)

    @property
    def folder(self) -> Path:
        """Everything of this deployment: `platform/` is the data folder, `platform.log` what the server wrote."""
        return self.stage.folder

    @property
    def data_dir(self) -> Path:
        """The platform's own folder."""
        return self.folder / "platform"

    @property
    def config(self) -> Config:
        """What every process of it reads."""
        return load_config(None, self.stage.env)

    @property
    def domain(self) -> Domain:
        """The books, opened by this process beside the server."""
        if self._domain is None:
            self._domain = build_domain(self.config)
        return self._domain

    @property
    def ready(self) -> Ready:
        """Where the server listens now."""
        return Ready(**self.stage.known["ready"])

    @property
    def server(self) -> Program:
        """The process that serves."""
        return self.stage.running["platform"]

    @cached_property
    def root_pem(self) -> bytes:
        """The root certificate a terminal trusts."""
        return (self.config.authority_dir / "root.pem").read_bytes()

    @property
    def log(self) -> str:
        """What the server wrote to standard error, over all its lives."""
        return (self.folder / "platform.log").read_text(encoding="utf-8")

    def number(self) -> int:
        """Return a number that no other test on this deployment has."""
        return next(self._numbers)

    def prepare(self) -> None:
        """Make the keys, the authority and the database, as `shualian ca init` does."""
        make_keys(self.config)
        migrated_at(Path(make_url(self.config.database_url).database or ""))
        Authority.create(
            self.config.authority_dir,
            passphrase=self.config.ca_passphrase.read_bytes(),
            now=lambda: datetime.now(UTC),
            lifetimes=CertificateLifetimes(),
            keys=issuing_keys(self.config),
        )

    def start(self) -> None:
        """Start the server and wait until it is ready; the second start is on the same data."""
        (self.folder / "ready.json").unlink(missing_ok=True)
        demo.serving(self.stage)

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        os.kill(self.server.pid, number)

    def kill(self) -> None:
        """End the server as a power cut does."""
        self.signal(signal.SIGKILL)
        self.server.wait(within=SECONDS_MAX)

    def close(self) -> None:
        """Stop what is left."""
        self.stage.close()
        if self._domain is not None:
            self._domain.engine.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Change something in the database from this process, which is not the server's."""
        with self.domain.engine.begin() as connection:
            return work(connection)

    def query(self, statement: str, **values: object) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with self.domain.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement, values)]

    def shualian(self, *arguments: str, typed: str = "") -> Answer:
        """Ask the command line, as a process."""
        return self.stage.platform(*arguments, typed=typed)

    def serve_in_vain(self) -> Finished:
        """Run `shualian serve` where it must refuse to start."""
        return run([program("shualian"), "serve"], env=self.stage.env)

    def http(self, path: str) -> tuple[int, str]:
        """Return status and text of a page."""
        try:
            with urlopen(f"http://{self.ready.http}{path}", timeout=SECONDS_MAX) as answer:  # our own port
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def counted(self, name: str, **labels: str) -> float:
        """Return the value of a metric as /metrics shows it; 0 when it was never counted."""
        shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        wanted = f"shualian_{name}{{{shown}}} " if labels else f"shualian_{name} "
        lines = self.http("/metrics")[1].splitlines()
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))

    def books_are_sound(self) -> bool:
        """Ask ledger and audit trail, each in a process of its own (I6)."""
        return bool(self.shualian("ledger", "verify")["ok"]) and bool(self.shualian("audit", "verify")["ok"])


async def eventually(is_so: Callable[[], bool | Awaitable[bool]], *, within: float = SECONDS_MAX) -> None:
    """Wait until something is so that only asking can tell; that it never is, is a failed test."""
    async with asyncio.timeout(within):
        while True:
            answer = is_so()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


PATIENT = {
    "store_lag_max": "10s",
    "face_session_lifetime": "60s",
    "face_seal_within": "20s",
    "face_frame_age_max": "5s",
}
"""What a machine that is busy with other things may take longer for, where no test is about it."""


@contextmanager
def a_deployment(folder: Path, **settings: str) -> Iterator[Deployment]:
    """Run a platform as a process, with a funded region; it is stopped even when the test fails."""
    deployment = Deployment(folder, **{**PATIENT, **settings})
    try:
        deployment.prepare()
        fund = Account(kind=AccountKind.POOLED_FUND, owner=REGION)
        with deployment.domain.engine.begin() as connection:
            deployment.domain.ledger.fund(connection, fund, amount_fen=FUND_FEN, reference="test")
        deployment.start()
        yield deployment
    finally:
        deployment.close()


def run(command: Sequence[str], *, env: Mapping[str, str], typed: str = "") -> Finished:
    """Run a program to its end; its events are the JSON lines it wrote."""
    done = subprocess.run(
        command, env=dict(env), input=typed, capture_output=True, text=True, timeout=2 * SECONDS_MAX, check=False
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"event"')]
    return Finished(code=done.returncode, events=events, words=done.stderr)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A mock terminal: a folder, and verbs that run as processes."""

    deployment: Deployment
    serial_number: str
    state: Path

    def verb(self, *arguments: str, address: str | None = None, typed: str = "", token: str = "") -> Finished:
        """Run one verb to its end; `address` is the platform's unless there is a proxy before it."""
        return run(self._command(arguments, address), env=self._env(token), typed=typed)

    def start(self, *arguments: str, address: str | None = None) -> Program:
        """Start a verb that keeps running; the deployment stops it in the end."""
        role = f"{self.serial_number}-{arguments[0]}"
        log = self.deployment.folder / f"{role}.log"
        started = Program(self._command(arguments, address), env=self._env(), log=log)
        self.deployment.stage.running[role] = started
        return started

    def enroll(self, token: str, *, root_fingerprint: str) -> Finished:
        """Trade a token for a certificate."""
        return self.verb(
            "enroll", "--serial", self.serial_number, "--root-fingerprint", root_fingerprint,
            "--platform-enroll", self.deployment.ready.enrollment, token=token,
        )  # fmt: skip

    def _command(self, arguments: Sequence[str], address: str | None) -> list[str]:
        where = [] if arguments[0] == "enroll" else ["--platform", address or self.deployment.ready.terminal]
        return [program("shualian-terminal"), *arguments, *where, "--state", str(self.state), "--json"]

    def _env(self, token: str = "") -> dict[str, str]:
        return environment({"SHUALIAN_TERMINAL_TOKEN": token} if token else {})


def a_box(deployment: Deployment) -> Box:
    """Return a terminal that nobody knows yet."""
    serial_number = f"BOX-{deployment.number()}"
    return Box(deployment=deployment, serial_number=serial_number, state=deployment.folder / f"box-{serial_number}")


async def a_terminal(deployment: Deployment) -> EnrolledTerminal:
    """Return an enrolled terminal whose messages the test itself writes."""
    return await an_enrolled_terminal(deployment, serial_number=f"RAW-{deployment.number()}")


async def a_registered_box(deployment: Deployment) -> tuple[Box, str]:
    """Register a terminal; return it with its token."""
    box, registry = a_box(deployment), deployment.domain.registry
    terminal = await a_registered_terminal(deployment, serial_number=box.serial_number)
    token = await deployment.write(
        lambda connection: registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=ACTOR)
    )
    return box, token.token


async def an_enrolled_box(deployment: Deployment) -> Box:
    """Register a terminal and let its program enroll."""
    box, token = await a_registered_box(deployment)
    fingerprint = deployment.domain.authority.root_fingerprint_sha256
    done = await asyncio.to_thread(box.enroll, token, root_fingerprint=fingerprint)
    assert done.code == 0, done.events
    return box


@dataclass(frozen=True, kw_only=True)
class Cardholder:
    """Somebody with a card, a PIN and money, and no face."""

    person: InsuredPerson
    card_number: str
    pin: str = PIN

    @property
    def account(self) -> Account:
        """Where their money is."""
        return Account(AccountKind.PERSON, self.person.person_id)


async def a_cardholder(deployment: Deployment) -> Cardholder:
    """Make somebody new with a card an insured person."""
    number = deployment.number()
    domain, card_number = deployment.domain, f"TEST{number:08d}"

    def work(connection: Connection) -> InsuredPerson:
        person = domain.people.add(
            connection,
            name="何冬",  # made up, as all are
            id_number=made_up_id_number(number),
            region=REGION,
            card_number=card_number,
            pin=PIN,
            template=None,
            actor=ACTOR,
        )
        open_account(domain, connection, person)
        return person

    return Cardholder(person=await deployment.write(work), card_number=card_number)


def open_account(domain: Domain, connection: Connection, person: InsuredPerson) -> None:
    """Give somebody an account with money in it."""
    account = Account(AccountKind.PERSON, person.person_id)
    domain.ledger.open_accounts(connection, [account])
    domain.ledger.fund(connection, account, amount_fen=ACCOUNT_FEN, reference=f"opening:{person.person_id}")


def balance_fen(deployment: Deployment, account: Account) -> int:
    """Return what an account holds."""
    with deployment.domain.engine.begin() as connection:
        return deployment.domain.ledger.balance(connection, account)


def add_visitor(deployment: Deployment, visitor: Visitor, *, card_number: str) -> str:
    """Make a visitor an insured person through the command line, from the portrait; return the person's id."""
    answer = deployment.shualian(
        "person", "add", "--name", visitor.name, "--id-number", visitor.id_number, "--region", REGION,
        "--card-number", card_number, "--pin-file", "-", "--balance-fen", str(ACCOUNT_FEN),
        "--portrait", str(portrait(installed_models_dir(), visitor.picture)), typed=f"{PIN}\n",
    )  # fmt: skip
    return str(answer["person_id"])


def at_the_window(deployment: Deployment, *, claims: Visitor = LIN, shows: Visitor = LIN) -> tuple[list[str], str]:
    """Return the options that put somebody before a terminal's camera, and what is typed: who they say to be."""
    picture = portrait(installed_models_dir(), shows.picture)
    landmarks = deployment.folder / f"{shows.picture}.json"
    if not landmarks.exists():
        found = deployment.shualian("face", "landmarks", str(picture))
        landmarks.write_text(json.dumps(found), encoding="utf-8")
    options = ["--portrait", str(picture), "--landmarks", str(landmarks), "--claim", "-"]
    return options, json.dumps({"id_number": claims.id_number, "name": claims.name})


async def at_the_terminal(box: Box, verb: str, *arguments: str, claim: bool = True) -> Finished:
    """Run a verb with LIN before the cameras, again when the challenge was not understood."""
    options, typed = await asyncio.to_thread(at_the_window, box.deployment)
    options = options if claim else options[:-2]
    for _ in range(TRIES_MAX):
        done = await asyncio.to_thread(box.verb, verb, *arguments, *options, typed=typed)
        outcomes = {event.get("outcome") for event in done.events}
        if outcomes.isdisjoint({"INSUFFICIENT", "SPOOF_SUSPECTED"}):
            break
    return done
