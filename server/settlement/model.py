"""What passes between the desk, the ledger and the insurers: bills, authorizations, quotes, receipts."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

WAYS_TO_PAY = ("face", "dynamic_code", "card_with_pin", "family_account", "counter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a site asks for."""

    bill_number: str
    """The site's own number; nothing personal."""
    business_type: int
    """National use type without its leading zero, 01301 is 1301."""
    total_fen: int
    """The whole bill, above zero."""
    not_covered_fen: int
    """The part outside the insurance catalogue, at most the total."""
    stay_number: str = ""
    """The site's own number of an inpatient stay; nothing personal. Empty for everything else."""
    chronic_disease: str = ""
    """Key of the chronic or special disease it is for, as the insurer's rules name it; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Who pays what of a bill: fund, account and self-pay sum to the total."""

    total_fen: int
    pooled_fund_fen: int
    personal_account_fen: int
    self_pay_fen: int
    catastrophic_fen: int = 0
    """Of the pooled fund: what the catastrophic tier pays."""
    prepaid_fen: int = 0
    """Of the self-paid part: what prepayments of the stay cover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """One step of how the shares came about."""

    step: str
    """Stable key, upper case."""
    amount_fen: int
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotation:
    """What an insurer would pay, and why."""

    shares: Shares
    reckoning: tuple[Reckoning, ...] = ()
    prepaid_back_fen: int = 0
    """What is left of the prepayments of a stay, and given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceAuthorization:
    """A face, proven by an assertion that can be used once."""

    assertion: str
    """The signed token; a secret."""
    pin: str | None = None
    """Looked at only above the PIN-free limit."""
    staff_assertion: str | None = None
    """A practitioner's token, in the place of the PIN; a secret. Looked at only where a PIN is needed and none came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAuthorization:
    """An insurance card and its PIN."""

    card_number: str
    pin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAuthorization:
    """A dynamic code that was scanned; it can be used once."""

    code: str
    """The signed token; a secret."""
    pin: str | None = None
    """Looked at only above the PIN-free limit."""


@dataclass(frozen=True, slots=True)
class BareIdNumber:
    """An ID number and nothing else. It pays nothing, so not even the number is taken in (I12)."""


Authorization = FaceAuthorization | CardAuthorization | CodeAuthorization | BareIdNumber


class SelfPayKind(StrEnum):
    """From where the self-paid part comes."""

    CASH = "CASH"
    """In the cashier's hand."""
    ELECTRONIC_ACCOUNT = "ELECTRONIC_ACCOUNT"
    """The payer's electronic account with the scheme."""
    CREDIT = "CREDIT"
    """Owed by the payer, up to their approved limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPay:
    """A part of the self-paid part."""

    kind: SelfPayKind
    amount_fen: int
    """Above zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPayOffer:
    """What one channel could pay of the self-paid part."""

    kind: SelfPayKind
    up_to_fen: int
    pin_required: bool
    """True when this channel asks for the PIN, whatever the amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Who would pay what, and until when that holds."""

    quote_id: str
    shares: Shares
    expires_at: datetime
    pin_required: bool
    """True when Settle will ask for a PIN beside the face."""
    staff_may_confirm: bool
    """True when a practitioner may confirm in the place of that PIN."""
    reckoning: tuple[Reckoning, ...] = ()
    """Why these shares, step by step."""
    self_pay_offers: tuple[SelfPayOffer, ...] = ()
    """How the self-paid part may be paid, cash first; empty when nothing is self-paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the patient takes home; the same for every repetition of the request."""

    receipt_id: str
    transaction_id: str
    bill_number: str
    shares: Shares
    settled_at: datetime
    personal_account_balance_fen: int
    self_pay: tuple[SelfPay, ...] = ()
    """How the self-paid part was paid, without what was prepaid."""
    masked_payer_name: str = ""
    """Who paid: the holder of the face, code or card."""
    masked_patient_name: str = ""
    """Who was treated; another than the payer in a family account."""
    is_repeated: bool = field(default=False, compare=False)
    """True when an earlier request had settled it; no part of the receipt itself."""


class SettlementState(StrEnum):
    """Where a settlement stands; QUOTED lives in the quotes table alone."""

    PENDING = "PENDING"
    SETTLED = "SETTLED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    REVERSED = "REVERSED"
    CANCELLED = "CANCELLED"


class Intent(StrEnum):
    """What we want the insurer to end up with, while we do not know what it has."""

    SETTLE = "SETTLE"
    CANCEL = "CANCEL"
    REVERSE = "REVERSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One settlement as its terminal may see it."""

    state: SettlementState
    receipt: Receipt | None
    """Set once it was settled, and kept after a cancellation or reversal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """The transaction is not paid and will not be."""

    reversed_at: datetime
    money_moved_back: bool
    """True when money had moved and was moved back."""
