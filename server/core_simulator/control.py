"""What can a test or a checker see and steer while the core runs? Books, script and counts, as JSON under /sim/."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.core_simulator.books import Books, Row
from server.core_simulator.exchange import Exchange
from server.core_simulator.script import ScriptError, script_from

PAGE_MAX: Final = 10_000
"""Settlements in one answer of /sim/books."""
_SHOWN: Final = (
    "number", "setl_id", "mdtrt_id", "msgid", "infno", "psn_no", "institution", "insutype", "clr_type", "chrg_bchno",
    "invono", "dev_no", "dev_safe_info", "medfee_fen", "covered_fen", "fund_fen", "account_fen", "cash_fen",
    "balance_after_fen", "state", "settled_at", "ended_at", "ended_by",
)  # fmt: skip


class Control:
    """The pages of /sim/."""

    def __init__(self, *, books: Books, exchange: Exchange) -> None:
        self._books: Final = books
        self._exchange: Final = exchange

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/sim/books", self.show_books, methods=["GET"]),
            Route("/sim/books/totals", self.show_totals, methods=["GET"]),
            Route("/sim/calls", self.show_calls, methods=["GET"]),
            Route("/sim/script", self.set_script, methods=["POST"]),
            Route("/sim/script", self.show_script, methods=["GET"]),
            Route("/sim/sign-ins/end", self.end_sign_ins, methods=["POST"]),
        ]

    async def show_books(self, request: Request) -> Response:
        """Show settlements in the order they were made; `after` is the last number seen, `msgid` and `setl_id` pick."""
        query = request.query_params
        after = query.get("after", "0")
        if not after.isdigit():
            return JSONResponse({"error": "after is the number of a settlement"}, status_code=400)
        picked = (int(after), query.get("msgid", ""), query.get("setl_id", ""))
        rows, buried = await self._exchange.on_writer(lambda: self._page(*picked))
        return JSONResponse(
            {
                "settlements": [{name: row[name] for name in _SHOWN} for row in rows],
                "tombstones": [dict(row) for row in buried],
                "is_complete": len(rows) < PAGE_MAX,
            }
        )

    async def show_totals(self, _request: Request) -> Response:
        """Show counts and sums by state, and whether every account is what it must be."""
        return JSONResponse(await self._exchange.on_writer(self._totals))

    async def show_calls(self, _request: Request) -> Response:
        """Show how often each call came, each fault struck and each infcode was answered since the start."""
        exchange = self._exchange
        return JSONResponse(
            {
                "calls": dict(sorted(exchange.calls.items())),
                "faults": dict(sorted(exchange.faults.items())),
                "answers": {str(code): count for code, count in sorted(exchange.answers.items())},
                "contradictions": exchange.contradictions,
            }
        )

    async def show_script(self, _request: Request) -> Response:
        """Show the rules in force and how often each has struck."""
        script = self._exchange.script
        rules = [
            {
                "fault": rule.fault, "infno": list(rule.infno), "percent": rule.percent, "skip": rule.skip,
                "count": rule.count, "seconds": rule.seconds, "infcode": rule.infcode, "err_msg": rule.err_msg,
                "struck": struck,
            }
            for rule, struck in zip(script.rules, script.strikes(), strict=True)
        ]  # fmt: skip
        return JSONResponse({"seed": script.seed, "rule": rules})

    async def set_script(self, request: Request) -> Response:
        """Put another script in force; `{}` is good behaviour."""
        try:
            self._exchange.script = script_from(await request.json())
        except (ValueError, ScriptError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return await self.show_script(request)

    async def end_sign_ins(self, _request: Request) -> Response:
        """End every sign-in, as a core does at night; the next call of anybody is refused until they sign in again."""
        ended = await self._exchange.on_writer(self._end_sign_ins)
        return JSONResponse({"ended": ended})

    def _page(self, after: int, msgid: str, setl_id: str) -> tuple[list[Row], list[Row]]:
        rows = self._books.all(
            "SELECT * FROM settlements WHERE number > ? AND ? IN ('', msgid) AND ? IN ('', setl_id)"
            " ORDER BY number LIMIT ?",
            after,
            msgid,
            setl_id,
            PAGE_MAX,
        )
        buried = self._books.all(
            "SELECT msgid, reversed_by, reversed_at FROM tombstones WHERE ? IN ('', msgid) ORDER BY rowid DESC LIMIT ?",
            msgid,
            PAGE_MAX,
        )
        return rows, buried

    def _totals(self) -> dict[str, Any]:
        rows = self._books.all(
            "SELECT state, count(*) AS count, sum(medfee_fen) AS medfee_fen, sum(fund_fen) AS fund_fen,"
            " sum(account_fen) AS account_fen, sum(cash_fen) AS cash_fen FROM settlements GROUP BY state"
        )
        off = self._books.one(
            "SELECT count(*) AS count FROM people WHERE balance_fen + coalesce((SELECT sum(account_fen)"
            " FROM settlements WHERE settlements.psn_no = people.psn_no AND state = 'SETTLED'), 0) <> opening_fen"
        )
        counted = {name: self._count(name) for name in ("people", "visits", "messages", "tombstones")}
        return {
            "by_state": {row["state"]: {name: row[name] for name in row.keys() if name != "state"} for row in rows},  # noqa: SIM118 - a Row is no dict
            "accounts_off": off["count"] if off is not None else 0,
            **counted,
        }

    def _count(self, table: str) -> int:
        row = self._books.one(f"SELECT count(*) AS count FROM {table}")  # noqa: S608 - one of four names above
        return int(row["count"]) if row is not None else 0

    def _end_sign_ins(self) -> int:
        with self._books.transaction():
            return self._books.run("UPDATE sign_ins SET ends_at = 0 WHERE ends_at > 0")
