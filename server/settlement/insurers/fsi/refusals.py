"""What does a core mean by its no? A province's codes and words, and which of our kinds each of them is."""

from dataclasses import dataclass
from enum import StrEnum


class RefusalKind(StrEnum):
    """What a cashier has a sentence for (server/answers/cashier.toml, `[insurer.*]`)."""

    FORM = "FORM"
    """It cannot read what was sent."""
    TRUST = "TRUST"
    """It does not accept our signature."""
    SIGN_IN = "SIGN_IN"
    PERSON_UNKNOWN = "PERSON_UNKNOWN"
    CERTIFICATE_KIND = "CERTIFICATE_KIND"
    """It does not take what was shown."""
    PERSON_SUSPENDED = "PERSON_SUSPENDED"
    INSURANCE_MISSING = "INSURANCE_MISSING"
    NOT_COVERED = "NOT_COVERED"
    """It pays nothing for this kind of business."""
    VISIT_MISSING = "VISIT_MISSING"
    QUOTE_GONE = "QUOTE_GONE"
    SETTLEMENT_UNKNOWN = "SETTLEMENT_UNKNOWN"
    SETTLEMENT_ENDED = "SETTLEMENT_ENDED"
    """It was undone already."""
    NOT_REVERSIBLE = "NOT_REVERSIBLE"


@dataclass(frozen=True, slots=True)
class RefusalRule:
    """One refusal that a province gives a name to."""

    infcode: str
    words: str
    """Must stand in err_msg; empty: whatever stands there."""
    kind: RefusalKind

    @staticmethod
    def from_text(text: str) -> "RefusalRule":
        """Read `infcode=KIND`, or `infcode:words=KIND`.

        Raises:
            ValueError: it is not written so, or there is no such kind.
        """
        refusal, equals, kind = text.rpartition("=")
        infcode, _, words = refusal.partition(":")
        if not equals or not infcode:
            raise ValueError(text)
        return RefusalRule(infcode=infcode, words=words, kind=RefusalKind(kind))

    def fits(self, *, infcode: str, err_msg: str) -> bool:
        """Return whether a refusal is this one."""
        return infcode == self.infcode and self.words in err_msg
