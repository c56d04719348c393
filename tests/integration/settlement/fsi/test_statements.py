"""What the lines of a core's statement are taken for: whose they are, and which of them differ."""

from dataclasses import replace
from datetime import date

from server.settlement.insurers.fsi.profile import OutpatientSettings, Profile
from server.settlement.reconciliation.statements import Difference, DifferenceClass, StatementLine
from tests.support.database import SqliteDatabase
from tests.support.fsi import PSN_NO, Fsi, Step, a_claim, a_running_fsi, setlinfo
from tests.support.money import a_bill, an_id

CLAIM = a_claim()
SUMS = "83.20\t41.10\t40.00"


async def settled(fsi: Fsi, *, mdtrt_id: str, setl_id: str) -> tuple[StatementLine, str]:
    """Settle a bill of its own; return our line of it, and the msgid that the core has it under."""
    claim = replace(CLAIM, bill=a_bill(not_covered_fen=100))
    for infno in ("2206", "2207"):
        fsi.core.script(infno, Step(output={"setlinfo": setlinfo(mdtrt_id=mdtrt_id, setl_id=setl_id)}))
    shares, transaction_id = (await fsi.insurer.quote(claim)).shares, an_id(fsi.clock.now())
    await fsi.insurer.settle(transaction_id=transaction_id, claim=claim, quoted=shares)
    line = StatementLine(
        transaction_id=transaction_id,
        site_id=claim.site_id,
        business_type=claim.bill.business_type,
        stands=True,
        settled_at=fsi.clock.now(),
        total_fen=shares.total_fen,
        pooled_fund_fen=shares.pooled_fund_fen,
        personal_account_fen=shares.personal_account_fen,
    )
    return line, fsi.core.sent("2207")[-1]["msgid"]


async def told(fsi: Fsi, ours: list[StatementLine], *theirs: str) -> list[Difference]:
    """Have the core answer with these lines, each without the person's number before it."""
    fsi.core.script("9101", Step(output={"file_qury_no": "U1"}))
    fsi.core.script("3202", Step(output={"fileinfo": {"file_qury_no": "R1", "filename": "r.txt"}}))
    fsi.core.script("9102", Step(raw="".join(f"{PSN_NO}\t{line}\n" for line in theirs).encode()))
    return list(await fsi.insurer.statements.differences(date(2026, 3, 2), ours))


async def test_lines_without_a_settlements_number_are_each_their_own_transactions(fsi: Fsi) -> None:
    one, one_msgid = await settled(fsi, mdtrt_id="M1", setl_id="S1")
    other, other_msgid = await settled(fsi, mdtrt_id="M2", setl_id="S2")

    found = await told(
        fsi,
        [one, other],
        f"M1\t\t{one_msgid}\t103\t0\t\t83.20\t41.11\t40.00",
        f"M2\t\t{other_msgid}\t103\t0\t\t83.20\t41.12\t40.00",
    )

    assert [(each.transaction_id, each.reference, each.theirs_fen) for each in found] == [
        (one.transaction_id, "M1", 8_111),
        (other.transaction_id, "M2", 8_112),
    ]


async def test_a_line_that_names_nothing_is_nobodys(sqlite_database: SqliteDatabase) -> None:
    profile = Profile(outpatient=OutpatientSettings(registers=False))
    async with a_running_fsi(sqlite_database, profile=profile) as fsi:
        ours, _ = await settled(fsi, mdtrt_id="", setl_id="S1")

        (found,) = await told(fsi, [ours], f"\t\tX1\t101\t0\t\t{SUMS}")

    assert (found.transaction_id, found.reference, found.difference_class) == (None, "X1", DifferenceClass.THEIRS_ONLY)


async def test_a_line_that_agrees_by_word_and_sums_is_no_difference_and_by_word_alone_is_one(fsi: Fsi) -> None:
    ours, msgid = await settled(fsi, mdtrt_id="M1", setl_id="S1")
    numbers = f"M1\tS1\t{msgid}"

    equal = await told(fsi, [ours], f"{numbers}\t0\t0\t\t{SUMS}")
    otherwise = [
        await told(fsi, [ours], f"{numbers}\t{line}")
        for line in ("0\t0\t\t83.20\t41.11\t40.00", f"0\t1\t\t{SUMS}", f"103\t0\t\t{SUMS}")
    ]

    assert equal == []
    assert [[each.difference_class for each in one] for one in otherwise] == [
        [DifferenceClass.AMOUNT],
        [DifferenceClass.STATE],
        [DifferenceClass.AMOUNT],
    ]
