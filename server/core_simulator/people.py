"""Whom does the simulated core insure? People of a file, and made-up ones for credentials and cards it has not seen."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from server.core_simulator.amounts import fen, yuan
from server.core_simulator.books import Books, Row
from server.core_simulator.envelope import text
from server.core_simulator.errors import Infcode, RefusedError

CREDENTIAL: Final = "01"
ID_NUMBER: Final = "02"
CARD: Final = "03"
EMPLOYEES: Final = "310"
"""`insutype` of the employees' basic insurance; what made-up people have."""
OPENING_FEN: Final = 300_000
"""What is in a made-up person's account at first."""
_EPOCH: Final = date(1950, 1, 1)
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643
_CHECK_DIGITS: Final = "10X98765432"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a person has shown: kind and number of a certificate."""

    kind: str
    number: str

    @property
    def number_sha256(self) -> str:
        """What the books keep of the number."""
        return hashlib.sha256(f"{self.kind}:{self.number}".encode()).hexdigest()


def shown_from(fields: Mapping[str, Any]) -> Shown:
    """Return the certificate of an input.

    Raises:
        RefusedError: an ID number, or none at all.
    """
    kind = text(fields, "mdtrt_cert_type", length=3)
    if kind == ID_NUMBER:
        raise RefusedError(Infcode.CERTIFICATE_KIND)
    if kind not in {CREDENTIAL, CARD}:
        raise RefusedError(Infcode.FIELD, detail="mdtrt_cert_type")
    return Shown(kind=kind, number=text(fields, "mdtrt_cert_no", length=50))


class People:
    """The insured, in the books."""

    def __init__(self, books: Books, *, makes_up: bool) -> None:
        """Take where they are written.

        Args:
            books: where.
            makes_up: whether somebody unknown is made up, the same for the same number, instead of refused.
        """
        self._books: Final = books
        self._makes_up: Final = makes_up

    def who(self, shown: Shown, *, region: str) -> Row:
        """Return whose certificate this is.

        Raises:
            RefusedError: nobody's, and nobody is made up; or their insurance is suspended.
        """
        known = self._holder(shown)
        if known is None:
            if not self._makes_up:
                raise RefusedError(Infcode.PERSON_UNKNOWN)
            self._make_up(shown, region=region)
            known = self._holder(shown)
        return _entitled(known)

    def check(self, psn_no: str, shown: Shown) -> Row:
        """Return a person who is named and shows their own certificate.

        Raises:
            RefusedError: unknown, suspended, or the certificate is somebody else's.
        """
        person = _entitled(self._holder(shown))
        if person["psn_no"] != psn_no:
            raise RefusedError(Infcode.PERSON_UNKNOWN)
        return person

    def named(self, psn_no: str) -> Row:
        """Return a person by number.

        Raises:
            RefusedError: unknown.
        """
        row = self._books.one("SELECT * FROM people WHERE psn_no = ?", psn_no)
        if row is None:
            raise RefusedError(Infcode.PERSON_UNKNOWN)
        return row

    def move(self, psn_no: str, amount_fen: int) -> int:
        """Add to a person's account (or take away) and return what is in it then.

        Raises:
            RefusedError: it does not hold so much.
        """
        balance = int(self.named(psn_no)["balance_fen"]) + amount_fen
        if balance < 0:
            raise RefusedError(Infcode.FAILED, detail="balc")
        self._books.run("UPDATE people SET balance_fen = ? WHERE psn_no = ?", balance, psn_no)
        return balance

    def load(self, path: Path) -> int:
        """Add the people of a TOML file who are not in the books yet; return how many the file has.

        Raises:
            ValueError: the file is not as it must be; the text says where.
        """
        with path.open("rb") as file:
            entries = tomllib.load(file).get("people", [])
        for number, entry in enumerate(entries, 1):
            try:
                self._load_one(entry)
            except (KeyError, TypeError, RefusedError) as error:
                raise ValueError(f"{path}: person {number}: {error}") from error
        return len(entries)

    def _load_one(self, entry: Mapping[str, Any]) -> None:
        psn_no = str(entry["psn_no"])
        balance = fen(entry.get("account", "0"), name="account")
        if self._books.one("SELECT 1 FROM people WHERE psn_no = ?", psn_no) is None:
            made_up = _made_up(psn_no)
            self._books.insert(
                "people",
                **made_up
                | {
                    name: str(entry[name])
                    for name in ("certno", "psn_name", "gend", "brdy", "insutype")
                    if name in entry
                },
                psn_no=psn_no,
                region=str(entry["region"]),
                is_suspended=int(bool(entry.get("is_suspended", False))),
                opening_fen=balance,
                balance_fen=balance,
            )
        for kind, name in ((CREDENTIAL, "credentials"), (CARD, "cards")):
            for number in entry.get(name, []):
                self._give(Shown(kind=kind, number=str(number)), psn_no)

    def _holder(self, shown: Shown) -> Row | None:
        return self._books.one(
            "SELECT people.* FROM people JOIN certificates USING (psn_no) WHERE kind = ? AND number_sha256 = ?",
            shown.kind,
            shown.number_sha256,
        )

    def _make_up(self, shown: Shown, *, region: str) -> None:
        psn_no = f"{int(shown.number_sha256[:15], 16) % 10**18:018d}"
        self._books.insert(
            "people",
            **_made_up(psn_no),
            psn_no=psn_no,
            region=region,
            is_suspended=0,
            opening_fen=OPENING_FEN,
            balance_fen=OPENING_FEN,
        )
        self._give(shown, psn_no)

    def _give(self, shown: Shown, psn_no: str) -> None:
        self._books.run(
            "INSERT OR IGNORE INTO certificates (kind, number_sha256, psn_no) VALUES (?, ?, ?)",
            shown.kind,
            shown.number_sha256,
            psn_no,
        )


def person_output(person: Row, *, today: date) -> dict[str, Any]:
    """Return what 1101 tells about a person."""
    born = date.fromisoformat(person["brdy"])
    return {
        "baseinfo": {
            "psn_no": person["psn_no"], "psn_cert_type": "01", "certno": person["certno"],
            "psn_name": person["psn_name"], "gend": person["gend"], "naty": "01", "brdy": person["brdy"],
            "age": today.year - born.year - ((today.month, today.day) < (born.month, born.day)),
        },
        "insuinfo": [
            {
                "balc": yuan(person["balance_fen"]), "insutype": person["insutype"], "psn_type": person["psn_type"],
                "psn_insu_stas": "2" if person["is_suspended"] else "1", "psn_insu_date": "2020-01-01",
                "paus_insu_date": "", "cvlserv_flag": "0", "insuplc_admdvs": person["region"], "emp_name": "模拟单位",
            }
        ],
        "idetinfo": [],
    }  # fmt: skip


def _entitled(person: Row | None) -> Row:
    if person is None:
        raise RefusedError(Infcode.PERSON_UNKNOWN)
    if person["is_suspended"]:
        raise RefusedError(Infcode.PERSON_SUSPENDED)
    return person


def _made_up(psn_no: str) -> dict[str, Any]:
    """Return everything about somebody who does not exist, the same for the same number."""
    seed = int.from_bytes(hashlib.sha256(psn_no.encode()).digest()[:8])
    born = _EPOCH + timedelta(days=seed % 20_000)
    body = f"990000{born:%Y%m%d}{seed % 1000:03d}"  # no region begins with 99: nobody has such a number
    check = _CHECK_DIGITS[sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True)) % 11]
    return {
        "certno": body + check,
        "psn_name": f"模拟{seed % 10_000:04d}",
        "gend": "1" if seed % 1000 % 2 else "2",
        "brdy": born.isoformat(),
        "insutype": EMPLOYEES,
        "psn_type": "11",
    }
