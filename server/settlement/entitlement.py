"""What entitles us to ask a remote insurer for somebody's money? An active credential, or the card that was shown."""

import hashlib

from sqlalchemy import Connection

from server.credentials.activation import Credentials
from server.settlement.insurers import Entitlement, EntitlementKind
from server.settlement.model import Authorization, BareIdNumber, CardAuthorization, FaceAuthorization


def entitlement_of(
    connection: Connection, credentials: Credentials, authorization: Authorization, *, payer_id: str
) -> Entitlement | None:
    """Return what a request is entitled by; None for an ID number alone, which entitles to nothing.

    Raises:
        CredentialNotActiveError: a face or a code of somebody without one: it is to be activated first.
    """
    match authorization:
        case BareIdNumber():
            return None
        case CardAuthorization(card_number=number):
            return Entitlement(kind=EntitlementKind.CARD, number=number, evidence_sha256="")  # nothing was signed
        case _:
            shown = authorization.assertion if isinstance(authorization, FaceAuthorization) else authorization.code
            return Entitlement(
                kind=EntitlementKind.CREDENTIAL,
                number=credentials.token_of(connection, payer_id),
                evidence_sha256=hashlib.sha256(shown.encode()).hexdigest(),
            )
