"""How does an enrolled face rest? Encrypted, and bound to the person and the model it belongs to.

AES-256-GCM with a fresh random nonce per sealing; person, model and key are authenticated with it, so that a sealed
template moved to another person's row does not open. The second format names its key, so that a key can be replaced
while people pay: what is sealed anew lies beside what is not yet. The first format, which named none, still opens.
"""

import secrets
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from face_pipeline.errors import TemplateSealError
from face_pipeline.frames import Template
from face_pipeline.template_keys import KEY_ID_BYTES, TemplateKeys, checked_key, key_id_of

NONCE_BYTES: Final = 12
FORMAT_UNNAMED: Final = b"\x01"  # first byte of a sealed template that does not say which key opens it
FORMAT: Final = b"\x02"  # first byte of one that does; the key's id follows
HEAD: Final = struct.Struct(">H")  # length of the model id that follows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a sealed template consists of."""

    head: bytes
    """Format, and the key's id where there is one: authenticated as it stands."""
    key_id: bytes | None
    model: bytes
    nonce: bytes
    ciphertext: bytes


def seal(template: Template, *, keys: TemplateKeys, person_id: str) -> bytes:
    """Return the template encrypted with the newest key: format, key id, model id, nonce, ciphertext with tag.

    Raises:
        TemplateSealError: the key has not 32 bytes.
    """
    key = checked_key(keys.all()[0])
    head, model, nonce = FORMAT + key_id_of(key), template.model_id.encode(), secrets.token_bytes(NONCE_BYTES)
    numbers = template.embedding.astype("<f4").tobytes()
    sealed = AESGCM(key).encrypt(nonce, numbers, _bound_to(head, person_id, model))
    return head + HEAD.pack(len(model)) + model + nonce + sealed


def open_sealed(sealed: bytes, *, keys: TemplateKeys, person_id: str) -> Template:
    """Return the template.

    Raises:
        TemplateSealError: no such key, other person, other model, or changed bytes; which of them is not told.
    """
    try:
        parts = _parts(sealed)
        numbers = _opened(parts, keys, _bound_to(parts.head, person_id, parts.model))
        embedding = np.frombuffer(numbers, "<f4").astype(np.float32)
        return Template(embedding=embedding, model_id=parts.model.decode())
    except (InvalidTag, ValueError, struct.error) as error:
        raise TemplateSealError("the sealed template does not open") from error


def key_id_in(sealed: bytes) -> bytes | None:
    """Return the id of the key a template is sealed with; None for the first format, which does not say."""
    return _parts(sealed).key_id


def _parts(sealed: bytes) -> _Parts:
    if sealed[:1] not in {FORMAT_UNNAMED, FORMAT}:
        raise TemplateSealError("unknown format")
    at = 1 if sealed[:1] == FORMAT_UNNAMED else 1 + KEY_ID_BYTES
    (length,) = HEAD.unpack_from(sealed, at)
    body = at + HEAD.size + length
    return _Parts(
        head=sealed[:at],
        key_id=sealed[1:at] or None,
        model=sealed[at + HEAD.size : body],
        nonce=sealed[body : body + NONCE_BYTES],
        ciphertext=sealed[body + NONCE_BYTES :],
    )


def _opened(parts: _Parts, keys: TemplateKeys, bound_to: bytes) -> bytes:
    """Return the numbers, by the key that is named, or by whichever opens them."""
    named = None if parts.key_id is None else keys.by_id(parts.key_id)
    fitting = ([] if named is None else [named]) if parts.key_id is not None else keys.all()
    for key in fitting:
        try:
            return AESGCM(key).decrypt(parts.nonce, parts.ciphertext, bound_to)
        except InvalidTag:
            continue
    raise TemplateSealError("the sealed template does not open")


def _bound_to(head: bytes, person_id: str, model: bytes) -> bytes:
    """Return what is authenticated beside the numbers; lengths keep the parts apart."""
    person = person_id.encode()
    return head + HEAD.pack(len(person)) + person + HEAD.pack(len(model)) + model
