"""Sealing secrets at rest."""

from __future__ import annotations

import base64
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import SealError, SettingsError
from app.keys.file import KeyFile, decode_keys, make_key
from app.keys.ring import KeyRing, open_key_ring
from tests.fakes.leaks import everything_in

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
CANARY = "CANARY-7f3a"


def test_a_sealed_value_opens_with_its_bindings(key_ring: KeyRing) -> None:
    """A sealed value opens to the original, and sealing it twice gives different values."""
    sealed = [key_ring.seal("a refresh token, ä", "row", "ada") for _ in range(2)]

    assert [key_ring.open(each, "row", "ada") for each in sealed] == ["a refresh token, ä"] * 2
    assert sealed[0] != sealed[1]
    assert all(each.startswith("v1.k1.") and "token" not in each for each in sealed)


@pytest.mark.parametrize(
    "bindings", [("row", "grace"), ("ada", "row"), ("row",), ("row", "ada", ""), ("rowada",), ("row, ada",), ()]
)
def test_other_bindings_do_not_open_it(key_ring: KeyRing, bindings: tuple[str, ...]) -> None:
    """A sealed value that was copied to another row or person does not open."""
    sealed = key_ring.seal(CANARY, "row", "ada")

    with pytest.raises(SealError) as caught:
        key_ring.open(sealed, *bindings)
    assert CANARY not in everything_in(caught.value)


def test_a_changed_value_does_not_open(key_ring: KeyRing) -> None:
    """A sealed value does not open after any byte of its nonce, ciphertext or tag was changed."""
    form, key_id, body = key_ring.seal("secret", "row").split(".")
    raw = base64.urlsafe_b64decode(body)

    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(SealError, match="does not open"):
            key_ring.open(f"{form}.{key_id}.{base64.urlsafe_b64encode(changed).decode()}", "row")


@pytest.mark.parametrize(
    "sealed",
    ["", "v1", "v1.k1", "v1.k1.", "v1.k1.AAAA", "v1.k1.A", "v1.k1.ä", "v1.k1.!!", "v2.k1.{body}", "v1.k1.{body}.x"],
)
def test_a_malformed_value_is_told_as_such(key_ring: KeyRing, sealed: str) -> None:
    """A malformed value raises SealError, never an error of a library."""
    body = key_ring.seal("secret").split(".")[2]

    with pytest.raises(SealError, match="malformed"):
        key_ring.open(sealed.format(body=body))


def test_a_ring_seals_with_its_first_key_and_opens_with_all() -> None:
    """After a rotation, old values still open and new ones are sealed with the new key."""
    old, rotated = KeyRing({"k1": ONE}), KeyRing({"k2": TWO, "k1": ONE})
    sealed = old.seal("secret", "row")

    assert rotated.open(sealed, "row") == "secret"
    assert rotated.seal("secret", "row").startswith("v1.k2.")
    with pytest.raises(SealError, match="needs key 'k2'"):
        old.open(rotated.seal("secret", "row"), "row")


def test_a_key_under_another_id_does_not_open() -> None:
    """The key id is bound into the value, so the value does not open if the ids of two keys are swapped."""
    sealed = KeyRing({"k1": ONE}).seal("secret", "row")

    with pytest.raises(SealError):
        KeyRing({"k1": TWO}).open(sealed, "row")
    with pytest.raises(SealError):
        KeyRing({"k2": ONE}).open(sealed.replace("k1", "k2"), "row")


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({}, "at least one key"),
        ({"k1": b""}, "has 0 bytes; it needs 32"),
        ({"k1": ONE, "k2": ONE[:16]}, "'k2' of the key ring has 16 bytes"),
        ({"k.1": ONE}, "an id on the key ring is not one"),
        ({"": ONE}, "an id on the key ring is not one"),
    ],
)
def test_a_ring_that_could_not_open_what_it_seals_is_refused(keys: dict[str, bytes], fault: str) -> None:
    """Keys of the wrong length, and ids that a sealed value cannot carry, are refused at start-up."""
    with pytest.raises(SettingsError, match=fault):
        KeyRing(keys)


def test_a_ring_shows_ids_and_no_key() -> None:
    """The repr of a key ring shows the ids of its keys and no key."""
    ring = KeyRing({"k2": TWO, "k1": ONE})

    assert repr(ring) == str(ring) == "KeyRing(k2, k1)"


@pytest.mark.parametrize("text", [CANARY, f"{CANARY}ä", f" {base64.b64encode(ONE).decode()}", "AAA"])
def test_a_key_that_is_not_base64_is_told_by_its_id(text: str) -> None:
    """The error names the key's id and does not quote its value."""
    with pytest.raises(SettingsError, match="key 'k1' of the key ring is not base64") as caught:
        decode_keys({"k1": text})
    assert CANARY not in str(caught.value)


def test_keys_of_the_settings_are_taken_as_they_are() -> None:
    """Keys in the settings are used without a file, and each key that is made is new."""
    assert open_key_ring({"k1": base64.b64encode(ONE).decode()}, None).open(KeyRing({"k1": ONE}).seal("x")) == "x"
    assert len(base64.b64decode(make_key())) == 32
    assert make_key() != make_key()


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """A missing key file is created with a fresh key that only its owner can read, and is read from then on."""
    path = tmp_path / "var" / "keys.yaml"
    sealed = open_key_ring(None, path).seal("secret")

    assert open_key_ring(None, path).open(sealed) == "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.yaml"]


def test_a_draft_that_a_crash_left_is_no_hindrance(tmp_path: Path) -> None:
    """A draft left by a crash does not stop the next start, even if the process id is the same, as in a container."""
    (tmp_path / f".keys.yaml.{os.getpid()}").write_text("")

    assert list(KeyFile(tmp_path / "keys.yaml").read_or_make()) == ["k1"]


def test_servers_that_start_together_get_one_key(tmp_path: Path) -> None:
    """Servers that start together use the first one's key, and no draft remains."""
    together = threading.Barrier(8)

    def start(_: int) -> bytes:
        together.wait()
        return KeyFile(tmp_path / "keys.yaml").read_or_make()["k1"]

    with ThreadPoolExecutor(8) as servers:
        keys = set(servers.map(start, range(8)))

    assert len(keys) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["keys.yaml"]


@pytest.mark.parametrize(
    "text",
    ["", CANARY, f"- {CANARY}", f"k1: [{CANARY}]", f"k1: {{a: {CANARY}}}", f"k1: '{CANARY}", f"k1: a\nk1: {CANARY}"],
)
def test_a_key_file_that_is_none_is_refused_unseen(tmp_path: Path, text: str) -> None:
    """A file that does not map ids to texts is refused without quoting it."""
    path = tmp_path / "keys.yaml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=r"keys\.yaml") as caught:
        KeyFile(path).read_or_make()
    assert CANARY not in everything_in(caught.value)


def test_a_key_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A key file that cannot be created is reported with the access that the server needs."""
    (tmp_path / "var").write_text("")

    with pytest.raises(SettingsError, match="the server needs to read and make it"):
        KeyFile(tmp_path / "var" / "keys.yaml").read_or_make()


def replaced(path: Path, **keys: bytes) -> None:
    """Replace a key file with another one."""
    draft = path.with_suffix(".new")
    draft.write_text("".join(f"{key_id}: {base64.b64encode(key).decode()}\n" for key_id, key in keys.items()))
    draft.replace(path)


def test_a_ring_follows_its_file(tmp_path: Path) -> None:
    """A key added after the start opens values and seals new ones; a removed key still opens old values."""
    path = tmp_path / "keys.yaml"
    replaced(path, k1=ONE)
    opening, sealing = open_key_ring(None, path), open_key_ring(None, path)
    before = opening.seal("old", "row")
    replaced(path, k2=TWO)

    assert opening.open(KeyRing({"k2": TWO}).seal("new", "row"), "row") == "new"
    assert sealing.seal("new", "row").startswith("v1.k2.")
    assert [ring.open(before, "row") for ring in (opening, sealing)] == ["old", "old"]
    assert opening.key_ids == ("k2", "k1")


def test_a_ring_without_a_file_says_which_key_it_lacks() -> None:
    """A key ring without a file names the key that it lacks."""
    with pytest.raises(SealError, match="needs key 'k2', which is not on the key ring; add it back"):
        KeyRing({"k1": ONE}).open(KeyRing({"k2": TWO}).seal("x"))


@pytest.mark.parametrize("text", ["", "k2: AAAA", f"k1: {base64.b64encode(TWO).decode()}", "k1: ["])
def test_a_file_that_is_no_key_ring_is_not_followed(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken file, or one with a different key under a known id, changes nothing and is logged once."""
    path = tmp_path / "keys.yaml"
    replaced(path, k1=ONE)
    ring = open_key_ring(None, path)
    path.write_text(text)
    sealed = [ring.seal("secret", "row") for _ in range(2)]

    assert [KeyRing({"k1": ONE}).open(each, "row") for each in sealed] == ["secret", "secret"]
    assert caplog.text.count("are not taken over") == 1
    assert base64.b64encode(TWO).decode() not in caplog.text


def test_a_file_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """When the key file is gone, a running server keeps its keys and creates no new file."""
    path = tmp_path / "keys.yaml"
    ring = open_key_ring(None, path)
    path.unlink()

    assert ring.seal("secret").startswith("v1.k1.")
    assert not path.exists()


class CountingSource:
    """A source of keys that counts its reads."""

    reads, stamp = 0, 0

    def changed(self) -> bool:
        return self.stamp != self.reads

    def read(self) -> dict[str, bytes]:
        self.reads = self.stamp
        return {"k1": ONE}


def test_unknown_keys_do_not_make_a_ring_read_on_and_on() -> None:
    """However many rows name an unknown key, the file is read only once per change."""
    source = CountingSource()
    ring = KeyRing({"k1": ONE}, source)
    sealed = KeyRing({"k9": TWO}).seal("x")
    source.stamp = 1
    for _ in range(100):
        with pytest.raises(SealError):
            ring.open(sealed)

    assert source.reads == 1


def test_a_fresh_key_comes_first_and_the_file_stays_its_owners(tmp_path: Path) -> None:
    """A new primary key gets a new id; the other keys, the file's mode and a link to it are kept."""
    path, link = tmp_path / "keys.yaml", tmp_path / "link.yaml"
    replaced(path, k9=ONE, mine=TWO)
    path.chmod(0o640)
    link.symlink_to(path)
    made = KeyFile(link).add_primary()

    assert made == "k10"
    assert list(KeyFile(path).read()) == ["k10", "k9", "mine"]
    assert KeyFile(path).read()["mine"] == TWO
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys.yaml", "link.yaml"]


def test_keys_that_are_added_together_are_all_kept(tmp_path: Path) -> None:
    """Keys that are added at the same time get different ids, and none overwrites another."""
    path = tmp_path / "keys.yaml"
    KeyFile(path).read_or_make()
    together = threading.Barrier(8)

    def add(_: int) -> str:
        together.wait()
        return KeyFile(path).add_primary()

    with ThreadPoolExecutor(8) as commands:
        made = sorted(commands.map(add, range(8)))

    assert made == [f"k{number}" for number in range(2, 10)]
    assert len(set(KeyFile(path).read().values())) == 9


def test_the_first_key_is_never_removed(tmp_path: Path) -> None:
    """Keys are removed by their ids, except the primary key, which always stays."""
    path = tmp_path / "keys.yaml"
    replaced(path, k2=TWO, k1=ONE)
    KeyFile(path).remove(["k1", "k2", "k7"])

    assert KeyFile(path).read() == {"k2": TWO}
