"""Which calls settle a bill? Visits and purchases have a family of calls each, picked by use type."""

from dataclasses import dataclass
from typing import Final

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers.fsi.profile import Profile
from server.settlement.model import Bill


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One family of calls."""

    quote: str
    settle: str
    undo: str
    node: str
    """What the input is called."""
    has_lines: bool
    registers: bool
    med_type: str
    psn_setlway: str
    clr_type: str
    uses_account: bool


class Kinds:
    """The families of one profile."""

    def __init__(self, profile: Profile) -> None:
        visits, purchases = profile.outpatient, profile.pharmacy
        self.outpatient: Final = Kind(
            quote="2206",
            settle="2207",
            undo="2208",
            node="data",
            has_lines=False,
            registers=visits.registers,
            med_type=visits.med_type,
            psn_setlway=visits.psn_setlway,
            clr_type=visits.clr_type,
            uses_account=visits.uses_account,
        )
        self.pharmacy: Final = Kind(
            quote="2101",
            settle="2102",
            undo="2103",
            node="druginfo",
            has_lines=True,
            registers=False,
            med_type=purchases.med_type,
            psn_setlway=purchases.psn_setlway,
            clr_type=purchases.clr_type,
            uses_account=purchases.uses_account,
        )
        self._by_type: Final = {
            **{int(code): self.outpatient for code in visits.business_types},
            **{int(code): self.pharmacy for code in purchases.business_types},
        }

    def of_bill(self, bill: Bill) -> Kind:
        """Return how a bill is settled.

        Raises:
            InsurerRefusedError: not here. Stays and chronic diseases have calls of their own, which we do not speak.
        """
        kind = self.of(bill.business_type)
        if kind is None or bill.stay_number or bill.chronic_disease:
            raise InsurerRefusedError(code="BUSINESS_TYPE_NOT_PAYABLE")
        return kind

    def of(self, business_type: int) -> Kind | None:
        """Return how a use type is settled; None: not here."""
        return self._by_type.get(business_type)
