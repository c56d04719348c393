"""Does the database still say what it said? The log of revocations compared with its witness outside the database."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy import Connection

from device_registry.errors import RevocationsRolledBackError, WitnessBrokenError, WitnessError
from device_registry.revocation import revocation_entries as log
from device_registry.revocation.revoked import FIRST_HASH, Revocation, chained, follows
from device_registry.revocation.witness import Line, WitnessFile


class WitnessState(StrEnum):
    """How database and witness compare."""

    AGREES = "AGREES"
    BEHIND = "BEHIND"
    """The database has entries that the witness is about to get."""
    ROLLED_BACK = "ROLLED_BACK"
    """The database lacks entries of the witness, or has others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessReport:
    """What a comparison found."""

    state: WitnessState
    witness_entries: int
    database_entries: int
    agree_until: int
    """Number of the last entry both have alike."""

    def refuse_rolled_back(self) -> None:
        """Raise when the database is not the one the witness knows."""
        if self.state is WitnessState.ROLLED_BACK:
            raise RevocationsRolledBackError(
                witness_entries=self.witness_entries,
                database_entries=self.database_entries,
                agree_until=self.agree_until,
            )


class Testimony:
    """Keeps the witness up to date, and asks it."""

    def __init__(self, witness: WitnessFile) -> None:
        self.witness = witness
        self._seen: tuple[int, str] | None = None

    @property
    def entries_seen(self) -> int | None:
        """How many entries the witness had when this process last looked; None before that."""
        return self._seen[0] if self._seen else None

    def begin(self, connection: Connection) -> None:
        """Make the empty file of a platform that never revoked anything; a lost file is not made anew.

        Raises:
            RevocationsRolledBackError: this process knows better.
            WitnessUnwritableError: the disk refuses.
        """
        if not self.witness.exists() and log.head(connection)[0] == 0:
            self.refuse_fork(connection)  # it had entries when this process last looked
            self.witness.create()

    def refuse_fork(self, connection: Connection) -> None:
        """Refuse another entry in a database that lacks what the witness had at the last look.

        Asks no file: this is for the writer, where everybody would wait for a disk that does not answer.

        Raises:
            RevocationsRolledBackError: the entry would fork the log.
        """
        if self._seen is not None:
            self._compared(connection, *self._seen).refuse_rolled_back()

    def look(self, connection: Connection) -> WitnessReport:
        """Compare the ends of both, at once: enough to see a database that was set back while we run.

        Raises:
            RevocationsRolledBackError: there is nothing to compare with, and the database lacks what was there before.
            WitnessMissingError, WitnessBrokenError: there is nothing to compare with.
        """
        # The file first: it never has what was not committed before, so what the database shows later must have it.
        try:
            last = self.witness.last()
            seen = self._number(last), FIRST_HASH if last is None else str(last.get("entry_hash"))
        except WitnessError:
            self.refuse_fork(connection)  # a database that was set back is worse, and we remember what the file said
            raise
        self._seen = seen
        return self._compared(connection, *seen)

    def _compared(self, connection: Connection, seen: int, seen_hash: str) -> WitnessReport:
        number, _ = log.head(connection)
        if seen > number or (seen and log.hash_at(connection, seen) != seen_hash):
            return _report(WitnessState.ROLLED_BACK, seen, number, 0)
        return _report(WitnessState.AGREES if seen == number else WitnessState.BEHIND, seen, number, seen)

    def compare(self, connection: Connection) -> WitnessReport:
        """Walk both from the beginning; finds a changed entry anywhere.

        Raises:
            WitnessMissingError: the database has entries and there is no witness.
            WitnessBrokenError: the witness's own chain does not hold.
        """
        self.begin(connection)
        witnessed = [entry.entry_hash for entry in self.entries()]
        self._seen = len(witnessed), witnessed[-1] if witnessed else FIRST_HASH
        agreed, is_whole = 0, True
        for entry in chained(log.all_after(connection, 0)):
            is_whole = entry is not None
            if entry is not None and agreed < len(witnessed) and witnessed[agreed] == entry.entry_hash:
                agreed += 1
        count, _ = log.head(connection)
        if not is_whole or agreed < len(witnessed):
            return _report(WitnessState.ROLLED_BACK, len(witnessed), count, agreed)
        state = WitnessState.AGREES if agreed == count else WitnessState.BEHIND
        return _report(state, len(witnessed), count, agreed)

    def keep(self, connection: Connection) -> int:
        """Copy to the witness what it does not have yet, and return how many entries that were.

        Args:
            connection: for reading; its view of the database is renewed, so that it is never older than the file.

        Raises:
            RevocationsRolledBackError: the database is not the one the witness knows.
            WitnessError: the file is missing, broken, or cannot be written.
        """
        connection.rollback()
        self.begin(connection)
        connection.rollback()
        if self.look(connection).state is WitnessState.AGREES:
            return 0

        def following(last: Line | None) -> list[Line]:
            connection.rollback()
            self.look(connection).refuse_rolled_back()
            lines: list[Line] = [asdict(entry) for entry in log.all_after(connection, self._number(last))]
            connection.rollback()  # so that no view of the database is held while the disk is written
            return lines

        written = self.witness.append(following)
        self.look(connection)
        return written

    def entries(self) -> Iterator[Revocation]:
        """Yield the entries of the witness, checking its chain.

        Raises:
            WitnessMissingError, WitnessBrokenError: as they say.
        """
        previous = FIRST_HASH
        for number, line in enumerate(self.witness.lines(), start=1):
            entry = _entry_from(line)
            if entry is None or not follows(entry, number, previous):
                raise WitnessBrokenError(path=self.witness.path, detail=f"line {number} is not what was written")
            previous = entry.entry_hash
            yield entry

    def rebuild(self, connection: Connection, *, aside: str) -> int:
        """Write the witness anew from the database, whatever it said, and return how many entries it has now.

        For a file that was lost or damaged, when somebody is sure that the database was not set back.
        """
        lines = [asdict(entry) for entry in log.all_after(connection, 0)]
        connection.rollback()  # as above
        self.witness.replace(lines, aside=aside)
        self.look(connection)
        return len(lines)

    def _number(self, line: Line | None) -> int:
        if line is None:
            return 0
        number = line.get("entry_id")
        if not isinstance(number, int) or number < 1:
            raise WitnessBrokenError(path=self.witness.path, detail="the last line is no entry")
        return number


def _entry_from(line: Line) -> Revocation | None:
    try:
        return Revocation(**line)
    except TypeError:  # other fields than ours
        return None


def _report(state: WitnessState, witnessed: int, in_database: int, agreed: int) -> WitnessReport:
    return WitnessReport(state=state, witness_entries=witnessed, database_entries=in_database, agree_until=agreed)
