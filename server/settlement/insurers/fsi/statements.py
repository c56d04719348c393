"""Does the core's book of a day agree with ours? Totals first (3201), files of lines where they do not (3202)."""

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection

from server.settlement.insurers.fsi import statement_calls as calls
from server.settlement.insurers.fsi.canonical import Json
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.means import Means
from server.settlement.insurers.fsi.profile import UploadForm
from server.settlement.insurers.fsi.records import Visit
from server.settlement.insurers.fsi.statement_calls import StatementSums
from server.settlement.insurers.fsi.statement_file import OurLine, TheirLine, lines_from, packed
from server.settlement.reconciliation.statements import Difference, DifferenceClass, StatementLine, StatementTotal

_OURS_ONLY: Final = "102"  # the institution has more; grade ? like the other two
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """Our lines of one institution, with what the core calls them."""

    line: StatementLine
    visit: Visit


class FsiStatements:
    """The core's statements of each day."""

    def __init__(self, means: Means) -> None:
        self._means: Final = means

    async def totals_agree(self, day: date, ours: Sequence[StatementTotal]) -> bool:
        """Return whether the core's totals are ours: of each institution and kind of clearing, also where we have none.

        Raises:
            FsiError: nobody knows.
        """
        sums: defaultdict[tuple[str, str], StatementSums] = defaultdict(StatementSums)
        for total in ours:
            kind = self._means.kinds.of(total.business_type)
            if kind is None:
                return False  # settled at this insurer once, under a profile that is no more
            key = (self._means.institutions.of_site(total.site_id).code, kind.clr_type)
            sums[key] += StatementSums(
                count=total.settlements,
                total_fen=total.total_fen,
                fund_fen=total.pooled_fund_fen,
                account_fen=total.personal_account_fen,
            )
        for institution in self._means.institutions:
            for clr_type in sorted({self._means.kinds.outpatient.clr_type, self._means.kinds.pharmacy.clr_type}):
                call = calls.totals(
                    institution, day, sums[institution.code, clr_type], clr_type=clr_type, profile=self._means.profile
                )
                answer = await self._means.errands.look(call)
                if calls.result_of_totals(answer) not in self._means.profile.statement.equal_codes:
                    return False
        return True

    async def differences(self, day: date, ours: Sequence[StatementLine]) -> Sequence[Difference]:
        """Return where the core's lines and ours differ.

        Raises:
            FsiError: nobody knows.
        """
        visits = await self._means.unit_of_work.read(
            lambda connection: self._visits(connection, [line.transaction_id for line in ours])
        )
        found = [_ours_only(line) for line in ours if line.stands and not _is_known(visits.get(line.transaction_id))]
        told = [
            _Ours(line=line, visit=visits[line.transaction_id])
            for line in ours
            if line.stands and _is_known(visits.get(line.transaction_id))
        ]
        by_id = {line.transaction_id: line for line in ours}
        codes = [each.code for each in self._means.institutions]
        codes += sorted({each.visit.institution for each in told}.difference(codes))
        for institution in map(self._means.institutions.with_code, codes):
            own = [each for each in told if each.visit.institution == institution.code]
            theirs = await self._compared(institution, day, own)
            names = await self._means.unit_of_work.read(
                lambda connection, theirs=theirs: self._transactions(connection, theirs)  # type: ignore[misc] # the list of this round
            )
            equal = self._means.profile.statement.equal_codes
            differing = (_difference(line, names.get(line), by_id, equal_codes=equal) for line in theirs)
            found += [difference for difference in differing if difference is not None]
        return found

    async def _compared(self, institution: Institution, day: date, own: Sequence[_Ours]) -> list[TheirLine]:
        """Have the core compare our lines with its own and return what it says differs."""
        settings = self._means.profile.statement
        name = f"{institution.code}-{day:%Y%m%d}.txt"
        content = packed((_line(each) for each in own), name=name, is_zipped=settings.is_zipped)
        if settings.is_zipped:
            name += ".zip"
        upload: Json = base64.b64encode(content).decode() if settings.upload is UploadForm.BASE64 else list(content)
        number = calls.file_number(await self._means.errands.look(calls.upload(institution, name=name, content=upload)))
        sums = StatementSums()
        for each in own:
            sums += StatementSums(
                count=1,
                total_fen=each.line.total_fen,
                fund_fen=each.line.pooled_fund_fen,
                account_fen=each.line.personal_account_fen,
            )
        call = calls.details(institution, day, sums, file_qury_no=number, profile=self._means.profile)
        result = calls.result_file(await self._means.errands.look(call))
        return lines_from(await self._means.errands.fetch(calls.download(institution, result)))

    def _visits(self, connection: Connection, transaction_ids: list[str]) -> dict[str, Visit]:
        found: dict[str, Visit] = {}
        for chunk in _chunks(transaction_ids):
            found |= {str(visit.transaction_id): visit for visit in self._means.records.visits_of(connection, chunk)}
        return found

    def _transactions(self, connection: Connection, theirs: Sequence[TheirLine]) -> dict[TheirLine, str]:
        """Return our transaction for each of their lines: by the message that made it, or by its numbers."""
        by_msgid: dict[str, str] = {}
        for chunk in _chunks([line.msgid for line in theirs if line.msgid]):
            by_msgid |= self._means.records.transactions_of_messages(connection, chunk)
        found = {}
        for line in theirs:
            transaction_id = by_msgid.get(line.msgid)
            if transaction_id is None:
                visit = self._means.records.visit_with(connection, mdtrt_id=line.mdtrt_id, setl_id=line.setl_id)
                transaction_id = None if visit is None else visit.transaction_id
            if transaction_id is not None:
                found[line] = transaction_id
        return found


def _is_known(visit: Visit | None) -> bool:
    return visit is not None and bool(visit.setl_id)


def _ours_only(line: StatementLine) -> Difference:
    return Difference(
        difference_class=DifferenceClass.OURS_ONLY,
        transaction_id=line.transaction_id,
        ours_fen=line.insured_fen,
        theirs_fen=None,
    )


def _difference(
    theirs: TheirLine, transaction_id: str | None, ours: Mapping[str, StatementLine], *, equal_codes: Sequence[str]
) -> Difference | None:
    """Return what a line of the core's means beside ours; None when both agree."""
    line = None if transaction_id is None else ours.get(transaction_id)
    ours_stands = line is not None and line.stands
    if theirs.is_undone and not ours_stands:
        return None
    if line is not None and theirs.result in equal_codes and _is_same(theirs, line):
        return None  # some cores list what agrees as well; their word for it counts only with the same sums
    if line is not None and ours_stands and theirs.result == _OURS_ONLY:
        return _ours_only(line)
    if line is None:
        difference_class = DifferenceClass.THEIRS_ONLY
    elif line.stands and not theirs.is_undone:
        difference_class = DifferenceClass.AMOUNT
    else:
        difference_class = DifferenceClass.STATE
    return Difference(
        difference_class=difference_class,
        transaction_id=transaction_id,
        reference=(theirs.setl_id or theirs.mdtrt_id or theirs.msgid)[:64],
        ours_fen=None if line is None else line.insured_fen if line.stands else 0,
        theirs_fen=0 if theirs.is_undone else theirs.fund_fen + theirs.account_fen,
        theirs_stands=not theirs.is_undone,
    )


def _is_same(theirs: TheirLine, line: StatementLine) -> bool:
    told = (not theirs.is_undone, theirs.total_fen, theirs.fund_fen, theirs.account_fen)
    return told == (line.stands, line.total_fen, line.pooled_fund_fen, line.personal_account_fen)


def _line(each: _Ours) -> OurLine:
    return OurLine(
        setl_id=each.visit.setl_id,
        mdtrt_id=each.visit.mdtrt_id,
        psn_no=each.visit.psn_no,
        total_fen=each.line.total_fen,
        fund_fen=each.line.pooled_fund_fen,
        account_fen=each.line.personal_account_fen,
    )


def _chunks(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[start : start + _CHUNK]) for start in range(0, len(ids), _CHUNK))
