"""What no request may hold, whatever the contract says of its fields."""

import pytest
from google.protobuf.message import Message

from server.interceptors import ValidationLayer
from server.refusals import InvalidRequestError
from shualian.admin.v1 import command_pb2, registry_pb2, rollout_pb2
from shualian.terminal.v1 import enrollment_pb2

LOOK = command_pb2.Order(action=command_pb2.COMMAND_ACTION_COLLECT_DIAGNOSTICS)


def a_start(**plan: object) -> rollout_pb2.StartRolloutRequest:
    return rollout_pb2.StartRolloutRequest(
        plan=rollout_pb2.RolloutPlan(order=LOOK, **plan),  # type: ignore[arg-type]  # fields of RolloutPlan
        reason="a look",
    )


def a_row(name: str) -> registry_pb2.ImportRow:
    return registry_pb2.ImportRow(
        line=2,
        serial_number=name,
        site_id="0195a000-0000-7000-8000-000000000001",
        manufacturer="Heron Devices",
        model="HD-3",
        terminal_class=registry_pb2.TERMINAL_CLASS_FACE,
        certification_number="C-1",
        record_number="R-1",
    )


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (rollout_pb2.StartRolloutRequest(plan=a_start().plan, reason="a\0look"), "reason"),
        (a_start(filter=registry_pb2.TerminalFilter(manufacturer="He\0ron")), "plan.filter.manufacturer"),
        (registry_pb2.ImportTerminalsRequest(rows=[a_row("SN-1"), a_row("SN-\0")]), "rows.serial_number"),
    ],
)
def test_no_text_holds_the_character_nul_at_any_depth(request_: Message, field: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        ValidationLayer().check(request_)

    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == (field, "must not hold the character U+0000")


def test_bytes_hold_what_they_like() -> None:
    ValidationLayer().check(a_start())
    ValidationLayer().check(enrollment_pb2.GetChallengeResponse(nonce=b"\0" * 32))
