"""With which keys are templates sealed and opened? The port, and keys that stay the same."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Protocol

from face_pipeline.errors import TemplateSealError

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8


class TemplateKeys(Protocol):
    """The keys there are, newest first; templates are sealed with the newest and open with any."""

    def all(self) -> Sequence[bytes]:
        """Return every key that is there now, newest first; each has 32 bytes."""
        ...

    def by_id(self, key_id: bytes) -> bytes | None:
        """Return the key with this id, None when there is none."""
        ...


class HeldKeys:
    """Keys that are held in memory and never change."""

    def __init__(self, *newest_first: bytes) -> None:
        """Take the keys.

        Raises:
            TemplateSealError: there is none, or one has not 32 bytes.
        """
        if not newest_first:
            raise TemplateSealError("there is no template key")
        self._keys: Final = tuple(checked_key(key) for key in newest_first)
        self._by_id: Final = {key_id_of(key): key for key in newest_first}

    def all(self) -> Sequence[bytes]:
        """Return the keys, newest first."""
        return self._keys

    def by_id(self, key_id: bytes) -> bytes | None:
        """Return the key with this id, None when there is none."""
        return self._by_id.get(key_id)


def key_id_of(key: bytes) -> bytes:
    """Return the name of a key: it follows from the key, so a file that was mixed up is noticed, and tells nothing."""
    return hmac.digest(checked_key(key), b"shualian/template-key-id", hashlib.sha256)[:KEY_ID_BYTES]


def checked_key(key: bytes) -> bytes:
    """Return the key, if it has the right length.

    Raises:
        TemplateSealError: it has not.
    """
    if len(key) != KEY_BYTES:
        raise TemplateSealError(f"the template key must have {KEY_BYTES} bytes")
    return key
