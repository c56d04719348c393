"""The provincial core behind the server: `shualian core-sim`, a process with books of its own, which are the third."""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import Engine, select

from server.checker.actors import Actor
from server.checker.books import Account, InsurerBooking
from server.checker.history import History
from server.checker.insurers import InsurerBooks
from server.checker.leg import Leg
from server.checker.people import REGION, Payer
from server.checker.plan import CORE, Fault
from server.checker.world import World
from server.programs import program
from server.store.tables.fsi import fsi_messages

INSTITUTION: Final = "H33010099001"  # made up
ASK_SECONDS_MAX: Final = 10.0
_STANDS: Final = "SETTLED"


class CoreSide:
    """A core, the network before it, and what it says of itself."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        """Describe it; nothing is started.

        Args:
            folder: of the run.
            seed: of the run; the core's own dice get it too.
        """
        self._folder: Final = folder
        self._seed: Final = seed
        self._leg: Final = Leg(CORE, is_readable=True)
        self._address = ""
        self._psn: Final[dict[str, Payer]] = {}
        self._core: Actor | None = None

    @property
    def core(self) -> Actor | None:
        """Its process."""
        return self._core

    @property
    def leg(self) -> Leg | None:
        """The network between server and core."""
        return self._leg

    async def prepare(self, world: World, history: History) -> None:
        """Open the network, agree on a secret, and tell the server where the core will be."""
        await self._leg.open()
        secret = self._folder / "fsi-secret"
        secret.write_text(secrets.token_hex(16), encoding="utf-8")
        secret.chmod(0o600)
        world.more |= {
            "SHUALIAN_INSURER_KIND": "fsi",
            "SHUALIAN_FSI_BASE_URL": f"http://{self._leg.address}",
            "SHUALIAN_FSI_INSTITUTION_CODE": INSTITUTION,
            "SHUALIAN_FSI_INSTITUTION_NAME": "Checker Clinic",
            "SHUALIAN_FSI_REGION": REGION,
            "SHUALIAN_FSI_PAASID": "checker",
            "SHUALIAN_FSI_SECRET": str(secret),
            "SHUALIAN_FSI_CONNECT_TIMEOUT": "1s",
            "SHUALIAN_FSI_ANSWER_TIMEOUT": "2500ms",
            "SHUALIAN_FSI_BREAKER_OPEN_FOR": "1s",
        }
        self._core = Actor(
            CORE,
            lambda: [
                program("shualian"), "core-sim", "--listen", "127.0.0.1:0", "--books", str(self.file()),
                "--people", str(self._people), "--known-only", "--secret-file", str(secret),
                "--ready-file", str(self._folder / "core-ready.json"),
            ],
            env=world.env,
            log=self._folder / "core.log",
            ready_file=self._folder / "core-ready.json",
            on_ready=self._listens,
        )  # fmt: skip
        history.note("checker", 0, {"event": "core", "books": str(self.file())})

    async def insure(self, payers: Sequence[Payer]) -> None:
        """Write down whom the core insures: by their cards and credentials."""
        lines = []
        for number, payer in enumerate(payers):
            psn_no = f"99{number:016d}"
            self._psn[psn_no] = payer
            yuan, fen = divmod(payer.account_fen, 100)
            lines.append(
                f'[[people]]\npsn_no = "{psn_no}"\nregion = "{REGION}"\naccount = "{yuan}.{fen:02d}"\n'
                f'cards = ["{payer.card_number}"]\ncredentials = ["{payer.credential}"]\n'
            )
        self._people.write_text("\n".join(lines), encoding="utf-8")

    def file(self) -> Path:
        """Return the file of its books."""
        return self._folder / "core-books.db"

    async def misbehave(self, fault: Fault | None) -> None:
        """Put the script of one fault in force, or none; a core that is down has forgotten it anyway."""
        script: dict[str, Any] = {}
        if fault is not None:
            rule = {"fault": fault.action, "infno": [fault.call or "*"], "percent": fault.value}
            if fault.delay_ms:
                rule["seconds"] = fault.delay_ms / 1000
            script = {"seed": self._seed * 1000 + fault.at_ms % 1000, "rule": [rule]}
        try:
            await self._ask("POST", "/sim/script", script)
        except httpx.HTTPError:
            return

    async def books(self, engine: Engine, payers: Sequence[Payer]) -> InsurerBooks:
        """Return all bookings by our transactions, and what is left in each account."""
        settled = await self._settlements()
        with engine.connect() as connection:
            rows = connection.execute(
                select(fsi_messages.c.msgid, fsi_messages.c.transaction_id).where(fsi_messages.c.purpose == "SETTLE")
            ).all()
        ours: Mapping[str, str] = {row.msgid: row.transaction_id for row in rows if row.transaction_id}
        spent = Counter[str]()
        for row in settled:
            if row["state"] == _STANDS:
                spent[self._psn[row["psn_no"]].person_id] += row["account_fen"]
        totals = await self._ask("GET", "/sim/books/totals")
        off = totals["accounts_off"]
        return InsurerBooks(
            bookings=[
                InsurerBooking(
                    transaction_id=ours.get(row["msgid"], f"msgid:{row['msgid']}"),
                    stands=row["state"] == _STANDS,
                    pooled_fund_fen=row["fund_fen"],
                    personal_account_fen=row["account_fen"],
                )
                for row in settled
            ],
            accounts=[
                Account(
                    person_id=payer.person_id,
                    opened_with_fen=payer.account_fen,
                    holds_fen=payer.account_fen - spent[payer.person_id],
                )
                for payer in payers
            ],
            wrong=[f"{off} accounts at the core are not what its own bookings make them"] if off else [],
        )

    @property
    def _people(self) -> Path:
        return self._folder / "people.toml"

    def _listens(self, said: dict[str, Any]) -> None:
        self._address = said["address"]
        self._leg.target = self._address.removeprefix("http://")

    async def _settlements(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["number"] if found else 0
            page = await self._ask("GET", f"/sim/books?after={after}")
            found += page["settlements"]
            if page["is_complete"]:
                return found

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self._address, timeout=ASK_SECONDS_MAX, trust_env=False) as client:
            answer = await client.request(method, path, json=body)
            answer.raise_for_status()
            said: dict[str, Any] = answer.json()
            return said
