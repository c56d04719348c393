"""What may an operator do? Three roles, each with all that the ones before it may."""

from enum import StrEnum


class Role(StrEnum):
    """What an operator may do; the order is that of the members."""

    VIEWER = "VIEWER"
    """Looks at everything and changes nothing."""
    OPERATOR = "OPERATOR"
    """Does the daily work: sites, terminals, tokens, suspensions, commands."""
    SECURITY = "SECURITY"
    """Decides about trust: revocations, authorities, makers, operators."""

    def covers(self, needed: "Role") -> bool:
        """Return whether this role may do what asks for `needed`; words would compare by their letters."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


class OperatorState(StrEnum):
    """Whether an operator is let in."""

    ACTIVE = "ACTIVE"
    REVOKED = "REVOKED"
