"""Which certificates are revoked, for others to read: a signed list of each issuing authority, new when it changes.

The platform itself does not need the list: it looks at every call. It is for gateways, auditors and whoever else
checks a terminal's certificate.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from device_registry.authority.authority import Authority
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationReason, RevokedCertificate
from server.store import UnitOfWork

LIFETIME = timedelta(days=1)
"""From a list to the latest moment of the next one."""
SIGNED_ANEW_AFTER = LIFETIME / 2
"""An unchanged list is signed anew from then on, so that nobody ever reads one that is about to lapse."""
_MICROSECOND = timedelta(microseconds=1)

_FLAGS = {
    RevocationReason.UNSPECIFIED: x509.ReasonFlags.unspecified,
    RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    RevocationReason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
    RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
    RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    RevocationReason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
    RevocationReason.REMOVE_FROM_CRL: x509.ReasonFlags.remove_from_crl,
    RevocationReason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedList:
    """One list as it is served."""

    der: bytes
    listed: Sequence[RevokedCertificate]
    number: int
    signed_at: datetime


class RevocationLists:
    """Signs the lists and keeps them until they change."""

    def __init__(
        self, *, unit_of_work: UnitOfWork, revocations: Revocations, authority: Authority, now: Callable[[], datetime]
    ) -> None:
        self._unit_of_work = unit_of_work
        self._revocations = revocations
        self._authority = authority
        self._now = now
        self._lists: dict[str, SignedList] = {}
        self._signing = asyncio.Lock()

    async def of(self, issuer_id: str) -> SignedList:
        """Return an issuing authority's list as it stands now.

        Raises:
            IssuerUnknownError: there is no such authority.
            AuthorityError: nothing can be signed now.
            StoreError: the database cannot be asked.
        """
        now = self._now()
        listed = await self._unit_of_work.read(
            lambda connection: self._revocations.revoked_certificates(connection, issuer_id, now)
        )
        async with self._signing:  # whoever asks meanwhile gets what this one signs
            former = self._lists.get(issuer_id)
            if former is None or former.listed != listed or now - former.signed_at >= SIGNED_ANEW_AFTER:
                former = await asyncio.to_thread(self._signed, issuer_id, listed, now, former)
                self._lists[issuer_id] = former
            return former

    def _signed(
        self, issuer_id: str, listed: Sequence[RevokedCertificate], now: datetime, former: SignedList | None
    ) -> SignedList:
        # By the clock: several replicas sign for one authority, and a restart must not begin at 1 again.
        number = max(
            (now - datetime.fromtimestamp(0, tz=now.tzinfo)) // _MICROSECOND, former.number + 1 if former else 1
        )
        lines = [(item.certificate_serial, item.revoked_at, _FLAGS[item.code]) for item in listed]
        der = self._authority.sign_crl(issuer_id, lines, number, now, now + LIFETIME)
        return SignedList(der=der, listed=listed, number=number, signed_at=now)
