"""Decoding of mails and files, by their declared encoding, or else by the one that their bytes suggest.

Declared names are read as in https://encoding.spec.whatwg.org/#names-and-labels: ISO-8859-1 and ASCII mean
Windows-1252, because such texts are really written in it. Bytes that cannot be decoded become U+FFFD.
"""

from __future__ import annotations

import codecs
import re

_MARKS = (  # the longer first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The encodings of real mail. Python's other codecs are not text encodings, or take quadratic time.
_KNOWN = re.compile(
    r"utf-8|utf-16(?:-[lb]e)?|utf-32(?:-[lb]e)?|cp\d{3,4}|iso8859-\d{1,2}|koi8-[rtu]|kz1048|ptcp154|mac-[a-z0-9]{2,9}|"
    r"shift_jis(?:_2004|x0213)?|euc_(?:jp|kr|jis_2004|jisx0213)|iso2022_(?:jp(?:_[123]|_2004|_ext)?|kr)|gb2312|gbk|"
    r"gb18030|hz|big5(?:hkscs)?|johab|tis-620|hp-roman8"
)
_ESCAPES = re.compile(rb"\x1b[$(]|\x0e|~\{")  # what ISO-2022 and HZ, made of seven-bit bytes, change their alphabet by
_LOOKED_AT = 4096  # bytes


def decoded(data: bytes, declared: str = "") -> str:
    """Return the bytes as text; takes time in proportion to their number, and never raises.

    Args:
        data: The bytes. Gmail converts the text of every mail to UTF-8, and leaves files as they came.
        declared: The name of their encoding, as the sender wrote it.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    name = _known(declared)
    if name.startswith(("utf-16", "utf-32")) and b"\x00" in data:
        return data.decode(name, "replace")
    if name.startswith(("iso2022", "hz")) and _ESCAPES.search(data):
        return data.decode(name, "replace")
    if guessed := _guessed(data):
        return data.decode(guessed, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(name or "cp1252", "replace")


def looks_binary(text: str) -> bool:
    """Return whether decoded bytes turned out not to be text."""
    start = text[:_LOOKED_AT]
    odd = sum(each == "\ufffd" or (each < " " and each not in "\t\n\r\f\x1b") for each in start)
    return odd * 10 > len(start)


def _known(declared: str) -> str:
    """Return Python's name for a declared encoding, or an empty string if mail does not use it."""
    try:
        name = codecs.lookup(declared.strip()[:40]).name
    except (LookupError, ValueError, UnicodeError):  # no such name; a NUL or half a surrogate pair in it
        return ""
    if name in ("ascii", "iso8859-1"):
        return "cp1252"
    return name if _KNOWN.fullmatch(name) else ""


def _guessed(data: bytes) -> str:
    """Return the encoding that the bytes themselves reveal, or an empty string."""
    start = data[:_LOOKED_AT]
    if start.count(0) * 4 > len(start):
        return "utf-16-le" if start[1::2].count(0) >= start[::2].count(0) else "utf-16-be"
    return "iso2022_jp" if re.search(rb"\x1b\$[@B]", start) else ""
