"""How long may each field of the envelope be? Characters, by the profile; one more is refused before it is sent."""

from dataclasses import dataclass
from typing import Annotated

from server.settings import Between

_Length = Annotated[int, Between(1, 100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Characters of each field at most."""

    infno: _Length = 4
    """Number of the call."""
    msgid: _Length = 30
    """The message's own id."""
    mdtrtarea_admvs: _Length = 6
    """Region of the institution."""
    insuplc_admdvs: _Length = 6
    """Region of the insured person."""
    recer_sys_code: _Length = 10
    """System that is to receive it."""
    dev_no: _Length = 100
    """Device: our terminal id."""
    dev_safe_info: _Length = 2000
    """Safety of the device: the digest of the face evidence."""
    cainfo: _Length = 1024
    """Signature."""
    signtype: _Length = 10
    """Kind of signature."""
    infver: _Length = 6
    """Version of the interface."""
    opter_type: _Length = 3
    """Kind of operator."""
    opter: _Length = 30
    """Operator."""
    opter_name: _Length = 50
    """Operator's name; ours is the platform's, nobody's."""
    inf_time: _Length = 19
    """Time of the call."""
    fixmedins_code: _Length = 12
    """Institution."""
    fixmedins_name: _Length = 200
    """Institution's name."""
    sign_no: _Length = 30
    """Number of the session."""
    app_id: _Length = 64
    """Id of our application; sent where the body is encrypted."""
    enc_type: _Length = 10
    """Kind of encryption; likewise."""
    input: _Length = 40_000
    """The call's own part, as JSON text; but for files."""
