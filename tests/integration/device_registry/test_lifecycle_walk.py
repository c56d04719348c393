"""Hypothesis walks terminals through their lives and compares the registry with a few lines of plain Python."""

import functools
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from device_registry import DEFAULT_POLICY, Authority, CertificateStatus, Standings, TerminalState, admit, metadata
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.errors import IllegalTransitionError, RegistryError, TerminalBannedError, TooManyCertificatesError
from device_registry.lifecycle import TRANSITIONS
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import chained
from tests.support.authority import a_signing_request, an_authority
from tests.support.builders import OPERATOR, a_registry, a_site, a_terminal, enrolled
from tests.support.clock import Clock

S = TerminalState
DECISIONS = {
    "suspend": S.SUSPENDED,
    "resume": S.ACTIVE,
    "quarantine": S.QUARANTINED,
    "revoke": S.REVOKED,
    "evict": S.REGISTERED,
    "ban": S.BANNED,
    "unban": S.RETIRED,
    "retire": S.RETIRED,
}
ENDING = {S.REGISTERED, S.REVOKED, S.BANNED}


@functools.cache
def authority() -> Authority:
    """One authority for all walks: its keys are not what is tested."""
    return an_authority(Path(tempfile.mkdtemp()), Clock())


class LifecycleWalk(RuleBasedStateMachine):
    """A few terminals, their certificates, and what must be true of them after any steps."""

    terminals = Bundle("terminals")
    certificates = Bundle("certificates")

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(self.engine)
        self.connection = self.engine.connect()
        self.bench = a_registry(Path(), authority=authority())
        self.registry = self.bench.registry
        self.revocations = Revocations(now=self.bench.clock.now, announce=self.bench.announcements.announce)
        self.standings = Standings()
        self.state: dict[str, TerminalState] = {}
        self.good_until: dict[str, dict[str, timedelta]] = {}  # terminal -> open fingerprint -> time since start
        self.unused: dict[str, str | None] = {}  # terminal -> newest certificate, while it was never used

    @initialize()
    def begin(self) -> None:
        """Open the hospital."""
        self.site = a_site(self.connection, self.registry)
        self.start = self.bench.clock.now()

    def teardown(self) -> None:
        """Close the database."""
        self.connection.close()
        self.engine.dispose()

    @property
    def elapsed(self) -> timedelta:
        """Return how long the walk has lasted."""
        return self.bench.clock.now() - self.start

    @rule(target=terminals)
    def register(self) -> str:
        """Register one more terminal."""
        terminal = a_terminal(self.connection, self.registry, site=self.site, state=S.REGISTERED)
        self.state[terminal.terminal_id] = S.REGISTERED
        self.good_until[terminal.terminal_id] = {}
        self.unused[terminal.terminal_id] = None
        return terminal.terminal_id

    @rule(target=certificates, terminal_id=terminals)
    def enroll(self, terminal_id: str) -> tuple[str, str]:
        """Enroll, where the state allows it."""
        terminal = self.registry.terminal(self.connection, terminal_id)
        if self.state[terminal_id] not in {S.REGISTERED, S.ENROLLED}:
            with pytest.raises((IllegalTransitionError, TerminalBannedError)):
                enrolled(self.connection, self.registry, terminal)
            return multiple()  # type: ignore[return-value] # Hypothesis: nothing goes into the bundle
        try:
            fingerprint = enrolled(self.connection, self.registry, terminal)
        except TooManyCertificatesError:  # the day's share is used up
            return multiple()  # type: ignore[return-value] # as above
        self.state[terminal_id] = S.ENROLLED
        self.good_until[terminal_id] = {fingerprint: self.elapsed + timedelta(days=30)}
        self.unused[terminal_id] = fingerprint
        return terminal_id, fingerprint

    @rule(target=certificates, certificate=certificates)
    def renew(self, certificate: tuple[str, str]) -> tuple[str, str]:
        """Renew with any certificate ever issued."""
        terminal_id, fingerprint = certificate
        welcome = self.is_welcome(terminal_id, fingerprint)
        try:
            answer = self.registry.renew(
                self.connection,
                terminal_id=terminal_id,
                fingerprint=fingerprint,
                signing_request_der=a_signing_request(),
                request_id="",
            )
        except TooManyCertificatesError:
            return multiple()  # type: ignore[return-value] # as above
        except RegistryError:
            assert not welcome
            return multiple()  # type: ignore[return-value] # as above
        assert welcome
        successor = fingerprint_from_der(answer.certificate_chain_der[0])
        grace_end = self.elapsed + DEFAULT_POLICY.renewal_grace
        self.good_until[terminal_id] = {
            fingerprint: min(self.good_until[terminal_id][fingerprint], grace_end),
            successor: self.elapsed + timedelta(days=30),
        }
        self.unused[terminal_id] = successor
        return terminal_id, successor

    @rule(certificate=certificates)
    def call(self, certificate: tuple[str, str]) -> None:
        """Come to the door with any certificate ever issued."""
        terminal_id, fingerprint = certificate
        if not self.is_welcome(terminal_id, fingerprint):
            with pytest.raises(RegistryError):
                self.registry.first_use(self.connection, fingerprint=fingerprint, request_id="")
            return
        self.registry.first_use(self.connection, fingerprint=fingerprint, request_id="")
        if self.unused[terminal_id] == fingerprint:
            self.unused[terminal_id] = None
            self.good_until[terminal_id] = {fingerprint: self.good_until[terminal_id][fingerprint]}
            self.state[terminal_id] = S.ACTIVE

    @rule(terminal_id=terminals, decision=st.sampled_from(sorted(DECISIONS)))
    def decide(self, terminal_id: str, decision: str) -> None:
        """Take an operator's decision, legal or not."""
        origin, target = self.state[terminal_id], DECISIONS[decision]
        legal = target in TRANSITIONS[origin] and (origin, target) != (S.ENROLLED, S.ACTIVE)
        if target is S.RETIRED:
            legal = legal and (origin is S.BANNED) == (decision == "unban")
        act = getattr(self.registry, decision)
        if not legal:
            with pytest.raises(IllegalTransitionError):
                act(self.connection, terminal_id=terminal_id, reason="a walk", actor=OPERATOR)
            return
        act(self.connection, terminal_id=terminal_id, reason="a walk", actor=OPERATOR)
        self.state[terminal_id] = target
        if target in ENDING:
            self.unused[terminal_id] = None
            self.good_until[terminal_id] = {}

    @rule(days=st.integers(1, 12))
    def wait(self, days: int) -> None:
        """Let days go by."""
        self.bench.clock.advance(timedelta(days=days))

    def is_welcome(self, terminal_id: str, fingerprint: str) -> bool:
        """Return what the plain model says of a certificate."""
        end = self.good_until[terminal_id].get(fingerprint)
        if end is None or self.elapsed >= end:
            return False
        state = self.state[terminal_id]
        return state is S.ACTIVE or (state is S.ENROLLED and self.unused[terminal_id] == fingerprint)

    @invariant()
    def the_registry_agrees(self) -> None:
        """Compare states, certificates and memory with the model."""
        for topic, terminal_id in self.bench.announcements.heard:
            if topic == "terminal":
                self.standings.refresh(self.connection, terminal_id)
        self.bench.announcements.heard.clear()
        for terminal_id, state in self.state.items():
            assert self.registry.terminal(self.connection, terminal_id).state is state
            records = self.registry.certificates(self.connection, terminal_id)
            assert sum(it.status is CertificateStatus.CURRENT for it in records) <= 1
            for record in records:
                welcome = self.is_welcome(terminal_id, record.fingerprint)
                assert self.lets_in(record.fingerprint) is welcome, (state, record.status)

    def lets_in(self, fingerprint: str) -> bool:
        """Return what the registry says of a certificate."""
        remembered = self.standings.of(fingerprint)
        standing = self.standings.find(self.connection, fingerprint)
        assert standing is not None
        assert remembered is None or remembered == standing  # memory followed every announcement
        try:
            admit(standing, self.bench.clock.now())
        except RegistryError:
            return False
        return True

    @invariant()
    def the_log_of_revocations_is_whole(self) -> None:
        """Walk it; every closed certificate of an evicted, revoked or banned terminal has its entry."""
        entries = list(chained(self.revocations.entries(self.connection)))
        assert None not in entries
        noted = {entry.fingerprint for entry in entries if entry is not None}
        for terminal_id in self.state:
            for record in self.registry.certificates(self.connection, terminal_id):
                assert (record.status is CertificateStatus.REVOKED) is (record.fingerprint in noted)

    @invariant()
    def a_banned_device_is_refused(self) -> None:
        """Ask for each."""
        for terminal_id, state in self.state.items():
            serial_number = self.registry.terminal(self.connection, terminal_id).serial_number
            if state is S.BANNED:
                with pytest.raises(TerminalBannedError):
                    self.revocations.refuse_banned(self.connection, serial_number=serial_number)
            else:
                self.revocations.refuse_banned(self.connection, serial_number=serial_number)

    @invariant()
    def the_audit_chain_is_whole(self) -> None:
        """Walk the chain."""
        assert self.bench.audit.verify(self.connection).broken_at is None


LifecycleWalk.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLifecycleWalk = LifecycleWalk.TestCase
