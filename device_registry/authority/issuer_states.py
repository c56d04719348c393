"""Where an issuing authority stands in its life, and which ways lead from there."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from device_registry.errors import IssuerTransitionError


class IssuerState(StrEnum):
    """Where an issuing authority stands."""

    PREPARED = "PREPARED"
    """Its key is made; it signs nothing yet. Everybody who asks for the trust bundle learns of it in time."""
    ACTIVE = "ACTIVE"
    """New certificates come from it. There is one."""
    OUTGOING = "OUTGOING"
    """Another one took over; its certificates are good until they end."""
    TAINTED = "TAINTED"
    """Its certificates are still good, and due for renewal at once."""
    REVOKED = "REVOKED"
    """Its certificates are good for nothing any more."""


_WAYS: Mapping[IssuerState, frozenset[IssuerState]] = MappingProxyType(
    {
        IssuerState.PREPARED: frozenset({IssuerState.ACTIVE, IssuerState.REVOKED}),
        IssuerState.ACTIVE: frozenset({IssuerState.OUTGOING}),
        IssuerState.OUTGOING: frozenset({IssuerState.ACTIVE, IssuerState.TAINTED}),  # back, when the new one is no good
        IssuerState.TAINTED: frozenset({IssuerState.REVOKED}),
        IssuerState.REVOKED: frozenset(),
    }
)


def refuse_illegal(issuer_id: str, *, origin: IssuerState, target: IssuerState) -> None:
    """Check that an issuing authority may go from one state to another.

    Raises:
        IssuerTransitionError: it may not.
    """
    if target not in _WAYS[origin]:
        raise IssuerTransitionError(issuer_id=issuer_id, state=origin, wanted=target)
