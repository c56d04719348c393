"""What the settlement room's errors promise."""

import inspect

from server.settlement import errors


def test_each_error_has_a_reason_of_its_own() -> None:
    classes = [
        value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.SettlementError)
    ]

    reasons = [value.reason for value in classes]

    assert len(set(reasons)) == len(reasons) > 20
    assert all(reason.replace("_", "").isalnum() and reason == reason.upper() for reason in reasons)
