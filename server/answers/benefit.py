"""How are the refusals of the local insurer answered? Part of the one table in errors.py, kept apart for its length."""

from types import MappingProxyType

from grpc import StatusCode

from server.answers import Answer, NextAction
from server.settlement.insurers.local import errors as local

BENEFITS = MappingProxyType(
    {
        local.RulesNotInForceError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="No benefit rules are in force today. Nothing can be settled.",
            next_action=NextAction.CONTACT_OPERATOR,
        ),
        local.ChronicDiseaseNotRegisteredError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="The person is not registered for this disease. Send the bill without it, or register first.",
        ),
        local.StayForeignError: Answer(
            code=StatusCode.PERMISSION_DENIED, public="This stay is another person's. Check the stay number."
        ),
        local.StaySettledError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="This stay is settled. Cancel its settlement first, or use another stay number.",
        ),
        local.PeriodInvalidError: Answer(
            code=StatusCode.INVALID_ARGUMENT, public="A registration cannot end before it begins."
        ),
    }
)
