"""How does an enrolled face rest? Encrypted, and bound to the person and the model it belongs to.

AES-256-GCM with a fresh random nonce per sealing; person and model are authenticated with it, so that a sealed template
moved to another person's row does not open.
"""

import secrets
import struct
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from face_pipeline.errors import TemplateSealError
from face_pipeline.frames import Template

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FORMAT: Final = b"\x01"  # first byte of a sealed template
HEAD: Final = struct.Struct(">H")  # length of the model id that follows the format byte


def seal(template: Template, *, key: bytes, person_id: str) -> bytes:
    """Return the template encrypted for storage: format, model id, nonce, ciphertext with tag.

    Raises:
        TemplateSealError: the key has not 32 bytes.
    """
    model = template.model_id.encode()
    nonce = secrets.token_bytes(NONCE_BYTES)
    numbers = template.embedding.astype("<f4").tobytes()
    sealed = _cipher(key).encrypt(nonce, numbers, _bound_to(person_id, model))
    return FORMAT + HEAD.pack(len(model)) + model + nonce + sealed


def open_sealed(sealed: bytes, *, key: bytes, person_id: str) -> Template:
    """Return the template.

    Raises:
        TemplateSealError: wrong key, other person, other model, or changed bytes; which of them is not told.
    """
    try:
        if sealed[:1] != FORMAT:
            raise TemplateSealError("unknown format")
        (length,) = HEAD.unpack_from(sealed, 1)
        body = 1 + HEAD.size + length
        model = sealed[1 + HEAD.size : body]
        nonce, ciphertext = sealed[body : body + NONCE_BYTES], sealed[body + NONCE_BYTES :]
        numbers = _cipher(key).decrypt(nonce, ciphertext, _bound_to(person_id, model))
        embedding = np.frombuffer(numbers, "<f4").astype(np.float32)
        return Template(embedding=embedding, model_id=model.decode())
    except (InvalidTag, ValueError, struct.error) as error:
        raise TemplateSealError("the sealed template does not open") from error


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise TemplateSealError(f"the template key must have {KEY_BYTES} bytes")
    return AESGCM(key)


def _bound_to(person_id: str, model: bytes) -> bytes:
    """Return what is authenticated beside the numbers; lengths keep the parts apart."""
    person = person_id.encode()
    return FORMAT + HEAD.pack(len(person)) + person + HEAD.pack(len(model)) + model
