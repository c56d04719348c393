"""Who holds a checkpoint finds what was changed or cut off in the audit log, with the platform or without it."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, delete, update

from device_registry.audit.checkpoints import Checkpoints, checkpoint_from_token
from device_registry.audit.log import AuditEntry, AuditFilter, AuditLog, verify_entries
from device_registry.errors import AuditRolledBackError, CheckpointInvalidError, WitnessBrokenError
from device_registry.revocation.witness import WitnessFile
from device_registry.tables import audit_checkpoints, audit_log
from tests.support.backup import a_backup
from tests.support.clock import Clock

HOUR = timedelta(hours=1)


class Desk:
    """An audit log with checkpoints, on a real database and a real file."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine, self.clock = engine, Clock()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.audit = AuditLog(now=self.clock.now)
        self.checkpoints = Checkpoints(
            now=self.clock.now,
            audit=self.audit,
            signing_key=self.key,
            root_fingerprint_sha256="ab" * 32,
            file=WitnessFile(path),
        )

    def write(self, count: int = 1) -> None:
        """Write entries."""
        with self.engine.begin() as connection:
            for _ in range(count):
                self.audit.append(connection, actor="operator:lin", action="site.added", subject="site-1")

    def sign(self, *, anew: bool = False) -> str:
        """Make a checkpoint, keep it, and return it."""
        with self.engine.begin() as connection:
            made = self.checkpoints.make(connection, anew=anew)
        with self.engine.begin() as connection:
            self.checkpoints.keep(connection)
        return made.token

    def exported(self) -> list[AuditEntry]:
        """Return the whole log."""
        with self.engine.begin() as connection:
            return list(self.audit.entries(connection, AuditFilter()))


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path / "elsewhere" / "checkpoints.jsonl")


def test_a_whole_log_agrees_with_its_checkpoint_and_may_have_grown(desk: Desk) -> None:
    desk.write(3)
    desk.sign()
    desk.write(2)

    with desk.engine.begin() as connection:
        report, known = desk.checkpoints.verify(connection)

    assert (report.broken_at, report.entries) == (None, 5)
    assert known is not None
    assert known.entries == 3


def test_entries_cut_off_at_the_end_are_found_though_the_rest_is_whole(desk: Desk) -> None:
    desk.write(3)
    desk.sign()
    with desk.engine.begin() as connection:
        connection.execute(delete(audit_log).where(audit_log.c.entry_id == 3))

        report, _ = desk.checkpoints.verify(connection)

    assert (report.broken_at, report.detail) == (3, "the log ends here and had 3 entries")


def test_a_restored_database_with_its_own_older_checkpoints_is_found_by_the_file(desk: Desk) -> None:
    desk.write(3)
    desk.sign()
    restore = a_backup(desk.engine)
    desk.clock.advance(HOUR)
    desk.write(3)
    desk.sign()
    restore()
    desk.clock.advance(HOUR)
    desk.write(5)  # and life goes on

    with desk.engine.begin() as connection:
        report, _ = desk.checkpoints.verify(connection)

    assert report.broken_at == 6


def test_a_log_that_contradicts_its_checkpoint_is_not_signed_unless_somebody_says_so(desk: Desk) -> None:
    desk.write(3)
    restore = a_backup(desk.engine)
    desk.write(3)
    desk.sign()
    restore()
    desk.clock.advance(HOUR)
    desk.write(1)

    with pytest.raises(AuditRolledBackError):
        desk.sign()
    desk.sign(anew=True)

    with desk.engine.begin() as connection:
        assert desk.checkpoints.verify(connection)[0].broken_at is None


def test_an_entry_edited_since_the_last_checkpoint_is_never_signed(desk: Desk) -> None:
    desk.write(2)
    desk.sign()
    desk.write(2)
    with desk.engine.begin() as connection:
        connection.execute(update(audit_log).where(audit_log.c.entry_id == 4).values(actor="operator:nobody"))

    with pytest.raises(AuditRolledBackError):
        desk.sign()
    with pytest.raises(AuditRolledBackError):
        desk.sign(anew=True)


def test_the_one_writer_walks_only_what_came_after_the_walk_beside_it(desk: Desk) -> None:
    desk.write(4)
    desk.sign()
    with desk.engine.begin() as connection:
        connection.execute(delete(audit_log).where(audit_log.c.entry_id == 4))
        walked = desk.checkpoints.walk(connection, anew=True)
        # As a sign that nothing before is read again; the next `verify` finds it.
        connection.execute(update(audit_log).where(audit_log.c.entry_id == 2).values(actor="operator:nobody"))

        made = desk.checkpoints.make(connection, walked=walked, anew=True)

        assert (walked.report.entries, made.entries) == (3, 3)
        assert desk.checkpoints.verify(connection)[0].broken_at == 2


def test_the_one_writer_does_not_ask_the_file(desk: Desk, tmp_path: Path) -> None:
    desk.write(2)
    desk.sign()
    desk.write(2)
    (file,) = tmp_path.rglob("*.jsonl")
    with desk.engine.begin() as connection:
        walked = desk.checkpoints.walk(connection)
        file.write_text("a disk that answers nonsense\n")

        made = desk.checkpoints.make(connection, walked=walked)

        assert (made.checkpoint_id, made.entries) == (2, 4)
        with pytest.raises(WitnessBrokenError):
            desk.checkpoints.newest(connection)


def test_an_auditor_checks_an_exported_log_without_the_platform(desk: Desk) -> None:
    desk.write(4)
    known = checkpoint_from_token(desk.sign(), desk.checkpoints.public_key_pem)
    exported = desk.exported()
    edited = [AuditEntry(**{**asdict(it), "reason": "made up"}) if it.entry_id == 2 else it for it in exported]

    assert verify_entries(exported, known=known.report).broken_at is None
    assert verify_entries(edited, known=known.report).broken_at == 2
    assert verify_entries(exported[:3], known=known.report).broken_at == 4


def test_a_checkpoint_of_somebody_else_is_none(desk: Desk) -> None:
    desk.write()
    token = desk.sign()
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = stranger.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(CheckpointInvalidError):
        checkpoint_from_token(token, pem)
    with pytest.raises(CheckpointInvalidError):
        checkpoint_from_token(token[:-4] + "AAAA", desk.checkpoints.public_key_pem)
    with pytest.raises(CheckpointInvalidError):
        checkpoint_from_token("no checkpoint", desk.checkpoints.public_key_pem)


def test_a_checkpoint_stored_with_other_numbers_than_signed_is_found(desk: Desk) -> None:
    desk.write(2)
    desk.sign()
    desk.clock.advance(HOUR)
    desk.write(2)
    with desk.engine.begin() as connection:
        desk.checkpoints.make(connection)
        connection.execute(update(audit_checkpoints).where(audit_checkpoints.c.checkpoint_id == 2).values(entries=1))

        with pytest.raises(CheckpointInvalidError):
            desk.checkpoints.verify(connection)


def test_a_checkpoint_is_due_after_an_hour_in_which_something_was_written(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        assert not desk.checkpoints.is_due(connection, every=HOUR)
    desk.write()
    with desk.engine.begin() as connection:
        assert desk.checkpoints.is_due(connection, every=HOUR)
    desk.sign()
    desk.write()
    with desk.engine.begin() as connection:
        assert not desk.checkpoints.is_due(connection, every=HOUR)
        desk.clock.advance(HOUR)
        assert desk.checkpoints.is_due(connection, every=HOUR)
    desk.sign()
    desk.clock.advance(HOUR)
    with desk.engine.begin() as connection:
        assert not desk.checkpoints.is_due(connection, every=HOUR)


def test_a_checkpoint_is_due_also_when_the_clock_was_far_ahead_once(desk: Desk) -> None:
    desk.write()
    desk.clock.advance(1000 * HOUR)
    desk.sign()
    desk.write()
    desk.clock.advance(-1000 * HOUR)

    with desk.engine.begin() as connection:
        assert desk.checkpoints.is_due(connection, every=HOUR)
    token = desk.sign()

    with desk.engine.begin() as connection:
        newest = desk.checkpoints.newest(connection)
        assert newest is not None
        assert (newest.checkpoint_id, newest.token) == (2, token)
        assert not desk.checkpoints.is_due(connection, every=HOUR)


def test_the_log_is_searched_by_actor_action_subject_and_time(desk: Desk) -> None:
    desk.write(2)
    desk.clock.advance(HOUR)
    with desk.engine.begin() as connection:
        desk.audit.append(connection, actor="operator:wu", action="terminal.revoked", subject="t-1", reason="stolen")

        def found(where: AuditFilter) -> list[int]:
            return [entry.entry_id for entry in desk.audit.entries(connection, where)]

        assert found(AuditFilter(actor="operator:wu")) == [3]
        assert found(AuditFilter(action="site.added")) == [1, 2]
        assert found(AuditFilter(subject="t-1")) == [3]
        assert found(AuditFilter(since=desk.clock.now())) == [3]
        assert found(AuditFilter(until=desk.clock.now())) == [1, 2]
        assert found(AuditFilter(newest_first=True, limit=2)) == [3, 2]
        assert found(AuditFilter(newest_first=True, before=2)) == [1]
