"""What is left to somebody whose face is not used: refused, not recognised, or not wanted here?"""

from typing import Final

from shualian.terminal.v1 import face_pb2

OTHER_WAYS: Final = ("DYNAMIC_CODE", "CARD_AND_PIN", "FAMILY_ACCOUNT", "COUNTER")
"""As in `PaymentWay`, the quickest first. Every site takes a card with its PIN, and cash; so nobody is ever left with a
face only (I8)."""
PAYMENT_WAYS: Final = tuple(face_pb2.PaymentWay.Value(f"PAYMENT_WAY_{way}") for way in OTHER_WAYS)
"""The same for a message."""
