"""How is the self-paid part named on the command line, and in what the terminal prints?"""

from collections.abc import Iterable
from types import MappingProxyType

from mock_terminal.errors import InputError
from shualian.terminal.v1 import settlement_pb2

CHANNELS = MappingProxyType(
    {
        "cash": settlement_pb2.SELF_PAY_CHANNEL_CASH,
        "electronic": settlement_pb2.SELF_PAY_CHANNEL_ELECTRONIC_ACCOUNT,
        "credit": settlement_pb2.SELF_PAY_CHANNEL_CREDIT,
    }
)
_WORDS = {channel: word for word, channel in CHANNELS.items()}


def self_pay_from(text: str) -> tuple[settlement_pb2.SelfPay, ...]:
    """Return the parts of `electronic:1200,cash:300`, amounts in fen; none of an empty text, which is all in cash.

    Raises:
        InputError: it is not that.
    """
    return tuple(_part(part) for part in text.split(",") if part.strip())


def parts_in_words(parts: Iterable[settlement_pb2.SelfPay]) -> dict[str, int]:
    """Return what each channel paid."""
    return {_WORDS.get(part.channel, "unknown"): part.amount_fen for part in parts}


def offers_in_words(offers: Iterable[settlement_pb2.SelfPayOffer]) -> dict[str, int]:
    """Return what each channel could pay at most."""
    return {_WORDS.get(offer.channel, "unknown"): offer.up_to_fen for offer in offers}


def fitted(
    wanted: Iterable[settlement_pb2.SelfPay], quote: settlement_pb2.PreSettleResponse
) -> tuple[settlement_pb2.SelfPay, ...]:
    """Return of what is wanted as much as the quote offers and leaves to pay, in this order, and the rest in cash.

    Nothing where none but cash pays: that goes without saying.
    """
    left = quote.shares.self_pay_fen - quote.shares.prepaid_fen
    offered = {offer.channel: offer.up_to_fen for offer in quote.self_pay_offers}
    offered.pop(settlement_pb2.SELF_PAY_CHANNEL_CASH, None)
    parts = []
    for part in wanted:
        amount_fen = min(part.amount_fen, offered.pop(part.channel, 0), left)
        if amount_fen > 0:
            parts.append(settlement_pb2.SelfPay(channel=part.channel, amount_fen=amount_fen))
            left -= amount_fen
    if parts and left > 0:
        parts.append(settlement_pb2.SelfPay(channel=settlement_pb2.SELF_PAY_CHANNEL_CASH, amount_fen=left))
    return tuple(parts)


def _part(text: str) -> settlement_pb2.SelfPay:
    word, _, fen = text.strip().partition(":")
    if word not in CHANNELS or not fen.isascii() or not fen.isdigit():
        raise InputError(f"a part is a channel ({', '.join(CHANNELS)}), a colon, and an amount in fen: electronic:1200")
    return settlement_pb2.SelfPay(channel=CHANNELS[word], amount_fen=int(fen))
