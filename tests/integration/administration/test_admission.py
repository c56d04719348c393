"""Operators at the door who may not come in: the database is asked about each of them once a second at most."""

from typing import Any

import pytest
from sqlalchemy import Connection

from device_registry.errors import OperatorUnknownError
from device_registry.operators.operators import AdmittedOperator, Operators
from server.administration.admission import Admission
from server.refusals import RateLimitedError
from tests.support.operators import EnrolledOperator, an_operator, an_unknown_operator
from tests.support.platform import ACTOR, RunningPlatform

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Counted(Operators):
    """Operators who know how often they were asked for."""

    asked = 0

    def admit(self, connection: Connection, fingerprint: str) -> AdmittedOperator:
        """Count, and ask."""
        self.asked += 1
        return super().admit(connection, fingerprint)


class Connected:
    """A call over a connection with somebody's certificate."""

    def __init__(self, operator: EnrolledOperator) -> None:
        self._chain_pem = operator.chain_pem

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return what TLS has verified."""
        return {"x509_pem_cert": [self._chain_pem]}


class Stopwatch:
    """Seconds that pass when a test says so."""

    seconds = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


def a_door(running: RunningPlatform) -> tuple[Admission, Counted, Stopwatch]:
    domain, clock = running.domain, Stopwatch()
    operators = Counted(now=domain.now, authority=domain.authority, audit=domain.audit)
    admission = Admission(unit_of_work=running.platform.unit_of_work, operators=operators, testimony=None, clock=clock)
    return admission, operators, clock


async def test_i11_a_certificate_that_is_refused_is_looked_up_once_a_second(running: RunningPlatform) -> None:
    admission, operators, clock = a_door(running)
    call: Any = Connected(an_unknown_operator(running))
    for _ in range(100):
        with pytest.raises((OperatorUnknownError, RateLimitedError)):
            await admission.of(call)
    assert operators.asked == 1

    clock.seconds += 1.5
    with pytest.raises((OperatorUnknownError, RateLimitedError)):
        await admission.of(call)
    assert operators.asked == 2


async def test_i02_who_is_let_in_is_looked_up_at_every_call(running: RunningPlatform) -> None:
    admission, operators, _ = a_door(running)
    operator = await an_operator(running, name="looked-up")
    call: Any = Connected(operator)
    assert (await admission.of(call)).name == "looked-up"
    asked = operators.asked

    await admission.of(call)

    assert operators.asked == asked + 1
    await running.write(
        lambda connection: running.domain.operators.revoke(connection, name="looked-up", reason="left", actor=ACTOR)
    )
    with pytest.raises(Exception, match="looked-up"):
        await admission.of(call)
