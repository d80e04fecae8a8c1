"""Sealing secrets at rest: AES-256-GCM, each value bound to the row and the person it belongs to."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import SealError, SettingsError
from app.settings_file import read_settings_file

_FORMAT = "v1"
_KEY_BYTES = 32
_KEY_ID = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NONCE_BYTES = 12  # random nonces are safe for 2**32 values a key (NIST SP 800-38D, section 8.3)


class KeyRing:
    """Seals with its first key and opens with any; lives as long as the process and never shows a key.

    A sealed value is ``v1.<key id>.<base64url of nonce and ciphertext>``. The associated data are the format, the key
    id and the bindings, so a value that was copied to another row or another person does not open.

    Args:
        keys: Key id (lower-case letters, digits, ``_`` and ``-``) to 32 bytes; the first one seals.

    Raises:
        SettingsError: There is no key, or one has another length or an id that a sealed value cannot carry.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise SettingsError("the key ring is empty; give it at least one key")
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id):  # the id itself may be a key that stands in its place
                raise SettingsError("an id on the key ring is not one; write it like k1: lower-case letters and digits")
            if len(key) != _KEY_BYTES:
                raise SettingsError(f"key {key_id!r} of the key ring has {len(key)} bytes; it needs {_KEY_BYTES}")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._primary = next(iter(keys))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._ciphers)})"

    def seal(self, plaintext: str, *bindings: str) -> str:
        """Encrypt a text so that it opens only with the same bindings, in the same order."""
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[self._primary].encrypt(nonce, plaintext.encode(), _bind(self._primary, bindings))
        return f"{_FORMAT}.{self._primary}.{base64.urlsafe_b64encode(nonce + ciphertext).decode()}"

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
        if key_id not in self._ciphers:
            raise SealError(f"a sealed value needs key {key_id!r}, which is not on the key ring; add it back")
        try:
            plain = self._ciphers[key_id].decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bind(key_id, bindings))
        except InvalidTag:
            raise SealError("a sealed value does not open: it was sealed for another row, person or key") from None
        return plain.decode()


def _bind(key_id: str, bindings: tuple[str, ...]) -> bytes:
    return json.dumps([_FORMAT, key_id, *bindings]).encode()  # a list in JSON: no two lists of bindings look alike


def open_key_ring(encoded: Mapping[str, str] | None, file: Path | None) -> KeyRing:
    """The key ring of keys in base64, or else of a file.

    Raises:
        SettingsError: There is no key, or one is no key; or the file cannot be read or made.
    """
    if encoded is None:
        assert file is not None
        encoded = read_or_make_key_file(file)
    return KeyRing(decode_keys(encoded))


def decode_keys(encoded: Mapping[str, str]) -> dict[str, bytes]:
    """Read keys written in base64.

    Raises:
        SettingsError: One is not base64.
    """
    keys = {}
    for key_id, text in encoded.items():
        try:
            keys[key_id] = base64.b64decode(text, validate=True)
        except ValueError:
            raise SettingsError(
                f"key {key_id!r} of the key ring is not base64; make one with `deputy keys generate`"
            ) from None
    return keys


def make_key() -> str:
    """A fresh key, 32 random bytes in base64."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def read_or_make_key_file(path: Path) -> dict[str, str]:
    """The keys of a file, in base64; an absent file is made with one fresh key, readable by its owner alone.

    Two processes that start together end up with the same key: the file appears whole, once.

    Raises:
        SettingsError: The file is not a mapping of key ids to base64 texts, or cannot be read or made.
    """
    try:
        if not path.exists():
            _make_key_file(path)
    except OSError as error:
        raise SettingsError(f"key_ring.file {path}: {error.strerror}; the server needs to read and make it") from None
    tree = read_settings_file(path, {}).tree
    keys = {key_id: text for key_id, text in tree.items() if isinstance(text, str)} if isinstance(tree, dict) else {}
    if keys != tree:
        raise SettingsError(f"key_ring.file {path} must map key ids to base64 texts")
    return keys


def _make_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # only its owner may read it
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(f"k1: {make_key()}\n")
            file.flush()
            os.fsync(file.fileno())  # before anything is sealed with it
        with suppress(FileExistsError):  # somebody else was first
            os.link(draft, path)
    finally:
        os.unlink(draft)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Let a new name in a folder survive a power cut; see fsync(2)."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
