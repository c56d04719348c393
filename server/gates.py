"""What is a terminal certified for? The one table of which class may call what, and which ways to pay it may offer.

Class I scans codes, II reads cards too, III looks at faces; each can do what the ones below it can. A method of a
terminal's service without a row cannot be called by anybody, and a test finds it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from device_registry.model import TerminalClass
from server.refusals import TerminalClassError

SCAN, CARD, FACE = TerminalClass.SCAN, TerminalClass.CARD, TerminalClass.FACE

METHODS: Final[Mapping[str, TerminalClass]] = MappingProxyType(
    {
        "DeviceService/Connect": SCAN,
        "DeviceService/RenewCertificate": SCAN,
        "FaceService/Authenticate": FACE,
        "CredentialService/Activate": FACE,
        "CredentialService/IssueCode": CARD,
        "CredentialService/ResolveCode": SCAN,
        "CredentialService/Unbind": CARD,
        "CredentialService/BindRelative": CARD,
        "CredentialService/ListRelatives": CARD,
        "CredentialService/UnbindRelative": CARD,
        "SettlementService/PreSettle": SCAN,
        "SettlementService/Settle": SCAN,
        "SettlementService/Cancel": SCAN,
        "SettlementService/Reverse": SCAN,
        "SettlementService/GetSettlement": SCAN,
        "SettlementService/Reconcile": SCAN,
    }
)
"""Service and method, and the lowest class that may call it."""

AUTHORIZATIONS: Final[Mapping[str, TerminalClass]] = MappingProxyType(
    {
        "face": FACE,
        "card": CARD,
        "code": SCAN,
        # Refused to every class, and for another reason (I12): the way to hear it is open to all.
        "bare_id_number": SCAN,
    }
)
"""Ways of `Authorization`, and the lowest class that may offer it."""

OPEN: Final = frozenset({"Health", "ServerReflection", "unknown"})
"""What is no terminal's service: gRPC's own two, and what is not there, which is answered UNIMPLEMENTED."""


def class_needed(service: str, method: str) -> TerminalClass | None:
    """Return the lowest class that may call a method; None for what is open to each terminal, such as health.

    Raises:
        LookupError: a service or method without a row; nobody may call it.
    """
    if service in OPEN:
        return None
    return METHODS[f"{service}/{method}"]


def refuse_class(held: TerminalClass, needed: TerminalClass) -> None:
    """Return when a terminal of this class may do what needs the other.

    Raises:
        TerminalClassError: it may not.
    """
    if not held.covers(needed):
        raise TerminalClassError(needed=needed.value)
