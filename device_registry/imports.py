"""How are many terminals registered at once? Each row is answered for itself, and a repeated import changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from device_registry import store
from device_registry.errors import FieldInvalidError, RegistryError, SerialNumberTakenError, TerminalRevokedError
from device_registry.model import Terminal, TerminalClass, TerminalState
from device_registry.registry import Registry

_COMPARED = ("site_id", "manufacturer", "model", "terminal_class", "certification_number", "record_number")


class ImportOutcome(StrEnum):
    """What became of one row."""

    REGISTERED = "REGISTERED"
    UNCHANGED = "UNCHANGED"
    """It was registered already, exactly so."""
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRow:
    """One terminal to be registered."""

    line: int
    """The number by which the caller knows it."""
    serial_number: str
    site_id: str
    manufacturer: str
    model: str
    terminal_class: TerminalClass | None
    """None when the caller gave none; the row is refused."""
    certification_number: str
    record_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """The answer to one row."""

    line: int
    outcome: ImportOutcome
    terminal_id: str = ""
    reason: str = ""
    field: str = ""
    detail: str = ""


class Imports:
    """Registers terminals row by row."""

    def __init__(self, *, registry: Registry) -> None:
        self._registry = registry

    def take(
        self, connection: Connection, rows: Sequence[ImportRow], *, actor: str, request_id: str = ""
    ) -> list[ImportResult]:
        """Register the rows that can be, and say of each what became of it; nothing a bad one does stops the others."""
        return [self._taken(connection, row, actor=actor, request_id=request_id) for row in rows]

    def _taken(self, connection: Connection, row: ImportRow, *, actor: str, request_id: str) -> ImportResult:
        try:
            former = store.find_in_service(connection, row.serial_number)
            if former is not None:
                return self._met(row, former)
            terminal_class = row.terminal_class
            if terminal_class is None:
                raise FieldInvalidError(field="terminal_class", detail="I, II or III")
            terminal = self._registry.register(
                connection,
                serial_number=row.serial_number,
                manufacturer=row.manufacturer,
                model=row.model,
                terminal_class=terminal_class,
                site_id=row.site_id,
                certification_number=row.certification_number,
                record_number=row.record_number,
                actor=actor,
                request_id=request_id,
            )
        except RegistryError as refusal:  # each check comes before the first write, so nothing is left behind
            return _refused(row, refusal)
        return ImportResult(line=row.line, outcome=ImportOutcome.REGISTERED, terminal_id=terminal.terminal_id)

    def _met(self, row: ImportRow, former: Terminal) -> ImportResult:
        """Answer for a serial number that is taken; a list from last year must not bring a revoked terminal back."""
        if former.state in {TerminalState.REVOKED, TerminalState.BANNED}:
            return _refused(row, TerminalRevokedError(terminal_id=former.terminal_id), field="serial_number")
        differing = [name for name in _COMPARED if getattr(row, name) != getattr(former, name)]
        if differing:
            taken = SerialNumberTakenError(serial_number=row.serial_number, terminal_id=former.terminal_id)
            return _refused(row, taken, field=differing[0])
        return ImportResult(line=row.line, outcome=ImportOutcome.UNCHANGED, terminal_id=former.terminal_id)


def _refused(row: ImportRow, refusal: RegistryError, *, field: str = "") -> ImportResult:
    return ImportResult(
        line=row.line,
        outcome=ImportOutcome.REFUSED,
        terminal_id=getattr(refusal, "terminal_id", ""),
        reason=refusal.reason,
        field=field or getattr(refusal, "field", "") or _FIELDS.get(refusal.reason, ""),
        detail=getattr(refusal, "detail", ""),
    )


_FIELDS = {"SITE_UNKNOWN": "site_id", "SERIAL_NUMBER_TAKEN": "serial_number", "TERMINAL_BANNED": "serial_number"}
