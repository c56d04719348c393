"""Which certificates are revoked, for others to read: a signed list of each issuing authority, new when it changes.

The platform itself does not need the list: it looks at every call. It is for gateways, auditors and whoever else
checks a terminal's certificate.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from sqlalchemy import Connection

from device_registry.authority.authority import Authority
from device_registry.errors import IssuerUnknownError
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
    head: tuple[int, str]
    """Last entry of the log of revocations when the list was made."""
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
        if not self._authority.knows(issuer_id):  # nothing is read for a name that somebody made up
            raise IssuerUnknownError(issuer_id=issuer_id)
        head = await self._unit_of_work.read(self._revocations.head)
        if (kept := self._kept(issuer_id)) is not None and kept.head == head:
            return kept
        async with self._signing:  # whoever asks meanwhile gets what this one signs
            if (kept := self._kept(issuer_id)) is not None and kept.head == head:
                return kept
            return await self._made(issuer_id)

    def _kept(self, issuer_id: str) -> SignedList | None:
        """Return the list that was signed last, unless its time comes to an end."""
        kept = self._lists.get(issuer_id)
        return kept if kept is not None and self._now() - kept.signed_at < SIGNED_ANEW_AFTER else None

    async def _made(self, issuer_id: str) -> SignedList:
        """Read what is revoked, which may be much, and sign it unless that is what was signed last."""
        now = self._now()

        def read(connection: Connection) -> tuple[tuple[int, str], list[RevokedCertificate]]:
            head = self._revocations.head(connection)
            return head, self._revocations.revoked_certificates(connection, issuer_id, now)

        head, listed = await self._unit_of_work.read(read)
        kept = self._kept(issuer_id)
        if kept is not None and kept.listed == listed:
            made = replace(kept, head=head)
        else:
            made = await asyncio.to_thread(self._signed, issuer_id, listed, now=now, head=head)
        self._lists[issuer_id] = made
        return made

    def _signed(
        self, issuer_id: str, listed: Sequence[RevokedCertificate], *, now: datetime, head: tuple[int, str]
    ) -> SignedList:
        former = self._lists.get(issuer_id)
        # By the clock: several replicas sign for one authority, and a restart must not begin at 1 again.
        number = max(
            (now - datetime.fromtimestamp(0, tz=now.tzinfo)) // _MICROSECOND, former.number + 1 if former else 1
        )
        lines = [(item.certificate_serial, item.revoked_at, _FLAGS[item.code]) for item in listed]
        der = self._authority.sign_crl(issuer_id, lines, number, now, now + LIFETIME)
        return SignedList(der=der, head=head, listed=listed, number=number, signed_at=now)
