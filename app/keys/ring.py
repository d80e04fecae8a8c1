"""Sealing secrets at rest: AES-256-GCM, each value bound to the row and the person it belongs to."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import SealError, SettingsError
from app.keys.file import KEY_BYTES, KeyFile, decode_keys

log = logging.getLogger(__name__)

_FORMAT = "v1"
_KEY_ID = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NONCE_BYTES = 12  # random nonces are safe for 2**32 values a key (NIST SP 800-38D, section 8.3)


class KeySource(Protocol):
    """Where the keys of a ring come from, when it may change while the process runs."""

    def changed(self) -> bool:
        """Return whether the keys have changed since they were last read."""
        ...

    def read(self) -> Mapping[str, bytes]:
        """Return the current keys."""
        ...


class _Key(NamedTuple):
    cipher: AESGCM
    digest: bytes  # to know the key again without holding it twice


class KeyRing:
    """Seals with its first key and opens with any; lives as long as the process and never shows a key.

    A sealed value is ``v1.<key id>.<base64url of nonce and ciphertext>``. The associated data are the format, the key
    id and the bindings, so a value that was copied to another row or another person does not open.

    Args:
        keys: Key id (lower-case letters, digits, ``_`` and ``-``) to 32 bytes; the first one seals.
        source: Where they come from, if it may change: it is looked at before something is sealed and when something
            needs a key that is not here, and read only if it has changed. No key that was here is ever given up.

    Raises:
        SettingsError: There is no key, or one has another length or an id that a sealed value cannot carry.
    """

    def __init__(self, keys: Mapping[str, bytes], source: KeySource | None = None) -> None:
        self._source = source
        self._keys = _checked(keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys; the first one seals."""
        return tuple(self._keys)

    def seal(self, plaintext: str, *bindings: str) -> str:
        """Encrypt a text so that it opens only with the same bindings, in the same order."""
        self.follow()
        return self.seal_with(next(iter(self._keys)), plaintext, *bindings)

    def seal_with(self, key_id: str, plaintext: str, *bindings: str) -> str:
        """Encrypt a text as `seal` does, with a certain key of the ring."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._keys[key_id].cipher.encrypt(nonce, plaintext.encode(), _bind(key_id, bindings))
        return f"{prefix_of(key_id)}{base64.urlsafe_b64encode(nonce + ciphertext).decode()}"

    def open(self, sealed: str, *bindings: str) -> str:
        """Decrypt what `seal` made.

        Raises:
            SealError: The key is not on the ring, the value was changed, or the bindings differ.
        """
        try:
            form, key_id, body = sealed.split(".")
            raw = base64.b64decode(body, altchars=b"-_", validate=True)
        except ValueError:
            form, key_id, raw = "", "", b""
        if form != _FORMAT or len(raw) < _NONCE_BYTES:
            raise SealError("a sealed value is malformed; restore the row from a backup")
        if key_id not in self._keys:
            self.follow()
        if key_id not in self._keys:
            raise SealError(f"a sealed value needs key {key_id!r}, which is not on the key ring; add it back")
        try:
            plain = self._keys[key_id].cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bind(key_id, bindings))
        except InvalidTag:
            raise SealError("a sealed value does not open: it was sealed for another row, person or key") from None
        return plain.decode()

    def follow(self) -> None:
        """Take over what the source says now, if it has changed; what is no key ring is logged and left alone."""
        if self._source is None or not self._source.changed():
            return
        try:
            keys = _checked(self._source.read())
            other = [name for name, key in keys.items() if self._keys.get(name, key).digest != key.digest]
            if other:
                raise SettingsError(f"key {other[0]!r} has other bytes than before; give a fresh key a fresh id")
        except SettingsError as error:
            log.error("the keys have changed and are not taken over: %s", error)
            return
        self._keys = {**keys, **{name: key for name, key in self._keys.items() if name not in keys}}
        log.info("the keys have changed: %r", self)


def prefix_of(key_id: str) -> str:
    """Return the beginning of every value that is sealed with this key."""
    return f"{_FORMAT}.{key_id}."


def key_id_of(sealed: str) -> str:
    """Return the id of the key that a value says it was sealed with, or "" if it is no sealed value."""
    parts = sealed.split(".")
    return parts[1] if len(parts) == 3 and parts[0] == _FORMAT and _KEY_ID.fullmatch(parts[1]) else ""


def open_key_ring(encoded: Mapping[str, str] | None, file: Path | None) -> KeyRing:
    """Return a key ring of keys in base64, or else of a file, whose changes it follows.

    Raises:
        SettingsError: There is no key, or one is no key; or the file cannot be read or made.
    """
    if encoded is not None:
        return KeyRing(decode_keys(encoded))
    assert file is not None
    source = KeyFile(file)
    return KeyRing(source.read_or_make(), source)


def _checked(keys: Mapping[str, bytes]) -> dict[str, _Key]:
    if not keys:
        raise SettingsError("the key ring is empty; give it at least one key")
    for key_id, key in keys.items():
        if not _KEY_ID.fullmatch(key_id):  # the id itself may be a key that stands in its place
            raise SettingsError("an id on the key ring is not one; write it like k1: lower-case letters and digits")
        if len(key) != KEY_BYTES:
            raise SettingsError(f"key {key_id!r} of the key ring has {len(key)} bytes; it needs {KEY_BYTES}")
    return {key_id: _Key(AESGCM(key), sha256(key).digest()) for key_id, key in keys.items()}


def _bind(key_id: str, bindings: tuple[str, ...]) -> bytes:
    return json.dumps([_FORMAT, key_id, *bindings]).encode()  # a list in JSON: no two lists of bindings look alike
