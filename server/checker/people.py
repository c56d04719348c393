"""Who pays in a run, and with what money? People made up from the seed: some rich, some nearly without."""

import random
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sqlalchemy import Connection

from server.credentials.identity import checksum
from server.settlement.ledger import Account, AccountKind
from server.settlement.self_pay.electronic_account import electronic_account
from server.wiring import Domain

ACTOR: Final = "operator:checker"
REGION: Final = "330100"
FUND_FEN: Final = 10**12
CREDIT_DAYS: Final = 30
NAME: Final = "何冬"  # made up, as all are
CHILD_NAME: Final = "何小满"


class Purse(Enum):
    """What somebody has at first: the bounds of personal account, electronic account and credit line, in fen."""

    RICH = ((10**8, 10**8), (10**7, 10**7), (500_000, 500_000))
    """Pays whatever comes."""
    SHORT = ((0, 20_000), (2_000, 50_000), (5_000, 60_000))
    """Has a few bills' worth of each: soon two bills at once want the last fen."""
    CASH = ((0, 5_000), (0, 0), (0, 0))
    """No electronic account, no credit: offered neither."""


_PURSES: Final = (Purse.SHORT, Purse.RICH, Purse.SHORT, Purse.CASH)
"""In turn, so that those who get most bills are of every kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """One of the run's people."""

    person_id: str
    id_number: str
    card_number: str
    pin: str = field(repr=False)
    credential: str = field(repr=False)
    """What names their credential to a remote insurer."""
    account_fen: int
    """In the personal account at first, whoever keeps it."""
    electronic_fen: int
    credit_fen: int
    """The limit of their credit line."""
    relative_id: str = ""
    """A child whose bills they may pay."""
    binding_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Makes the run's people."""

    domain: Domain
    seed: int
    with_relatives: bool
    """Whether every other one has a child: not where the insurer knows no family accounts."""

    def enter(self, connection: Connection, *, count: int) -> list[Payer]:
        """Put so many people with cards, credentials and money into the books."""
        dice = random.Random(f"{self.seed}/people")  # noqa: S311 - made-up people, the same ones for a seed
        pin = f"{dice.randrange(270_001, 279_999, 2)}"
        fund = Account(AccountKind.POOLED_FUND, REGION)
        self.domain.ledger.fund(connection, fund, amount_fen=FUND_FEN, reference="checker")
        return [self._payer(connection, number, pin, dice) for number in range(count)]

    def _payer(self, connection: Connection, number: int, pin: str, dice: random.Random) -> Payer:
        id_number, card_number = _id_number("19700101", number), f"CHECK{number:07d}"
        person_id = self._person(connection, NAME, id_number, card_number=card_number, pin=pin)
        credential = self.domain.credentials.activate(
            connection,
            person_id=person_id,
            identity_digest=self.domain.people.digest_of(name=NAME, id_number=id_number),
            actor=ACTOR,
            request_id="",
        ).credential
        relative_id = binding_id = ""
        if self.with_relatives and number % len(_PURSES) < len(_PURSES) // 2:
            child = _id_number("20200101", number)
            relative_id = self._person(connection, CHILD_NAME, child)
            binding_id = self.domain.family.bind(
                connection,
                credential=credential,
                relative_id=relative_id,
                good_until=self.domain.family.grown_up_at(child),
                actor=ACTOR,
                request_id="",
            ).binding_id
        account, electronic, credit = (dice.randint(*bounds) for bounds in _PURSES[number % len(_PURSES)].value)
        self._fill(connection, person_id, account=account, electronic=electronic, credit=credit)
        return Payer(
            person_id=person_id,
            id_number=id_number,
            card_number=card_number,
            pin=pin,
            credential=self.domain.credentials.token_of(connection, person_id),
            account_fen=account,
            electronic_fen=electronic,
            credit_fen=credit,
            relative_id=relative_id,
            binding_id=binding_id,
        )

    def _person(
        self,
        connection: Connection,
        name: str,
        id_number: str,
        *,
        card_number: str | None = None,
        pin: str | None = None,
    ) -> str:
        return self.domain.people.add(
            connection, name=name, id_number=id_number, region=REGION, card_number=card_number, pin=pin, template=None,
            actor=ACTOR,
        ).person_id  # fmt: skip

    def _fill(self, connection: Connection, person_id: str, *, account: int, electronic: int, credit: int) -> None:
        """Give somebody their money, as `shualian ledger` and `shualian credit` do."""
        ledger = self.domain.ledger
        for name, amount_fen in (
            (Account(AccountKind.PERSON, person_id), account),
            (electronic_account(person_id), electronic),
        ):
            if amount_fen:
                reference = f"opening:{name.account_id}"
                ledger.fund(connection, name, amount_fen=amount_fen, reference=reference)
        if credit:
            self.domain.credit.approve(
                connection, person_id, limit_fen=credit, pay_within_days=CREDIT_DAYS, actor=ACTOR
            )


def _id_number(born: str, number: int) -> str:
    body = f"990000{born}{number:03d}"
    return body + checksum(body)
