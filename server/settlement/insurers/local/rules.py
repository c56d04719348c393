"""What does the `local` insurer grant, on which day? The records of the rules, and which of them a bill comes under."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from server.settlement.errors import BillInvalidError, BusinessTypeNotPayableError
from server.settlement.insurers.local.errors import RulesNotInForceError
from server.settlement.insurers.local.split import Benefits, Catastrophic, Tier
from server.settlement.model import Bill

PREPAYMENT_TYPES = (1103, 1104)
"""入院登记 and 缴纳预缴金: money for a stay that is paid beforehand."""
BEDSIDE_TYPE = 1301
"""结算: with a stay number it is the settlement of the stay."""
OUTPATIENT = ""
INPATIENT = "INPATIENT"


class Place(StrEnum):
    """Where somebody is treated, as seen from their own region."""

    HOME = "HOME"
    FILED = "FILED"
    """Out of the region, and filed for it (异地就医备案)."""
    UNFILED = "UNFILED"
    """Out of the region, without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inpatient:
    """What is granted for a stay at one kind of site."""

    deductible_fen: int
    deductible_per_stay: bool
    """Else it is counted over the year's stays."""
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """What is granted at one kind of site."""

    deductible_fen: int
    """Of outpatient bills, per year."""
    tiers: tuple[Tier, ...]
    inpatient: Inpatient | None
    """None: nobody is admitted there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronic:
    """门诊慢特病: what is granted for one disease to those who are registered for it."""

    name_zh: str
    name_en: str
    sites: frozenset[str]
    deductible_fen: int
    annual_cap_fen: int
    """The disease's own; the year's holds too."""
    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """The rules that are in force from a day on, until the next set is."""

    effective_from: date
    business_types: frozenset[int]
    annual_cap_fen: int
    filed_reduction_bp: int
    unfiled_reduction_bp: int
    catastrophic: Catastrophic | None
    sites: Mapping[str, SiteRules]
    chronic: Mapping[str, Chronic]

    def benefits_for(self, bill: Bill, *, site_kind: str, place: Place) -> Benefits:
        """Return what is granted for a bill that is no prepayment.

        Raises:
            BusinessTypeNotPayableError: nothing: the use type is not paid for, or not at such a site.
            BillInvalidError: a stay or a disease does not go with it; names the field.
        """
        site = self.sites.get(site_kind)
        if site is None or bill.business_type not in self.business_types:
            raise BusinessTypeNotPayableError(business_type=bill.business_type)
        reduction = {Place.HOME: 0, Place.FILED: self.filed_reduction_bp, Place.UNFILED: self.unfiled_reduction_bp}
        granted = self._granted(bill, site, site_kind)
        own_cap = granted.annual_cap_fen if isinstance(granted, Chronic) else None
        return Benefits(
            deductible_fen=granted.deductible_fen,
            deductible_per_stay=isinstance(granted, Inpatient) and granted.deductible_per_stay,
            tiers=granted.tiers,
            annual_cap_fen=self.annual_cap_fen,
            own_cap_fen=own_cap,
            reduction_bp=reduction[place],
            catastrophic=self.catastrophic,
        )

    def check_prepayment(self, bill: Bill, *, site_kind: str) -> None:
        """Refuse a prepayment where nobody is admitted, or that names no stay.

        Raises:
            BusinessTypeNotPayableError, BillInvalidError: so.
        """
        site = self.sites.get(site_kind)
        if site is None or site.inpatient is None:
            raise BusinessTypeNotPayableError(business_type=bill.business_type)
        if not bill.stay_number:
            raise BillInvalidError(field="stay_number")
        if bill.chronic_disease:
            raise BillInvalidError(field="chronic_disease")

    def _granted(self, bill: Bill, site: SiteRules, site_kind: str) -> SiteRules | Inpatient | Chronic:
        if bill.stay_number:
            if bill.business_type != BEDSIDE_TYPE:
                raise BillInvalidError(field="stay_number")
            if bill.chronic_disease:
                raise BillInvalidError(field="chronic_disease")
            if site.inpatient is None:
                raise BusinessTypeNotPayableError(business_type=bill.business_type)
            return site.inpatient
        if bill.chronic_disease:
            disease = self.chronic.get(bill.chronic_disease)
            if disease is None or site_kind not in disease.sites:
                raise BillInvalidError(field="chronic_disease")
            return disease
        return site


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBook:
    """All sets of rules of a scheme, the earliest first."""

    sets: tuple[RuleSet, ...]

    def on(self, day: date) -> RuleSet:
        """Return the set that is in force on a day.

        Raises:
            RulesNotInForceError: the first set begins later.
        """
        for rules in reversed(self.sets):
            if rules.effective_from <= day:
                return rules
        raise RulesNotInForceError(day=day)


def is_prepayment(bill: Bill) -> bool:
    """Return whether a bill is money paid beforehand for a stay."""
    return bill.business_type in PREPAYMENT_TYPES


def pot_of(bill: Bill) -> str:
    """Return which bills of the year count together with this one: outpatient, inpatient, or those for one disease."""
    if bill.stay_number:
        return INPATIENT
    return f"CHRONIC:{bill.chronic_disease}" if bill.chronic_disease else OUTPATIENT
