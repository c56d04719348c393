"""Which firmware does this terminal run? Another one only when its maker signed it, and the image is that one.

The platform only passes an offer on: what counts is the maker's key, which the terminal has from its factory. Without
one it takes no firmware at all.
"""

import hashlib
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mock_terminal.disk import write_private
from mock_terminal.errors import StateError, TerminalError
from shualian.terminal.v1 import device_pb2

BORN_WITH: Final = "mock-0.1.0"
MANIFEST_CONTEXT: Final = b"shualian-firmware-manifest-v1\0"
"""What the maker signs begins with this; see docs/operations/factory-enrollment.md."""
IMAGE_BYTES_MAX: Final = 64 * 1024**2
"""What this terminal has room for."""
FETCH_SECONDS_MAX: Final = 30.0


class FirmwareRefusedError(TerminalError):
    """This is no firmware for this terminal."""

    reason = "FIRMWARE_REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """What runs on one terminal, in its state folder."""

    state: Path

    @property
    def version(self) -> str:
        """What it says in its hello."""
        try:
            return str(json.loads((self.state / "firmware.json").read_bytes())["version"])
        except FileNotFoundError:
            return BORN_WITH
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"firmware.json in {self.state} is damaged: delete it") from error

    def install(self, offer: device_pb2.OfferFirmwareCommand) -> None:
        """Verify an offer, fetch the image, verify that, and run it from now on.

        Raises:
            FirmwareRefusedError: the maker did not sign this, or the image is another one, or cannot be had.
        """
        self._verify(offer)
        image = _fetched(offer.url, size_bytes=offer.size_bytes)
        if len(image) != offer.size_bytes or hashlib.sha256(image).hexdigest() != offer.sha256:
            raise FirmwareRefusedError("the image has not the size and digest that the maker signed")
        write_private(self.state / "firmware.json", json.dumps({"version": offer.version}).encode())

    def _verify(self, offer: device_pb2.OfferFirmwareCommand) -> None:
        try:
            self._makers_key().verify(offer.signature, MANIFEST_CONTEXT + offer.manifest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise FirmwareRefusedError("the manifest is not signed by this terminal's maker") from error
        try:
            said: Any = json.loads(offer.manifest)
            told = (said["model"], said["version"], said["sha256"], said["size_bytes"])
        except (ValueError, KeyError, TypeError) as error:
            raise FirmwareRefusedError("the manifest cannot be read") from error
        if told != (offer.model, offer.version, offer.sha256, offer.size_bytes):
            raise FirmwareRefusedError("the offer says something else than the manifest")
        if not 0 < offer.size_bytes <= IMAGE_BYTES_MAX:
            raise FirmwareRefusedError("the image is larger than this terminal has room for")

    def _makers_key(self) -> ec.EllipticCurvePublicKey:
        try:
            key = serialization.load_pem_public_key((self.state / "factory" / "firmware.pub.pem").read_bytes())
        except FileNotFoundError as error:
            raise FirmwareRefusedError("this terminal has no firmware key of its maker") from error
        except ValueError as error:
            raise StateError(f"factory/firmware.pub.pem in {self.state} is damaged") from error
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise StateError(f"factory/firmware.pub.pem in {self.state} is damaged")
        return key


def _fetched(url: str, *, size_bytes: int) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise FirmwareRefusedError("the image is fetched by http or https only")
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS_MAX) as answer:  # noqa: S310 - the scheme was looked at
            image: bytes = answer.read(size_bytes + 1)
    except (OSError, ValueError) as error:
        raise FirmwareRefusedError(f"the image cannot be had: {type(error).__name__}") from error
    return image
