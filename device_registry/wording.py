"""What may stand in a field that people write: not empty, not endless, and printable where it is shown in a line."""

from device_registry.errors import FieldInvalidError

REASON_LENGTH_MAX = 500
ACTOR_LENGTH_MAX = 128


def refuse_text(length_max: int, **fields: str) -> None:
    """Raise when one of these is empty, too long or cannot be printed."""
    for field, value in fields.items():
        if not 0 < len(value.strip()) <= length_max or not value.isprintable():
            raise FieldInvalidError(field=field, detail=f"1 to {length_max} printable characters")


def refuse_reason(reason: str) -> None:
    """Raise when nobody says why."""
    if not reason.strip() or len(reason) > REASON_LENGTH_MAX:
        raise FieldInvalidError(field="reason", detail=f"1 to {REASON_LENGTH_MAX} characters")


def refuse_actor(actor: str) -> None:
    """Raise when nobody is named as the one who acts."""
    if not actor.strip() or len(actor) > ACTOR_LENGTH_MAX:
        raise FieldInvalidError(field="actor", detail=f"1 to {ACTOR_LENGTH_MAX} characters")
