"""People and what proves that it is them: claims, consents, face assertions, PINs."""

from server.credentials.assertion import AssertionClaims, Assertions, IssuedAssertion
from server.credentials.consent import ConsentCount, consent_counts, record_consent
from server.credentials.errors import CredentialError
from server.credentials.people import InsuredPerson, People
from server.credentials.pin import Pins

__all__ = [
    "AssertionClaims",
    "Assertions",
    "ConsentCount",
    "CredentialError",
    "InsuredPerson",
    "IssuedAssertion",
    "People",
    "Pins",
    "consent_counts",
    "record_consent",
]
