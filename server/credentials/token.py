"""How does a promise of the platform travel? As a compact JWS, ES256, of a named type: to be shown, not changed.

Each kind of promise has a type of its own (RFC 8725, 3.11), so that none is taken for another.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from server.credentials.errors import AssertionInvalidError

TOKEN_LENGTH_MAX: Final = 4096  # as in settlement.proto
_ALGORITHM: Final = "ES256"
_ISSUER: Final = "urn:shualian:platform"
_TERMINAL: Final = "urn:shualian:terminal:"


class Tokens:
    """Signs and opens the tokens of one type."""

    def __init__(self, *, signing_key: EllipticCurvePrivateKey, key_id: str, token_type: str) -> None:
        """Take the P-256 key that signs."""
        if not isinstance(signing_key.curve, SECP256R1):
            msg = "assertions are signed with P-256"
            raise ValueError(msg)  # noqa: TRY004 - the type is right, the curve is not
        self._header: Final = {"alg": _ALGORITHM, "kid": key_id, "typ": token_type}
        self._signing_key: Final = ECKey.import_key(signing_key)
        self._checking_key: Final = ECKey.import_key(signing_key.public_key())

    def signed(self, *, terminal_id: str | None, claims: Mapping[str, object]) -> str:
        """Return the token that says this to one terminal; without one, to whichever it is shown."""
        audience = {} if terminal_id is None else {"aud": _TERMINAL + terminal_id}
        payload = json.dumps({"iss": _ISSUER, **audience, **claims}, separators=(",", ":"))
        return jws.serialize_compact(dict(self._header), payload, self._signing_key, algorithms=[_ALGORITHM])

    def opened(self, token: str) -> dict[str, Any]:
        """Return what a token says; `aud` is the bare id of the terminal, empty for one that is for any.

        The algorithm is ours to say, never the token's.

        Raises:
            AssertionInvalidError: we did not say it, or it is of another type.
        """
        if len(token) > TOKEN_LENGTH_MAX:
            raise AssertionInvalidError
        try:
            opened = jws.deserialize_compact(token, self._checking_key, algorithms=[_ALGORITHM])
            header, payload = opened.headers(), json.loads(opened.payload)
            is_ours = all(header.get(name) == self._header[name] for name in ("kid", "typ"))
            if not is_ours or payload["iss"] != _ISSUER:
                raise AssertionInvalidError
            return {**payload, "aud": payload.get("aud", "").removeprefix(_TERMINAL)}
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise AssertionInvalidError from error
