"""What the tests of witness and restoration ask and decide."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine

from device_registry import Terminal
from device_registry.changes import Changes
from device_registry.revocation.restoration import Restoration, Restored, revoke_issuer_again
from device_registry.revocation.revoked import RevocationKind
from server.store import open_reader
from tests.support.builders import OPERATOR, RegistryBench

T = TypeVar("T")


def asked(engine: Engine, question: Callable[[Connection], T]) -> T:
    """Ask on a connection that can only read, as the platform does."""
    reader = open_reader(engine)
    try:
        with reader.connect() as connection:
            return question(connection)
    finally:
        reader.dispose()


def decide(engine: Engine, bench: RegistryBench, decision: str, terminal: Terminal) -> None:
    """Have an operator decide about a terminal."""
    with engine.begin() as connection:
        getattr(bench.registry, decision)(connection, terminal_id=terminal.terminal_id, reason="stolen", actor=OPERATOR)


def kinds(path: Path) -> list[str]:
    """Return what the witness has, line by line."""
    return [json.loads(line)["kind"] for line in path.read_text().splitlines()]


def restoration(bench: RegistryBench) -> Restoration:
    """Return what puts a restored database right."""
    changes = Changes(audit=bench.audit, announce=bench.announcements.announce)
    return Restoration(
        now=bench.clock.now,
        revocations=bench.revocations,
        changes=changes,
        effects={RevocationKind.ISSUER: revoke_issuer_again},
    )


def reapply(bench: RegistryBench, connection: Connection, *, reason: str) -> Restored:
    """Apply again what the witness has."""
    mending = restoration(bench)
    return mending.reapply(connection, mending.witnessed(), reason=reason, actor=OPERATOR)
