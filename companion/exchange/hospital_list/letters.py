"""How a file's letters are written: UTF-8, UTF-16, Windows-1252 when its words then look right; else it is refused by line."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from companion.exchange.hospital_list.told import file_is
from companion.rules.names import looks_garbled

_AT_A_TIME = 65_536
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Æ, Ø and Å of DOS and of old Macs become when read as Windows-1252; no name holds any of it.
_NOT_IN_NAMES = re.compile(r"[†‡›‹¿¾®¯Œœƒ¤¬„‚•¶]|\w‘|\w”\w|[a-zæøå][ŠŽŸ]")


@dataclass(frozen=True)
class Writing:
    """The encoding, and what ends a line: `\\n`, or `\\r` in a file that has no other."""

    encoding: str
    line_end: str


def writing_of(file: IO[bytes]) -> Writing:
    """How the file is written. Raises `Unreadable` where that cannot be known, or was spoiled before it came to us."""
    file.seek(0)
    head = file.read(_AT_A_TIME)
    for encoding in _candidates(head):
        if found := _tried(file, encoding):
            return found
    raise file_is("letters_unknown", _line_of_first_bad_byte(file))


def _candidates(head: bytes) -> tuple[str, ...]:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return (encoding,)
    # Plain letters in UTF-16 are every second byte a NUL.
    if len(head) >= 4 and head[1::2].count(0) * 2 > len(head[1::2]):
        return ("utf-16-le",)
    if len(head) >= 4 and head[::2].count(0) * 2 > len(head[::2]):
        return ("utf-16-be",)
    return ("utf-8", "cp1252")


def _tried(file: IO[bytes], encoding: str) -> Writing | None:
    """Reads all of it once; None when it does not decode, or not to words."""
    line, has_newline = 1, False
    try:
        for text in _pieces(file, encoding):
            if "\x00" in text:
                raise file_is("has_nul", line + text[: text.index("\x00")].count("\n"))
            if encoding == "cp1252" and (_NOT_IN_NAMES.search(text) or looks_garbled(text)):
                return None
            has_newline = has_newline or "\n" in text
            line += text.count("\n")
    except UnicodeDecodeError:
        return None
    return Writing(encoding, "\n" if has_newline else "\r")


def _pieces(file: IO[bytes], encoding: str) -> Iterator[str]:
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    while raw := file.read(_AT_A_TIME):
        yield decoder.decode(raw)
    yield decoder.decode(b"", final=True)


def _line_of_first_bad_byte(file: IO[bytes]) -> int:
    """Where the first letter stands that is not UTF-8."""
    file.seek(0)
    line = 1
    while raw := file.read(_AT_A_TIME):
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as bad:
            # The last letter may only be cut in two.
            if bad.end < len(raw) or len(raw) < _AT_A_TIME:
                return line + max(raw.count(b"\n", 0, bad.start), raw.count(b"\r", 0, bad.start))
        line += max(raw.count(b"\n"), raw.count(b"\r"))
    return line
