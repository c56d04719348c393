"""Who would pay what? 1101, a registration where there is to be one (2201), and the pre-settlement (2206, 2101)."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers import Claim, Entitlement
from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.calls import InsuredAs
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.errors import (
    AnswerGarbledError,
    CoreRefusedError,
    OutcomeDisagreesError,
    VisitTakenError,
)
from server.settlement.insurers.fsi.kinds import Kind
from server.settlement.insurers.fsi.means import Means
from server.settlement.insurers.fsi.outcome import check_sums, quotation_from
from server.settlement.insurers.fsi.records import Visit, VisitState, claim_digest
from server.settlement.model import Quotation

REGISTRATION_REUSED_FOR: Final = timedelta(minutes=30)
"""How long a registration serves another quote for the same bill."""


class Quotes:
    """Asks who would pay what."""

    def __init__(self, means: Means) -> None:
        self._means: Final = means

    async def quote(self, claim: Claim) -> Quotation:
        """Return who would pay what; see the port."""
        kind, shown = self._means.kinds.of_bill(claim.bill), entitled(claim)
        institution = self._means.institutions.of_site(claim.site_id)
        try:
            insured = await self._insured(institution, claim, shown)
            visit = await self._visit(institution, claim, insured)
            visit = await self._registered(kind, institution, visit, claim)
            return await self._pre_settled(kind, institution, visit, shown)
        except CoreRefusedError as error:
            raise self._means.refusal_of(error) from error

    async def _insured(self, institution: Institution, claim: Claim, shown: Entitlement) -> InsuredAs:
        call = calls.person(institution, claim, shown, now=self._means.now())
        insured = calls.insured_as(await self._means.errands.look(call, person_id=claim.person_id))
        if insured is None:
            raise InsurerRefusedError(code="INSURANCE_MISSING")
        return insured

    async def _visit(self, institution: Institution, claim: Claim, insured: InsuredAs) -> Visit:
        """Return the visit for this bill: that of an earlier quote, while young and the same person's, or a new one."""

        def work(connection: Connection) -> Visit:
            earlier = self._means.records.open_visit(connection, claim_digest(claim))
            if earlier is not None and self._serves(earlier, institution, insured):
                return earlier
            return self._means.records.begin_visit(
                connection,
                claim,
                institution=institution.code,
                psn_no=insured.psn_no,
                insuplc=insured.insuplc_admdvs,
                insutype=insured.insutype,
            )

        return await self._means.unit_of_work.write(work)

    def _serves(self, visit: Visit, institution: Institution, insured: InsuredAs) -> bool:
        is_same = (visit.institution, visit.psn_no, visit.insuplc_admdvs, visit.insutype) == (
            institution.code,
            insured.psn_no,
            insured.insuplc_admdvs,
            insured.insutype,
        )
        return is_same and abs(self._means.now() - visit.made_at) < REGISTRATION_REUSED_FOR

    async def _registered(self, kind: Kind, institution: Institution, visit: Visit, claim: Claim) -> Visit:
        if not kind.registers or visit.mdtrt_id:
            return visit
        call = calls.register(institution, visit, entitled(claim), now=self._means.now())
        mdtrt_id = calls.mdtrt_id_from(await self._means.errands.look(call, person_id=visit.person_id))
        registered = await self._means.unit_of_work.write(
            lambda connection: self._noted(connection, claim, visit, mdtrt_id)
        )
        if registered is None:
            raise VisitTakenError
        return registered

    def _noted(self, connection: Connection, claim: Claim, visit: Visit, mdtrt_id: str) -> Visit | None:
        """Note a registration; return the visit as it is then, None when nobody can settle it any more.

        Another quote for the same bill may have registered it while this one did. The first one serves both, for a
        settlement may be under way on it; the second is to be cancelled.
        """
        records = self._means.records
        if records.change_open_visit(connection, visit, mdtrt_id=mdtrt_id):
            return replace(visit, mdtrt_id=mdtrt_id)
        present = records.visit_now(connection, visit)
        if present is None or present.mdtrt_id != mdtrt_id:
            stray = records.begin_visit(
                connection,
                claim,
                institution=visit.institution,
                psn_no=visit.psn_no,
                insuplc=visit.insuplc_admdvs,
                insutype=visit.insutype,
            )
            released = {"state": VisitState.RELEASED, "mdtrt_id": mdtrt_id, "ipt_otp_no": visit.ipt_otp_no}
            records.change_visit(connection, stray, **released)
        return present if present is not None and present.state is VisitState.OPEN else None

    async def _pre_settled(self, kind: Kind, institution: Institution, visit: Visit, shown: Entitlement) -> Quotation:
        form = self._means.profile.envelope.amounts
        call = calls.money(kind.quote, kind, institution, visit, shown, form=form)
        settled = self._means.looks.read(await self._means.errands.look(call, person_id=visit.person_id))
        if settled is None:
            raise AnswerGarbledError(what="setlinfo")
        try:
            check_sums(settled, visit, self._means.profile.answer)
        except OutcomeDisagreesError as error:
            raise InsurerRefusedError(code="OUTCOME_UNUSABLE") from error
        quotation = quotation_from(settled, self._means.profile.answer)
        shares = quotation.shares
        is_noted = await self._means.unit_of_work.write(
            lambda connection: self._means.records.change_open_visit(
                connection,
                visit,
                mdtrt_id=visit.mdtrt_id or settled.mdtrt_id,
                pooled_fund_fen=shares.pooled_fund_fen,
                personal_account_fen=shares.personal_account_fen,
                catastrophic_fen=shares.catastrophic_fen,
            )
        )
        if not is_noted:  # what is being settled was quoted by another, and stays as that one has it
            raise VisitTakenError
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
