"""What does a firmware manifest say, and did its maker sign it? Pure, without clock or database.

A manifest is a JSON object, UTF-8, of at most 8 KiB, with exactly these members: `manufacturer`, `model`, `version`
(text), `sha256` (of the image, lower-case hex) and `size_bytes` (whole number). The maker's firmware key signs
`shualian-firmware-manifest-v1`, a zero byte, and the manifest's bytes as they are: ECDSA on P-256 or P-384, SHA-256,
the signature in DER. The platform hands manifest and signature on unchanged, so that the terminal checks both again.
"""

import json
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_registry.errors import ManifestRefusedError

MANIFEST_CONTEXT = b"shualian-firmware-manifest-v1\0"
MANIFEST_BYTES_MAX = 8192
SIGNATURE_BYTES_MAX = 256
IMAGE_BYTES_MAX = 4 * 1024**3
VERSION_LENGTH_MAX = 64  # as in a terminal's hello
_MEMBERS = {"manufacturer": str, "model": str, "version": str, "sha256": str, "size_bytes": int}
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a maker says of one firmware image."""

    manufacturer: str
    model: str
    version: str
    sha256: str
    size_bytes: int


def firmware_key_from_der(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key that signs manifests: ECDSA on P-256 or P-384, as SubjectPublicKeyInfo."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ManifestRefusedError(detail="the firmware key is no public key in DER") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        raise ManifestRefusedError(detail="the firmware key is not ECDSA on P-256 or P-384")
    return key


def manifest_from(content: bytes, *, signature: bytes, firmware_key_der: bytes | None) -> Manifest:
    """Return what a manifest says, after its signature was checked.

    Raises:
        ManifestRefusedError: it is too large, is not signed by this key, or does not say what a manifest says.
    """
    if firmware_key_der is None:
        raise ManifestRefusedError(detail="the manufacturer has no firmware key")
    if len(content) > MANIFEST_BYTES_MAX or len(signature) > SIGNATURE_BYTES_MAX:
        raise ManifestRefusedError(detail=f"more than {MANIFEST_BYTES_MAX} bytes, or a signature that is too long")
    key = firmware_key_from_der(firmware_key_der)
    try:
        key.verify(signature, MANIFEST_CONTEXT + content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ManifestRefusedError(detail="the signature is not by the manufacturer's firmware key") from error
    return _manifest(content)


def _manifest(content: bytes) -> Manifest:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ManifestRefusedError(detail="no JSON") from error
    # `type`, not `isinstance`: in Python a boolean is a number.
    if not isinstance(said, dict) or {name: type(value) for name, value in said.items()} != _MEMBERS:
        raise ManifestRefusedError(detail=f"its members are not {', '.join(_MEMBERS)}")
    manifest = Manifest(**said)
    if not _SHA256.fullmatch(manifest.sha256):
        raise ManifestRefusedError(detail="sha256 is not 64 lower-case hex digits")
    if not 0 < manifest.size_bytes <= IMAGE_BYTES_MAX:
        raise ManifestRefusedError(detail=f"size_bytes is not 1 to {IMAGE_BYTES_MAX}")
    if not 0 < len(manifest.version) <= VERSION_LENGTH_MAX or not manifest.version.isprintable():
        raise ManifestRefusedError(detail=f"version is not 1 to {VERSION_LENGTH_MAX} printable characters")
    return manifest
