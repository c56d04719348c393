"""`shualian rules`: the benefit rules of the local insurer, looked at without touching any book."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from server.commands.options import Json
from server.commands.output import console, plain, print_json, show_list, yuan
from server.commands.session import Session, session_of
from server.settlement.insurers.local.reckoning import percent, reckon, reckon_prepayment
from server.settlement.insurers.local.rules import Chronic, Inpatient, Place, RuleSet, SiteRules, is_prepayment
from server.settlement.insurers.local.rules_file import load_rules
from server.settlement.insurers.local.split import BenefitYear, Split, Tier, split_bill, split_prepayment
from server.settlement.limits import SettlementLimits, check_bill
from server.settlement.model import Bill, Reckoning

app = typer.Typer(
    name="rules", help="The benefit rules of the local insurer.", no_args_is_help=True, add_completion=False
)

_FEN_MAX = 10**12
_File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="Rules file; the configured one when left out.", dir_okay=False),
]
_Day = Annotated[
    datetime | None, typer.Option("--on", metavar="DAY", formats=["%Y-%m-%d"], help="A day; today when left out.")
]
_Fen = typer.Option(min=0, max=_FEN_MAX)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rules file.", dir_okay=False)],
    *,
    as_json: Json = False,
) -> None:
    """Check a rules file as a whole; every problem is listed, and the exit code is 3 when there is one."""
    book = load_rules(file)
    days = [rules.effective_from.isoformat() for rules in book.sets]
    if as_json:
        print_json({"ok": True, "effective_from": days})
        return
    console().print(f"[green]Valid.[/] {len(days)} set(s) of rules, from {', '.join(days)}.")


@app.command("show")
def show(context: typer.Context, *, on: _Day = None, file: _File = None, as_json: Json = False) -> None:
    """Print the rules that are in force on a day."""
    rules = _rules_on(session_of(context), on, file)
    if as_json:
        print_json(_document(rules))
        return
    out = console()
    out.print(
        f"[bold]In force from {rules.effective_from}[/]; the fund pays at most {yuan(rules.annual_cap_fen)} a year."
    )
    out.print(
        f"Out of the region: {percent(rules.filed_reduction_bp)} points less when filed, "
        f"{percent(rules.unfiled_reduction_bp)} when not."
    )
    columns = ("what", "deductible", "ratios", "cap")
    show_list("benefits", list(_rows(rules)), columns=columns, as_json=False, empty="")


@app.command("explain")
def explain(
    context: typer.Context,
    *,
    total_fen: Annotated[int, typer.Option("--total-fen", min=1, max=_FEN_MAX, help="The whole bill.")],
    site_kind: Annotated[str, typer.Option("--site-kind", help="HOSPITAL, CLINIC or PHARMACY.")] = "HOSPITAL",
    business_type: Annotated[
        int, typer.Option("--business-type", metavar="CODE", help="National code, e.g. 01301.")
    ] = 1301,
    not_covered_fen: Annotated[int, typer.Option("--not-covered-fen", min=0, help="Outside the catalogue.")] = 0,
    account_fen: Annotated[int, typer.Option("--account-fen", min=0, help="In the personal account.")] = 0,
    place: Annotated[
        Place, typer.Option("--place", case_sensitive=False, help="Where, seen from the person's region.")
    ] = Place.HOME,
    chronic: Annotated[str, typer.Option("--chronic", metavar="KEY", help="For this chronic disease.")] = "",
    stay: Annotated[bool, typer.Option("--stay", help="The settlement of an inpatient stay.")] = False,
    prepaid_fen: Annotated[int, typer.Option("--prepaid-fen", min=0, help="Prepaid for the stay.")] = 0,
    deductible_used_fen: Annotated[int, _Fen] = 0,
    eligible_used_fen: Annotated[int, _Fen] = 0,
    own_fund_used_fen: Annotated[int, _Fen] = 0,
    fund_used_fen: Annotated[int, _Fen] = 0,
    burden_used_fen: Annotated[int, _Fen] = 0,
    catastrophic_used_fen: Annotated[int, _Fen] = 0,
    chinese: Annotated[bool, typer.Option("--chinese", help="Say why in Chinese.")] = False,
    on: _Day = None,
    file: _File = None,
    as_json: Json = False,
) -> None:
    """Reckon one bill step by step, for a person whose year stands as told; amounts in fen, no book is touched."""
    bill = Bill(
        bill_number="explained",
        business_type=business_type,
        total_fen=total_fen,
        not_covered_fen=not_covered_fen,
        stay_number="explained" if stay else "",
        chronic_disease=chronic,
    )
    check_bill(bill, SettlementLimits())
    used = BenefitYear(
        deductible_used_fen=deductible_used_fen,
        eligible_used_fen=eligible_used_fen,
        own_fund_used_fen=own_fund_used_fen,
        fund_used_fen=fund_used_fen,
        burden_used_fen=burden_used_fen,
        catastrophic_used_fen=catastrophic_used_fen,
    )
    case = _Case(
        bill=bill, site_kind=site_kind.upper(), place=place, used=used, account_fen=account_fen, prepaid_fen=prepaid_fen
    )
    split, lines = _reckoned(_rules_on(session_of(context), on, file), case)
    if as_json:
        print_json({"shares": plain(split.shares), "reckoning": plain(lines)})
        return
    _print_lines(split, lines, chinese=chinese)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What is to be explained."""

    bill: Bill
    site_kind: str
    place: Place
    used: BenefitYear
    account_fen: int
    prepaid_fen: int


def _reckoned(rules: RuleSet, case: _Case) -> tuple[Split, tuple[Reckoning, ...]]:
    if is_prepayment(case.bill):
        rules.check_prepayment(case.bill, site_kind=case.site_kind)
        return split_prepayment(case.bill), reckon_prepayment(case.bill)
    benefits = rules.benefits_for(case.bill, site_kind=case.site_kind, place=case.place)
    split = split_bill(
        case.bill,
        benefits=benefits,
        used=case.used,
        personal_account_fen=case.account_fen,
        prepaid_fen=case.prepaid_fen if case.bill.stay_number else 0,
    )
    lines = reckon(case.bill, split, benefits=benefits, used=case.used, place=case.place, is_family=False)
    return split, lines


def _print_lines(split: Split, lines: tuple[Reckoning, ...], *, chinese: bool) -> None:
    rows = [
        {"step": line.step, "amount": _signed(line.amount_fen), "why": line.text_zh if chinese else line.text_en}
        for line in lines
    ]
    show_list("reckoning", rows, columns=("step", "amount", "why"), as_json=False, empty="")
    shares = split.shares
    console().print(
        f"{yuan(shares.total_fen)} = pooled fund {yuan(shares.pooled_fund_fen)} + personal account "
        f"{yuan(shares.personal_account_fen)} + self-pay {yuan(shares.self_pay_fen)}",
        style="bold",
    )


def _rules_on(session: Session, on: datetime | None, file: Path | None) -> RuleSet:
    settings = session.config.settlement
    day = on.date() if on else datetime.now(ZoneInfo(settings.time_zone)).date()
    return load_rules(file or settings.local_rules).on(day)


def _rows(rules: RuleSet) -> list[dict[str, str]]:
    rows = []
    for kind, site in rules.sites.items():
        rows.append(_row(kind, site, "a year"))
        if site.inpatient is not None:
            rows.append(
                _row(f"{kind}, inpatient", site.inpatient, "a stay" if site.inpatient.deductible_per_stay else "a year")
            )
    for key, disease in rules.chronic.items():
        row = _row(f"{key} ({disease.name_zh})", disease, "a year")
        rows.append({**row, "cap": f"{yuan(disease.annual_cap_fen)} a year"})
    if rules.catastrophic is not None:
        cap = rules.catastrophic.annual_cap_fen
        rows.append(
            {
                "what": "catastrophic",
                "deductible": f"{yuan(rules.catastrophic.threshold_fen)} of burden",
                "ratios": _ratios(rules.catastrophic.tiers),
                "cap": "" if cap is None else f"{yuan(cap)} a year",
            }
        )
    return rows


def _row(what: str, granted: SiteRules | Inpatient | Chronic, per: str) -> dict[str, str]:
    return {
        "what": what,
        "deductible": f"{yuan(granted.deductible_fen)} {per}",
        "ratios": _ratios(granted.tiers),
        "cap": "",
    }


def _ratios(tiers: tuple[Tier, ...]) -> str:
    return ", ".join(
        f"{percent(tier.ratio_bp)}%" + ("" if tier.up_to_fen is None else f" to {yuan(tier.up_to_fen)}")
        for tier in tiers
    )


def _document(rules: RuleSet) -> dict[str, Any]:
    return {
        **plain(rules),
        "effective_from": rules.effective_from.isoformat(),
        "business_types": sorted(rules.business_types),
        "chronic": {key: {**plain(disease), "sites": sorted(disease.sites)} for key, disease in rules.chronic.items()},
    }


def _signed(fen: int) -> str:
    return f"-{yuan(-fen)}" if fen < 0 else yuan(fen)
