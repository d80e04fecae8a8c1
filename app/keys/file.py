"""The file that holds the keys of a ring: made once, changed whole or not at all, and followed while servers run."""

from __future__ import annotations

import base64
import fcntl
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import SettingsError
from app.settings_file import read_settings_file

KEY_BYTES = 32
_NUMBERED = re.compile(r"k([0-9]{1,9})")


class KeyFile:
    """A YAML mapping of key ids to base64 texts; the first key seals. Lives as long as the process, holds no key.

    Every change replaces the file as a whole, so that a reader, and a crash at any moment, finds the old file or the
    new one. Changes take turns by a lock on the folder: a lock on the file would go with the file that is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None

    def read_or_make(self) -> dict[str, bytes]:
        """Return the keys; if there is no file, make one with a new key that only its owner can read.

        Two processes that start together end up with the same key: the file appears whole, once.

        Raises:
            SettingsError: The file is not a mapping of key ids to base64 texts, or cannot be read or made.
        """
        with self._told():
            if not self.path.exists():
                self._make()
        return self.read()

    def read(self) -> dict[str, bytes]:
        """Return the current keys; a file that is gone is not made again.

        Raises:
            SettingsError: As for `read_or_make`.
        """
        self._seen = self._look()  # before it is read: what is written in between is seen by the next look
        return decode_keys(self._read())

    def changed(self) -> bool:
        """Return whether the file has changed since it was last read."""
        return self._look() != self._seen

    def age_seconds(self, now: float) -> float:
        """Return how many seconds ago the file was last changed.

        Raises:
            SettingsError: It is gone.
        """
        with self._told():
            return now - self.path.stat().st_mtime

    def add_primary(self) -> str:
        """Put a new key before the others, and return its id, which no key here ever had."""
        with self._told(), self._locked():
            keys = self._read()
            numbers = [int(number[1]) for key_id in keys if (number := _NUMBERED.fullmatch(key_id))]
            key_id = f"k{max(numbers, default=0) + 1}"
            self._replace({key_id: make_key(), **keys})
        return key_id

    def remove(self, key_ids: Collection[str]) -> None:
        """Remove keys, but never the first one."""
        with self._told(), self._locked():
            primary, *others = self._read().items()
            self._replace(dict([primary, *(item for item in others if item[0] not in key_ids)]))

    def _read(self) -> dict[str, str]:
        tree = read_settings_file(self.path, {}).tree
        keys = {name: text for name, text in tree.items() if isinstance(text, str)} if isinstance(tree, dict) else {}
        if keys != tree:
            raise SettingsError(f"key_ring.file {self.path} must map key ids to base64 texts")
        return keys

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _make(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _draft(self.path, {"k1": make_key()}) as draft, suppress(FileExistsError):  # somebody else was first
            os.link(draft, self.path)

    def _replace(self, keys: Mapping[str, str]) -> None:
        path = self.path.resolve()  # a link to the file stays a link
        before = path.stat()
        with _draft(path, keys) as draft:
            # Keep the owner and mode, because the command may run as a different user than the server.
            os.chown(draft, before.st_uid, before.st_gid)
            os.chmod(draft, before.st_mode & 0o777)
            os.replace(draft, path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self.path.resolve().parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SettingsError(
                f"key_ring.file {self.path}: {error.strerror}; the server needs to read and make it"
            ) from None


@contextmanager
def _draft(path: Path, keys: Mapping[str, str]) -> Iterator[str]:
    """Yield a file beside `path`, complete on the disk and readable by its owner only; its new name is durable too."""
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.writelines(f"{key_id}: {text}\n" for key_id, text in keys.items())
            file.flush()
            os.fsync(file.fileno())  # before anything is sealed with it
        yield draft
    finally:
        with suppress(FileNotFoundError):  # it has become the file
            os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # a new name is the folder's; see fsync(2)
    finally:
        os.close(folder)


def make_key() -> str:
    """Return a new key, 32 random bytes in base64."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


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
