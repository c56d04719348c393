"""What does a message say, and does it keep the rules? Lengths and duties as the national envelope has them."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.seals import canonical

INPUT_CHARACTERS_MAX: Final = 40_000
UPLOAD: Final = "9101"
"""The one call whose input may be longer: it carries a file."""
SIGN_IN: Final = "9001"

_LENGTHS: Final[Mapping[str, int]] = {
    "infno": 4, "msgid": 30, "mdtrtarea_admvs": 6, "insuplc_admdvs": 6, "recer_sys_code": 10, "dev_no": 100,
    "dev_safe_info": 2000, "cainfo": 1024, "signtype": 10, "infver": 6, "opter_type": 3, "opter": 30, "opter_name": 50,
    "inf_time": 19, "fixmedins_code": 30, "fixmedins_name": 200, "sign_no": 30, "app_id": 100, "enc_type": 10,
}  # fmt: skip
_REQUIRED: Final = (
    "infno", "msgid", "mdtrtarea_admvs", "recer_sys_code", "infver", "opter_type", "opter", "opter_name", "inf_time",
    "fixmedins_code", "fixmedins_name",
)  # fmt: skip
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "infno": re.compile(r"\d{4}[A-Z]?"),
    "msgid": re.compile(r"[0-9A-Za-z-]{1,30}"),
    "mdtrtarea_admvs": re.compile(r"\d{6}"),
    "insuplc_admdvs": re.compile(r"\d{6}|"),
    "opter_type": re.compile(r"[123]"),
}
_TIME_FORM: Final = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request, opened and checked."""

    infno: str
    msgid: str
    institution: str
    region: str
    """`mdtrtarea_admvs`: where the person is treated."""
    sign_no: str
    operator: str
    device: str
    """`dev_no`: the terminal."""
    evidence: str = field(repr=False)
    """`dev_safe_info`: digest of what was shown to the terminal."""
    input: Mapping[str, Any] = field(repr=False)
    digest: str
    """Over what is asked (call, institution, input), not over how: a repeat may carry a newer sign_no or time."""

    def part(self, name: str = "data") -> Mapping[str, Any]:
        """Return one named object of the input.

        Raises:
            RefusedError: it is not there.
        """
        found = self.input.get(name)
        if not isinstance(found, Mapping):
            raise RefusedError(Infcode.FIELD, detail=name)
        return found


def envelope_from(body: bytes) -> dict[str, Any]:
    """Return the object of a request's body.

    Raises:
        RefusedError: it is no JSON object.
    """
    try:
        found = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Infcode.FIELD, detail="JSON") from error
    if not isinstance(found, dict):
        raise RefusedError(Infcode.FIELD, detail="JSON")
    return found


def message_from(envelope: Mapping[str, Any], opened: object) -> Message:
    """Return an envelope as a message, once its fields keep the rules.

    Args:
        envelope: as it came.
        opened: its input in clear.

    Raises:
        RefusedError: a field is missing, too long or of the wrong form; the answer names it.
    """
    for name, length in _LENGTHS.items():
        value = envelope.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > length):
            raise RefusedError(Infcode.FIELD, detail=name)
    for name in _REQUIRED:
        if not envelope.get(name):
            raise RefusedError(Infcode.FIELD, detail=name)
    for name, form in _FORMS.items():
        if not form.fullmatch(envelope.get(name) or ""):
            raise RefusedError(Infcode.FIELD, detail=name)
    _check_time(envelope["inf_time"])
    if not isinstance(opened, Mapping):
        raise RefusedError(Infcode.FIELD, detail="input")
    written = canonical(opened)
    if len(written) > INPUT_CHARACTERS_MAX and envelope["infno"] != UPLOAD:
        raise RefusedError(Infcode.FIELD, detail="input")
    _check_home(envelope, opened)
    asked = canonical([envelope["infno"], envelope["fixmedins_code"], opened])
    return Message(
        infno=envelope["infno"],
        msgid=envelope["msgid"],
        institution=envelope["fixmedins_code"],
        region=envelope["mdtrtarea_admvs"],
        sign_no=envelope.get("sign_no") or "",
        operator=envelope["opter"],
        device=envelope.get("dev_no") or "",
        evidence=envelope.get("dev_safe_info") or "",
        input=opened,
        digest=hashlib.sha256(asked.encode()).hexdigest(),
    )


def text(fields: Mapping[str, Any], name: str, *, length: int, is_required: bool = True) -> str:
    """Return one text of an input.

    Raises:
        RefusedError: missing though required, too long, or no text.
    """
    value = fields.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str) or len(value) > length or (is_required and not value):
        raise RefusedError(Infcode.FIELD, detail=name)
    return value


def _check_time(written: str) -> None:
    try:
        datetime.strptime(written, _TIME_FORM)  # noqa: DTZ007 - its form is checked, nothing is computed
    except ValueError as error:
        raise RefusedError(Infcode.FIELD, detail="inf_time") from error


def _check_home(envelope: Mapping[str, Any], opened: Mapping[str, Any]) -> None:
    """Demand where a person is insured as soon as one is named: 1101 has told."""
    names_person = any(isinstance(part, Mapping) and part.get("psn_no") for part in opened.values())
    if names_person and not envelope.get("insuplc_admdvs"):
        raise RefusedError(Infcode.FIELD, detail="insuplc_admdvs")
