"""Who would pay what? 1101, a registration where there is to be one (2201), and the pre-settlement (2206, 2101)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers import Claim, Entitlement
from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.calls import InsuredAs
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.errand import Errands
from server.settlement.insurers.fsi.errors import AnswerGarbledError, CoreRefusedError, OutcomeDisagreesError
from server.settlement.insurers.fsi.institutions import Institutions
from server.settlement.insurers.fsi.kinds import Kind, Kinds
from server.settlement.insurers.fsi.looking import Looks
from server.settlement.insurers.fsi.outcome import check_sums, quotation_from
from server.settlement.insurers.fsi.profile import Profile
from server.settlement.insurers.fsi.records import Records, Visit, claim_digest
from server.settlement.model import Quotation
from server.store.unit_of_work import UnitOfWork

REGISTRATION_REUSED_FOR: Final = timedelta(minutes=30)
"""How long a registration serves another quote for the same bill."""


class Quotes:
    """Asks who would pay what."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        errands: Errands,
        institutions: Institutions,
        looks: Looks,
        records: Records,
        profile: Profile,
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where visits are written down.
            now: the clock.
            errands: ask the core.
            institutions: in whose name.
            looks: reads what a pre-settlement says.
            records: visits.
            profile: the province's dialect.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._errands: Final = errands
        self._institutions: Final = institutions
        self._looks: Final = looks
        self._records: Final = records
        self._profile: Final = profile
        self._kinds: Final = Kinds(profile)

    async def quote(self, claim: Claim) -> Quotation:
        """Return who would pay what; see the port."""
        kind, shown = self._kinds.of_bill(claim.bill), entitled(claim)
        institution = self._institutions.of_site(claim.site_id)
        try:
            insured = await self._insured(institution, claim, shown)
            visit = await self._visit(institution, claim, insured)
            visit = await self._registered(kind, institution, visit, shown)
            return await self._pre_settled(kind, institution, visit, shown)
        except CoreRefusedError as error:
            raise InsurerRefusedError(code=error.infcode) from error

    async def _insured(self, institution: Institution, claim: Claim, shown: Entitlement) -> InsuredAs:
        call = calls.person(institution, claim, shown, now=self._now())
        insured = calls.insured_as(await self._errands.look(call, person_id=claim.person_id))
        if insured is None:
            raise InsurerRefusedError(code="INSURANCE_MISSING")
        return insured

    async def _visit(self, institution: Institution, claim: Claim, insured: InsuredAs) -> Visit:
        """Return the visit for this bill: that of an earlier quote, while young and the same person's, or a new one."""

        def work(connection: Connection) -> Visit:
            earlier = self._records.open_visit(connection, claim_digest(claim))
            if earlier is not None and self._serves(earlier, institution, insured):
                return earlier
            return self._records.begin_visit(
                connection,
                claim,
                institution=institution.code,
                psn_no=insured.psn_no,
                insuplc=insured.insuplc_admdvs,
                insutype=insured.insutype,
            )

        return await self._unit_of_work.write(work)

    def _serves(self, visit: Visit, institution: Institution, insured: InsuredAs) -> bool:
        is_same = (visit.institution, visit.psn_no, visit.insuplc_admdvs, visit.insutype) == (
            institution.code,
            insured.psn_no,
            insured.insuplc_admdvs,
            insured.insutype,
        )
        return is_same and abs(self._now() - visit.made_at) < REGISTRATION_REUSED_FOR

    async def _registered(self, kind: Kind, institution: Institution, visit: Visit, shown: Entitlement) -> Visit:
        if not kind.registers or visit.mdtrt_id:
            return visit
        call = calls.register(institution, visit, shown, now=self._now())
        mdtrt_id = calls.mdtrt_id_from(await self._errands.look(call, person_id=visit.person_id))
        await self._unit_of_work.write(
            lambda connection: self._records.change_visit(connection, visit, mdtrt_id=mdtrt_id)
        )
        return replace(visit, mdtrt_id=mdtrt_id)

    async def _pre_settled(self, kind: Kind, institution: Institution, visit: Visit, shown: Entitlement) -> Quotation:
        form = self._profile.envelope.amounts
        call = calls.money(kind.quote, kind, institution, visit, shown, form=form)
        settled = self._looks.read(await self._errands.look(call, person_id=visit.person_id))
        if settled is None:
            raise AnswerGarbledError(what="setlinfo")
        try:
            check_sums(settled, visit, self._profile.answer)
        except OutcomeDisagreesError as error:
            raise InsurerRefusedError(code="OUTCOME_UNUSABLE") from error
        quotation = quotation_from(settled, self._profile.answer)
        shares = quotation.shares
        await self._unit_of_work.write(
            lambda connection: self._records.change_visit(
                connection,
                visit,
                mdtrt_id=visit.mdtrt_id or settled.mdtrt_id,
                pooled_fund_fen=shares.pooled_fund_fen,
                personal_account_fen=shares.personal_account_fen,
                catastrophic_fen=shares.catastrophic_fen,
            )
        )
        return quotation


def entitled(claim: Claim) -> Entitlement:
    """Return what was shown.

    Raises:
        InsurerRefusedError: nothing, or it speaks for another person than the one who is treated.
    """
    if claim.payer_id != claim.person_id:
        raise InsurerRefusedError(code="FAMILY_ACCOUNT_UNSUPPORTED")
    if claim.entitlement is None:
        raise InsurerRefusedError(code="ENTITLEMENT_MISSING")
    return claim.entitlement
