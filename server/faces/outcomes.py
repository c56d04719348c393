"""How do a terminal's face sessions end, hour by hour, and what did its camera promise? Counted for the fleet checks.

Two small rows for each terminal, written in the transaction of the decision: the fleet checks read sums, and never walk
the audit for them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, case, delete, insert, literal, update

from face_pipeline import Outcome, Reason, Verdict
from server.store.tables.outcomes import DEPTH_BIT, INFRARED_BIT, face_cameras, face_hours
from shualian.terminal.v1 import face_pb2

HOURS_KEPT: Final = timedelta(days=8)
"""A week and the day that is under way: no fleet check looks farther back."""
_BITS: Final = {face_pb2.MODALITY_NIR: INFRARED_BIT, face_pb2.MODALITY_DEPTH: DEPTH_BIT}
_ALL_BITS: Final = INFRARED_BIT | DEPTH_BIT
_BROKEN: Final = frozenset({Reason.SEAL_BROKEN.value})


def note_outcome(
    connection: Connection,
    *,
    terminal_id: str,
    verdict: Verdict,
    camera: face_pb2.CameraAbilities,
    is_them: bool,
    at: datetime,
) -> None:
    """Count one decision for its terminal; whose face was not found to be anybody's needs another way to pay."""
    is_attack = verdict.outcome is Outcome.SPOOF_SUSPECTED
    is_broken = is_attack and not _BROKEN.isdisjoint(verdict.liveness.reasons)
    hour = {"terminal_id": terminal_id, "hour": at.replace(minute=0, second=0, microsecond=0)}
    counts = {"sessions": 1, "attacks": int(is_attack), "seals_broken": int(is_broken), "failed": int(not is_them)}
    moments = {"last_attack_at": at} if is_attack else {}
    moments |= {"last_seal_broken_at": at} if is_broken else {}
    added: dict[str, object] = {name: face_hours.c[name] + count for name, count in counts.items()}
    if _add(connection, face_hours, hour, {**added, **moments}, {**counts, **moments}):
        old = (face_hours.c.terminal_id == terminal_id, face_hours.c.hour < at - HOURS_KEPT)
        connection.execute(delete(face_hours).where(*old))  # once in a terminal's hour, so that the table stays small
    _note_camera(connection, terminal_id, sum(_BITS[modality] for modality in camera.beside_colour))


def note_refusal(connection: Connection, *, terminal_id: str, at: datetime) -> None:
    """Count somebody who did not agree to be looked at: they need another way to pay."""
    hour = {"terminal_id": terminal_id, "hour": at.replace(minute=0, second=0, microsecond=0)}
    first = {"sessions": 0, "attacks": 0, "seals_broken": 0, "refused": 1}
    _add(connection, face_hours, hour, {"refused": face_hours.c.refused + 1}, first)


def _note_camera(connection: Connection, terminal_id: str, promised: int) -> None:
    """Count what was promised, and how long something that was promised before has been missing."""
    known = face_cameras.c.modalities
    ever = known.op("|")(promised)
    lacks = known.op("&")(literal(_ALL_BITS - promised)) != 0
    changed: dict[str, object] = {
        "modalities": ever,
        "solid_sessions": face_cameras.c.solid_sessions + int(promised > 0),
        "lacking_sessions": case((lacks, face_cameras.c.lacking_sessions + 1), else_=0),
    }
    first = {"modalities": promised, "solid_sessions": int(promised > 0), "lacking_sessions": 0}
    _add(connection, face_cameras, {"terminal_id": terminal_id}, changed, first)


def _add(
    connection: Connection,
    table: Table,
    key: Mapping[str, object],
    changed: Mapping[str, object],
    first: Mapping[str, object],
) -> bool:
    """Change the row with this key, or write it; return whether it is new. One writer at a time, on both databases."""
    where: Sequence[ColumnElement[bool]] = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*where).values(**changed)).rowcount:
        return False
    connection.execute(insert(table).values(**key, **first))
    return True
