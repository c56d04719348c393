"""What of the platform's answers in a face session may be told, and in which words? No assertion, nothing unmasked."""

from shualian.terminal.v1 import face_pb2


def accepted(message: face_pb2.Accepted) -> dict[str, object]:
    """Return the opened session as fields of an event."""
    actions = [
        face_pb2.ChallengeAction.Name(action).removeprefix("CHALLENGE_ACTION_") for action in message.challenge.actions
    ]
    return {"session_id": message.session_id, "actions": actions}


def guidance(message: face_pb2.Guidance) -> dict[str, object]:
    """Return what to do now as fields of an event, with the platform's own sentences."""
    return {
        "hint": hint_name(message.hint),
        "action_index": message.action_index,
        "action_progress": round(message.action_progress, 2) + 0.0,  # minus zero becomes zero
        "zh": message.texts.get("zh", ""),
        "en": message.texts.get("en", ""),
    }


def second_factor(message: face_pb2.SecondFactorAsked) -> dict[str, object]:
    """Return the question for one thing more as fields of an event."""
    return {"kinds": [second_factor_name(kind) for kind in message.kinds], "tries_left": message.tries_left}


def decision(message: face_pb2.Decision) -> dict[str, object]:
    """Return how the session ended as fields of an event."""
    person = message.person
    told: dict[str, object] = {
        "outcome": outcome_name(message),
        "liveness": face_pb2.LivenessBand.Name(message.liveness.band).removeprefix("LIVENESS_BAND_"),
        "challenge_passed": message.liveness.challenge_passed,
        "person": {"name": person.name, "id_number": person.id_number} if message.HasField("person") else None,
        "decision_ms": round(message.decision_time.ToTimedelta().total_seconds() * 1000),
        "frames_used": message.frames_used,
        "other_ways": [face_pb2.PaymentWay.Name(way).removeprefix("PAYMENT_WAY_") for way in message.other_ways],
    }
    if message.assertion:
        told |= {
            "amount_limit_fen": message.amount_limit_fen,
            "pin_free_limit_fen": message.pin_free_limit_fen,
            "staff_may_confirm": message.staff_may_confirm,
        }
    return told


def outcome_name(message: face_pb2.Decision) -> str:
    """Return the outcome without its prefix."""
    return face_pb2.DecisionOutcome.Name(message.outcome).removeprefix("DECISION_OUTCOME_")


def hint_name(hint: face_pb2.Hint.ValueType) -> str:
    """Return a hint without its prefix."""
    return face_pb2.Hint.Name(hint).removeprefix("HINT_")


def second_factor_name(kind: face_pb2.SecondFactorKind.ValueType) -> str:
    """Return a kind of second factor without its prefix."""
    return face_pb2.SecondFactorKind.Name(kind).removeprefix("SECOND_FACTOR_KIND_")
