"""Phone numbers: hashed where they only tell people apart, sealed where one is needed to answer.

The ids of WhatsApp's messages are treated in the same way, because the number of the other side can be read from them:
``wamid.`` is followed by base64 with the number in it.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from app.errors import SealError, UndeliverableError
from app.keys.ring import KeyRing

_HASH_DIGITS = 32  # hexadecimal; 128 bits


class Numbers:
    """Hashes and seals with one key; lives as long as the process and holds no number.

    Args:
        key: The setting `number_key`.
    """

    def __init__(self, key: str) -> None:
        self._hash_key = hmac.digest(key.encode(), b"whatsapp numbers: hash", sha256)
        self._seals = KeyRing({"number": hmac.digest(key.encode(), b"whatsapp numbers: seal", sha256)})

    def hashed(self, text: str) -> str:
        """Return the same 32 hexadecimal digits for the same number or id, which only this key can tell."""
        return hmac.digest(self._hash_key, text.encode(), sha256).hex()[:_HASH_DIGITS]

    def sealed(self, text: str, *bindings: str) -> str:
        """Return a number or id so that only this key opens it, with the same bindings."""
        return self._seals.seal(text, *bindings)

    def opened(self, sealed: str, *bindings: str) -> str:
        """Return what was sealed.

        Raises:
            UndeliverableError: `number_key` has changed since, so nobody knows where to answer.
        """
        try:
            return self._seals.open(sealed, *bindings)
        except SealError:
            words = "the phone number was sealed with another interfaces.whatsapp.number_key"
            raise UndeliverableError(words, reason="number_key") from None
