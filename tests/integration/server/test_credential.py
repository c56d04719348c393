"""Credentials over real mTLS: a code from one terminal pays at another, and a face in the register activates."""

import re
from datetime import date, timedelta

import grpc
import pytest
import uuid_utils

from device_registry import TerminalClass
from server.register_simulator.app import application
from server.register_simulator.people import Mode, Script, SimulatedPerson, SimulatedRegister
from server.settings.credential import RegisterKind
from server.settlement.ledger import Account, AccountKind
from shualian.terminal.v1 import (
    credential_pb2,
    credential_pb2_grpc,
    face_pb2,
    settlement_pb2,
    settlement_pb2_grpc,
    types_pb2,
)
from tests.support.credentials import an_id_number_of
from tests.support.http import served
from tests.support.platform import RunningPlatform, a_platform, an_enrolled_terminal, refusal
from tests.support.visitors import CARD_NUMBER, LIN, MA, PIN, face_session, insured, start

OUTPATIENT = types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT


def by_card() -> credential_pb2.HolderProof:
    return credential_pb2.HolderProof(card=credential_pb2.CardProof(card_number=CARD_NUMBER, pin=PIN))


async def with_credential(running: RunningPlatform) -> str:
    """Have a person with money, a card and an active credential, and return their id."""
    person = await insured(running, LIN)
    domain = running.domain

    def write(connection: object) -> None:
        digest = domain.people.digest_of(name=LIN.name, id_number=LIN.id_number)
        domain.credentials.activate(
            connection,  # type: ignore[arg-type]  # of the unit of work
            person_id=person.person_id,
            identity_digest=digest,
            actor="operator:test",
            request_id="",
        )
        fund = Account(kind=AccountKind.POOLED_FUND, owner="330100")
        domain.ledger.fund(connection, fund, amount_fen=1_000_000, reference="test")  # type: ignore[arg-type]  # as above

    await running.write(write)
    return person.person_id


async def test_a_code_that_one_terminal_shows_is_paid_with_once_at_another(running: RunningPlatform) -> None:
    await with_credential(running)
    shows = await an_enrolled_terminal(running, serial_number="SL-1", terminal_class=TerminalClass.CARD)
    scans = await an_enrolled_terminal(running, serial_number="SL-2", terminal_class=TerminalClass.SCAN)
    bill = settlement_pb2.Bill(bill_number="B-1", business_type=OUTPATIENT, total_fen=12_000)
    async with shows.channel() as channel:
        issued = await credential_pb2_grpc.CredentialServiceStub(channel).IssueCode(
            credential_pb2.IssueCodeRequest(proof=by_card())
        )
    async with scans.channel() as channel:
        resolved = await credential_pb2_grpc.CredentialServiceStub(channel).ResolveCode(
            credential_pb2.ResolveCodeRequest(code=issued.code, business_type=OUTPATIENT)
        )
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        code = settlement_pb2.Authorization(code=settlement_pb2.CodeAuthorization(code=issued.code))
        quote = await stub.PreSettle(settlement_pb2.PreSettleRequest(bill=bill, authorization=code))
        request = settlement_pb2.SettleRequest(
            transaction_id=str(uuid_utils.uuid7()), quote_id=quote.quote_id, bill=bill, authorization=code
        )
        paid = await stub.Settle(request)
        again = await stub.Settle(request)
        found = await stub.GetSettlement(settlement_pb2.GetSettlementRequest(transaction_id=request.transaction_id))
        with pytest.raises(grpc.aio.AioRpcError) as used:
            await stub.PreSettle(settlement_pb2.PreSettleRequest(bill=bill, authorization=code))

    assert resolved.masked_name == paid.receipt.masked_payer_name == paid.receipt.masked_patient_name == "林*"
    assert paid == again
    assert found.receipt == paid.receipt
    assert refusal(used.value).reason == "CODE_USED"
    assert issued.code not in str(used.value)
    assert re.match(rb"<\?xml[^>]*>\s*<svg ", issued.qr_svg)
    for result in ("ISSUED", "RESOLVED"):
        assert running.counted("credential_codes_total", result=result) == 1
    assert running.counted("authorizations_total", way="CODE", outcome="ACCEPTED") == 3


async def test_a_face_that_is_the_registers_activates_and_then_binds_a_child(running: RunningPlatform) -> None:
    await insured(running, LIN)
    terminal = await an_enrolled_terminal(running)
    opens = start(LIN)
    opens.start.purpose = face_pb2.PURPOSE_ACTIVATE
    decision = (await face_session(terminal, claims=LIN, shows=LIN, opens=opens)).decision
    child = types_pb2.ClaimedIdentity(id_number=an_id_number_of(date(2018, 6, 1)), name="林小溪")
    async with terminal.channel() as channel:
        stub = credential_pb2_grpc.CredentialServiceStub(channel)
        request = credential_pb2.ActivateRequest(request_id=str(uuid_utils.uuid7()), face_assertion=decision.assertion)
        done = await stub.Activate(request)
        again = await stub.Activate(request)
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.BindRelative(
                credential_pb2.BindRelativeRequest(request_id=str(uuid_utils.uuid7()), holder=by_card(), relative=child)
            )
        ended = await stub.Unbind(credential_pb2.UnbindRequest(proof=by_card()))

    assert decision.amount_limit_fen == decision.pin_free_limit_fen == 0
    assert (decision.person.name, done.masked_name) == ("林*", "林*")
    assert done == again
    assert refusal(unknown.value).reason == "PERSON_NOT_IN_REGISTER"
    assert ended.ended_at.seconds >= done.activated_at.seconds
    assert running.counted("activations_total", outcome="ACTIVATED") == 1
    assert running.counted("activations_total", outcome="UNCHANGED") == 1


async def test_somebody_whom_only_a_register_elsewhere_knows_activates_and_has_a_face_here_from_then_on() -> None:
    ma = SimulatedPerson(id_number=MA.id_number, name=MA.name, region="330200", portrait=LIN.jpeg)
    simulated = SimulatedRegister((ma,))
    async with served(application(simulated)) as address:
        elsewhere = {
            "kind": RegisterKind.HTTP,
            "url": f"http://{address}",
            "timeout": timedelta(seconds=30),
            "answer_after": timedelta(),
        }
        async with a_platform(register=elsewhere) as running:
            terminal = await an_enrolled_terminal(running)
            opens = start(MA)
            opens.start.purpose = face_pb2.PURPOSE_ACTIVATE
            decision = (await face_session(terminal, claims=MA, shows=LIN, opens=opens)).decision
            async with terminal.channel() as channel:
                stub = credential_pb2_grpc.CredentialServiceStub(channel)
                done = await stub.Activate(
                    credential_pb2.ActivateRequest(
                        request_id=str(uuid_utils.uuid7()), face_assertion=decision.assertion
                    )
                )
            people = running.domain.people
            person_id = await running.write(lambda c: people.id_by_number(c, MA.id_number))
            person = await running.write(lambda c: people.get(c, person_id or ""))
            has_face = await running.write(lambda c: people.has_face(c, person_id or ""))
            simulated.script = Script(mode=Mode.DOWN)
            with pytest.raises(grpc.aio.AioRpcError) as down:
                await face_session(terminal, claims=MA, shows=LIN, opens=opens)
            asked = running.counted("register_questions_total", result="UNAVAILABLE")

    assert done.masked_name == "马*"
    assert person is not None
    assert (person.region, has_face) == ("330200", True)
    assert refusal(down.value).reason == "REGISTER_UNAVAILABLE"
    assert asked == 1
