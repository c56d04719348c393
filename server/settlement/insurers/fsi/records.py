"""What must be written down before the core is asked: visits, messages that move money, and what came of them."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import uuid_utils
from sqlalchemy import Connection, delete, insert, select, update

from server.credentials.sealing import FieldSeal
from server.settlement.insurers import Claim, Heard
from server.settlement.insurers.fsi.canonical import sorted_text
from server.settlement.insurers.fsi.msgid import next_msgid
from server.settlement.insurers.fsi.profile import MsgidSettings
from server.settlement.model import Shares
from server.store.tables.fsi import MOVED_NOTHING, fsi_messages, fsi_shut, fsi_visits

_PSN_NO: Final = "psn_no"
_ERR_MSG: Final = "err_msg"


class VisitState(StrEnum):
    """What became of a visit."""

    OPEN = "OPEN"
    TAKEN = "TAKEN"
    """By a transaction."""
    RELEASED = "RELEASED"
    """Nobody wants it any more; the core may still have it registered."""
    CLOSED = "CLOSED"


class Purpose(StrEnum):
    """What a message is for."""

    SETTLE = "SETTLE"
    CANCEL = "CANCEL"
    REVERSE = "REVERSE"
    OTHER = "OTHER"
    """Moves nothing; written down only when it was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One bill at the core: whose, under which numbers of the core's, and what was quoted for it."""

    visit_id: str
    state: VisitState
    person_id: str
    institution: str
    terminal_id: str
    business_type: int
    psn_no: str = field(repr=False)
    insuplc_admdvs: str
    insutype: str
    mdtrt_id: str
    ipt_otp_no: str
    total_fen: int
    not_covered_fen: int
    pooled_fund_fen: int | None = None
    personal_account_fen: int | None = None
    catastrophic_fen: int | None = None
    made_at: datetime
    transaction_id: str | None = None
    setl_id: str = ""

    @property
    def quoted(self) -> Shares | None:
        """What was quoted, once it was."""
        if self.pooled_fund_fen is None or self.personal_account_fen is None:
            return None
        return Shares(
            total_fen=self.total_fen,
            pooled_fund_fen=self.pooled_fund_fen,
            personal_account_fen=self.personal_account_fen,
            self_pay_fen=self.total_fen - self.pooled_fund_fen - self.personal_account_fen,
            catastrophic_fen=self.catastrophic_fen or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message that moves money."""

    msgid: str
    infno: str
    purpose: Purpose
    transaction_id: str
    written_at: datetime
    may_have_arrived: bool
    infcode: str | None


def claim_digest(claim: Claim) -> str:
    """Return what two questions about the same bill have in common; what was shown is not part of it."""
    parts = {name: value for name, value in asdict(claim).items() if name not in {"entitlement", "person_region"}}
    return hashlib.sha256(sorted_text(parts).encode()).hexdigest()


class Records:
    """Reads and writes them, each method a part of a transaction."""

    def __init__(self, *, now: Callable[[], datetime], seal: FieldSeal, msgid: MsgidSettings) -> None:
        """Take what it works with.

        Args:
            now: the clock.
            seal: for the core's number of a person, and for what a core writes beside a refusal.
            msgid: layout of message ids.
        """
        self._now: Final = now
        self._seal: Final = seal
        self._msgid: Final = msgid

    def new_msgid(self, connection: Connection, institution: str) -> str:
        """Return an id that no message ever had."""
        return next_msgid(connection, institution=institution, now=self._now(), settings=self._msgid)

    def open_visit(self, connection: Connection, digest: str) -> Visit | None:
        """Return the newest visit for a bill that no transaction has taken."""
        return self._visit(connection, fsi_visits.c.claim_sha256 == digest, fsi_visits.c.state == VisitState.OPEN.value)

    def history_of(self, connection: Connection, transaction_id: str) -> tuple[Visit | None, list[Message]]:
        """Return the visit of a transaction, and what was sent of it."""
        return self.visit_of(connection, transaction_id), self.messages_of(connection, transaction_id)

    def visit_of(self, connection: Connection, transaction_id: str) -> Visit | None:
        """Return the visit that a transaction has taken."""
        return self._visit(connection, fsi_visits.c.transaction_id == transaction_id)

    def visit_with(self, connection: Connection, *, mdtrt_id: str, setl_id: str) -> Visit | None:
        """Return the visit under numbers of the core's; none under no number at all."""
        if not (setl_id or mdtrt_id):
            return None
        where = fsi_visits.c.setl_id == setl_id if setl_id else fsi_visits.c.mdtrt_id == mdtrt_id
        return self._visit(connection, where, fsi_visits.c.transaction_id.is_not(None))

    def begin_visit(
        self, connection: Connection, claim: Claim, *, institution: str, psn_no: str, insuplc: str, insutype: str
    ) -> Visit:
        """Write a visit down before it is registered."""
        visit_id = str(uuid_utils.uuid7())
        visit = Visit(
            visit_id=visit_id,
            state=VisitState.OPEN,
            person_id=claim.person_id,
            institution=institution,
            terminal_id=claim.terminal_id,
            business_type=claim.bill.business_type,
            psn_no=psn_no,
            insuplc_admdvs=insuplc,
            insutype=insutype,
            mdtrt_id="",
            ipt_otp_no=visit_id.replace("-", "")[:30],
            total_fen=claim.bill.total_fen,
            not_covered_fen=claim.bill.not_covered_fen,
            made_at=self._now(),
        )
        values = {**asdict(visit), "state": visit.state.value, "claim_sha256": claim_digest(claim)}
        del values["psn_no"]
        sealed = self._seal.seal(psn_no, field=_PSN_NO, person_id=visit_id)
        connection.execute(insert(fsi_visits).values(**values, psn_no_sealed=sealed))
        return visit

    @staticmethod
    def change_visit(connection: Connection, visit: Visit, **changes: object) -> None:
        """Write changes of a visit down."""
        plain = {name: getattr(value, "value", value) for name, value in changes.items()}
        connection.execute(update(fsi_visits).where(fsi_visits.c.visit_id == visit.visit_id).values(plain))

    @staticmethod
    def change_open_visit(connection: Connection, visit: Visit, **changes: object) -> bool:
        """Write changes of a visit down if nobody has taken or registered it since it was read; return whether so."""
        columns = fsi_visits.c
        is_as_read = (
            columns.visit_id == visit.visit_id,
            columns.state == VisitState.OPEN.value,
            columns.mdtrt_id == visit.mdtrt_id,
        )
        return connection.execute(update(fsi_visits).where(*is_as_read).values(changes)).rowcount == 1

    def visit_now(self, connection: Connection, visit: Visit) -> Visit | None:
        """Return a visit as it is by now."""
        return self._visit(connection, fsi_visits.c.visit_id == visit.visit_id)

    def unused_visits(self, connection: Connection, *, made_before: datetime, limit: int) -> list[Visit]:
        """Return visits that nobody will settle any more."""
        columns = fsi_visits.c
        statement = (
            select(fsi_visits)
            .where(columns.state.in_([VisitState.OPEN.value, VisitState.RELEASED.value]))
            .where((columns.made_at < made_before) | (columns.state == VisitState.RELEASED.value))
            .order_by(columns.made_at)
            .limit(limit)
        )
        return [self._visit_from(dict(row)) for row in connection.execute(statement).mappings()]

    @staticmethod
    def forget_visits(connection: Connection, *, made_before: datetime) -> int:
        """Drop visits that never became a transaction; return how many."""
        columns = fsi_visits.c
        return connection.execute(
            delete(fsi_visits).where(
                columns.transaction_id.is_(None),
                columns.state == VisitState.CLOSED.value,
                columns.made_at < made_before,
            )
        ).rowcount

    @staticmethod
    def forget_refusals(connection: Connection, *, written_before: datetime) -> int:
        """Drop refusals of calls that moved nothing; return how many."""
        return connection.execute(
            delete(fsi_messages).where(MOVED_NOTHING, fsi_messages.c.written_at < written_before)
        ).rowcount

    def write_message(
        self,
        connection: Connection,
        *,
        infno: str,
        purpose: Purpose,
        transaction_id: str,
        institution: str,
        person_id: str | None,
    ) -> Message:
        """Write a message down before it is sent."""
        message = Message(
            msgid=self.new_msgid(connection, institution),
            infno=infno,
            purpose=purpose,
            transaction_id=transaction_id,
            written_at=self._now(),
            may_have_arrived=True,
            infcode=None,
        )
        values = {**asdict(message), "purpose": purpose.value}
        connection.execute(insert(fsi_messages).values(**values, person_id=person_id))
        return message

    def note_answer(
        self,
        connection: Connection,
        msgid: str,
        *,
        infcode: str | None,
        err_msg: str = "",
        may_have_arrived: bool = True,
    ) -> None:
        """Note what came of a message; without an infcode, that it never left."""
        connection.execute(
            update(fsi_messages)
            .where(fsi_messages.c.msgid == msgid)
            .values(
                infcode=infcode,
                answered_at=self._now() if infcode is not None else None,
                err_msg_sealed=self._sealed_err_msg(err_msg, msgid),
                may_have_arrived=may_have_arrived,
            )
        )

    def note_refusal(
        self, connection: Connection, *, msgid: str, infno: str, person_id: str | None, infcode: str, err_msg: str
    ) -> None:
        """Keep what a core wrote beside its refusal of a call that moves nothing."""
        connection.execute(
            insert(fsi_messages).values(
                msgid=msgid,
                infno=infno,
                purpose=Purpose.OTHER.value,
                person_id=person_id,
                written_at=self._now(),
                answered_at=self._now(),
                may_have_arrived=True,
                infcode=infcode,
                err_msg_sealed=self._sealed_err_msg(err_msg, msgid),
            )
        )

    def messages_of(self, connection: Connection, transaction_id: str) -> list[Message]:
        """Return the messages of a transaction, oldest first."""
        columns = fsi_messages.c
        found = connection.execute(
            select(*(columns[name] for name in Message.__slots__))
            .where(columns.transaction_id == transaction_id)
            .order_by(columns.written_at, columns.msgid)
        ).mappings()
        return [Message(**{**row, "purpose": Purpose(row["purpose"])}) for row in found]

    def heard_of(self, connection: Connection, transaction_id: str) -> list[Heard]:
        """Return what the core answered to the messages of a transaction, verbatim; for an operator's eyes alone."""
        columns = fsi_messages.c
        found = connection.execute(
            select(columns.msgid, columns.infno, columns.written_at, columns.infcode, columns.err_msg_sealed)
            .where(columns.transaction_id == transaction_id)
            .order_by(columns.written_at, columns.msgid)
        )
        return [
            Heard(
                message_id=row.msgid,
                call=row.infno,
                sent_at=row.written_at,
                code=row.infcode,
                words=self._err_msg(row.err_msg_sealed, row.msgid),
            )
            for row in found
        ]

    def shut(self, connection: Connection, transaction_id: str) -> None:
        """Make sure that nothing of a transaction is ever sent."""
        if not self.is_shut(connection, transaction_id):
            connection.execute(insert(fsi_shut).values(transaction_id=transaction_id, shut_at=self._now()))

    @staticmethod
    def is_shut(connection: Connection, transaction_id: str) -> bool:
        """Return whether that was made sure of."""
        found = select(fsi_shut.c.transaction_id).where(fsi_shut.c.transaction_id == transaction_id)
        return connection.scalar(found) is not None

    def transactions_of_messages(self, connection: Connection, msgids: list[str]) -> dict[str, str]:
        """Return which transaction each of these messages belongs to."""
        columns = fsi_messages.c
        found = connection.execute(
            select(columns.msgid, columns.transaction_id).where(
                columns.msgid.in_(msgids), columns.transaction_id.is_not(None)
            )
        )
        return {row.msgid: row.transaction_id for row in found}

    def visits_of(self, connection: Connection, transaction_ids: list[str]) -> list[Visit]:
        """Return the visits that these transactions have taken."""
        found = connection.execute(select(fsi_visits).where(fsi_visits.c.transaction_id.in_(transaction_ids)))
        return [self._visit_from(dict(row)) for row in found.mappings()]

    def _sealed_err_msg(self, err_msg: str, msgid: str) -> bytes | None:
        return self._seal.seal(err_msg, field=_ERR_MSG, person_id=msgid) if err_msg else None

    def _err_msg(self, sealed: bytes | None, msgid: str) -> str:
        return "" if sealed is None else self._seal.open(sealed, field=_ERR_MSG, person_id=msgid)

    def _visit(self, connection: Connection, *where: Any) -> Visit | None:  # noqa: ANN401 - SQLAlchemy's expressions
        statement = select(fsi_visits).where(*where).order_by(fsi_visits.c.made_at.desc(), fsi_visits.c.visit_id.desc())
        row = connection.execute(statement.limit(1)).mappings().first()
        return None if row is None else self._visit_from(dict(row))

    def _visit_from(self, row: dict[str, Any]) -> Visit:
        psn_no = self._seal.open(row["psn_no_sealed"], field=_PSN_NO, person_id=row["visit_id"])
        kept = {name: row[name] for name in Visit.__slots__ if name != _PSN_NO}
        return Visit(**{**kept, "psn_no": psn_no, "state": VisitState(row["state"])})


UNUSED_KEPT_FOR: Final = timedelta(days=1)
"""How long a visit without a transaction is kept after it was closed."""
REFUSALS_KEPT_FOR: Final = timedelta(days=30)
"""How long the refusal of a call that moved nothing is kept, with what the core wrote beside it."""
