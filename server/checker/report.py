"""What does a run say in the end? Figures for programs, a page for people."""

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.checker.books import Books, Pocket
from server.checker.breaches import Violation
from server.checker.history import Happening, History
from server.checker.plan import Plan

HAPPENINGS_SHOWN: Final = 40
_PACKAGES: Final = ("shualian", "grpcio", "sqlalchemy", "httpx", "psycopg")


@dataclass(slots=True, kw_only=True)
class Report:
    """One run."""

    seed: int
    database: str
    insurer: str
    terminals: int
    seconds: float
    """Of the load; making the world, healing and judging come on top."""
    healed_after_seconds: float
    """From the end of the load until nobody was in doubt any more; the bound, when somebody still was."""
    orders: int = 0
    settlements: int = 0
    """At the platform, whatever became of them."""
    settled: int = 0
    """Of these, paid in the end."""
    acknowledged: int = 0
    """Receipts that a cashier had in hand."""
    states: dict[str, int] = field(default_factory=dict)
    """Settlements by where they ended."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """What the cashiers were told, by the first word."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why not, where a reason was given."""
    paid_with: dict[str, int] = field(default_factory=dict)
    """Receipts by what was shown, and by what paid of them; one receipt may count several times."""
    resolved_late: int = 0
    """Transactions that were in doubt at a terminal and ended later."""
    kills: int = 0
    kills_by_process: dict[str, int] = field(default_factory=dict)
    kills_by_place: dict[str, int] = field(default_factory=dict)
    """`server/answer-held` and so on."""
    faults: dict[str, int] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    """How often each process was started."""
    died_by_themselves: dict[str, int] = field(default_factory=dict)
    bookings: int = 0
    """At the insurer, standing or undone."""
    violations: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    kept: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations

    def as_json(self) -> str:
        """Return it as text."""
        return json.dumps({"ok": self.is_sound, **asdict(self)}, ensure_ascii=False, indent=1)


def filled(report: Report, history: History, books: Books, violations: Sequence[Violation]) -> Report:
    """Return the report with what history and books say."""
    states = Counter(ours.state for ours in books.settlements.values())
    first = {transaction_id: outcomes[0] for transaction_id, outcomes in history.outcomes().items()}
    report.orders = len(history.orders)
    report.settlements = len(books.settlements)
    report.settled = states["SETTLED"]
    report.acknowledged = len(history.acknowledged())
    report.states = dict(states)
    report.outcomes = dict(Counter(first.values()))
    report.reasons = dict(
        Counter(str(said.what["reason"]) for said in history.said("outcome") if said.what.get("reason"))
    )
    report.paid_with = dict(_paid_with(history))
    report.resolved_late = sum(1 for said in history.said("outcome") if said.what.get("late"))
    report.bookings = len(books.bookings)
    report.versions = _versions()
    report.violations = [
        {
            **asdict(violation),
            "breach": violation.breach.value,
            "history": [
                _shown(happening)
                for happening in history.of(violation.transaction_id, violation.bill_number)[:HAPPENINGS_SHOWN]
            ]
            if violation.transaction_id or violation.bill_number
            else [],
        }
        for violation in violations
    ]
    return report


def command_of(plan: Plan, *, database: str, insurer: str) -> str:
    """Return the command that plans the same run again."""
    minutes = f"{plan.lasting_ms / 60_000:.4f}".rstrip("0").rstrip(".")
    return (
        f"shualian check --seed {plan.seed} --minutes {minutes} --database {database} --insurer {insurer}"
        f" --terminals {plan.terminals}"
    )


def show(report: Report, out: Console) -> None:
    """Print the page for people."""
    grid = Table.grid(padding=(0, 2))
    rows = {
        "run": f"seed {report.seed}, {report.database}, {report.insurer} insurer, {report.terminals} terminals,"
        f" {report.seconds:.0f} s of load, healed after {report.healed_after_seconds:.1f} s",
        "settlements": f"{report.settlements} ({_counts(report.states)}); {report.acknowledged} receipts handed out,"
        f" {report.resolved_late} doubts ended late",
        "paid with": _counts(report.paid_with),
        "orders": f"{report.orders}; first word to the cashier: {_counts(report.outcomes)}",
        "kills": f"{report.kills} ({_counts(report.kills_by_process)})",
        "at": _counts(report.kills_by_place),
        "faults": _counts(report.faults),
        "lives": _counts(report.lives),
    }
    if report.died_by_themselves:
        rows["died unasked"] = _counts(report.died_by_themselves)
    for name, text in rows.items():
        grid.add_row(Text(name, style="dim"), Text(text))
    out.print(grid)
    for violation in report.violations:
        out.print(f"[bold red]{violation['breach']}[/] ", end="")
        out.print(f"{violation['transaction_id']} {violation['bill_number']} {violation['details']}", markup=False)
        for line in violation["history"]:
            out.print(f"    {line}", markup=False, style="dim")
    verdict = "[bold green]All three books tell one story.[/]"
    if not report.is_sound:
        verdict = f"[bold red]{len(report.violations)} violations.[/] Again: {report.command}"
    out.print(verdict)
    if report.kept:
        out.print(f"Everything is kept in {report.kept}: plan, history, logs, databases.", markup=False)


def _paid_with(history: History) -> Counter[str]:
    counted = Counter[str]()
    for paid in history.acknowledged().values():
        order = history.orders[str(paid.what["bill_number"])]
        counted[order.by] += 1
        counted["for a relative"] += order.is_for_relative
        for pocket, name in ((Pocket.ELECTRONIC, "electronic_account_fen"), (Pocket.CREDIT, "credit_fen")):
            counted[pocket.value] += bool(paid.what.get(name))
    return +counted


def _shown(happening: Happening) -> str:
    what = " ".join(f"{key}={value}" for key, value in happening.what.items())
    return f"{happening.ms:>8} ms  {happening.who}/{happening.life}  {what}"


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items(), key=lambda pair: -pair[1])) or "none"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.system()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
