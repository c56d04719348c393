"""Who would pay what? The quote: computed, bound to terminal, person and bill, and kept for some minutes."""

from datetime import datetime, timedelta, timezone

import uuid_utils
from sqlalchemy import Connection

from server.caller import Caller
from server.settlement.insurers import Claim
from server.settlement.limits import SettlementLimits, Shown, pin_required
from server.settlement.model import Bill, Quotation, Quote, Reckoning, SelfPayOffer
from server.settlement.store import QuoteRow, insert_quote

# One offset all year since 1991; not an IANA name, because a machine without time zone data must know the day too.
CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
KEPT_AFTER_EXPIRY = timedelta(hours=1)
"""How long an expired quote is kept, so that a late Settle hears "expired" and not "unknown"."""


def claim_for(
    caller: Caller, bill: Bill, *, person_id: str, payer_id: str, person_region: str, site_kind: str, benefit_year: int
) -> Claim:
    """Return what the insurer is asked about a bill at the caller's site."""
    return Claim(
        person_id=person_id,
        payer_id=payer_id,
        person_region=person_region,
        terminal_id=caller.terminal_id,
        site_id=caller.site_id,
        site_region=caller.region,
        site_kind=site_kind,
        benefit_year=benefit_year,
        bill=bill,
    )


def keep_quote(
    connection: Connection, caller: Caller, claim: Claim, *, quotation: Quotation, now: datetime, lifetime: timedelta
) -> QuoteRow:
    """Write a quote down and return it."""
    row = QuoteRow(
        quote_id=str(uuid_utils.uuid7()),
        terminal_id=caller.terminal_id,
        person_id=claim.person_id,
        payer_id=claim.payer_id,
        person_region=claim.person_region,
        site_kind=claim.site_kind,
        benefit_year=claim.benefit_year,
        bill=claim.bill,
        shares=quotation.shares,
        prepaid_back_fen=quotation.prepaid_back_fen,
        expires_at=now + lifetime,
    )
    insert_quote(connection, row, purge_before=now - KEPT_AFTER_EXPIRY)
    return row


def quote_of(
    row: QuoteRow,
    claims: Shown | None,
    limits: SettlementLimits,
    *,
    reckoning: tuple[Reckoning, ...],
    is_day_full: bool = False,
    offers: tuple[SelfPayOffer, ...] = (),
) -> Quote:
    """Return the quote as the terminal sees it; without claims a card was shown, which always comes with its PIN."""
    needs_pin = claims is not None and (is_day_full or pin_required(row.bill, claims, limits))
    return Quote(
        quote_id=row.quote_id,
        shares=row.shares,
        expires_at=row.expires_at,
        pin_required=needs_pin,
        staff_may_confirm=claims is not None and needs_pin and claims.staff_may_confirm,
        reckoning=reckoning,
        self_pay_offers=offers,
    )
