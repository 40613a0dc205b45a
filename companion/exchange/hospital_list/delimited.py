"""Rows of a file of text: semicolons, tabs or commas, `sep=`, quoted cells, lines ended as Windows, Unix and old Macs do."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

from companion.exchange.hospital_list.columns import is_header
from companion.exchange.hospital_list.letters import writing_of
from companion.exchange.hospital_list.told import file_is

# Far more than any honest cell; it stops a quote that is never closed from swallowing the file.
LONGEST_LINE = 20_000
_DELIMITERS = ";\t,|"
_LOOKED_AT = 12

# A row's line in the file, and its cells.
Cells = tuple[int, list[str]]


def rows(file: IO[bytes]) -> Iterator[Cells]:
    """Every row, the header too. Raises `Unreadable`."""
    writing = writing_of(file)
    file.seek(0)
    stream = io.TextIOWrapper(file, encoding=writing.encoding, newline=writing.line_end)
    try:
        yield from _split(_Lines(stream))
    finally:
        # Else the file would be closed with its wrapper, and it is read twice.
        stream.detach()


class _Lines:
    """The lines as the CSV reader wants them, counted."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream, self._ahead, self.number = stream, deque[str](), 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > LONGEST_LINE:
            raise file_is("line_too_long", self.number, most=str(LONGEST_LINE))
        return line

    def ahead(self) -> Sequence[str]:
        """The next few, still to come."""
        while len(self._ahead) < _LOOKED_AT and (line := self._read()):
            self._ahead.append(line)
        return self._ahead

    def _read(self) -> str:
        line = self._stream.readline(LONGEST_LINE + 1)
        # A carriage return alone within a cell is a break that Excel let somebody type.
        bare = line.rstrip("\r\n").replace("\r", " ").lstrip("\ufeff")
        return f"{bare}\n" if line else ""


def _split(lines: _Lines) -> Iterator[Cells]:
    delimiter = _said(lines) or _found(lines.ahead())
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begins = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise file_is("quote_open", begins) from None
        yield begins, cells


def _said(lines: _Lines) -> str:
    """The delimiter that the first line names for Excel; the line is then no row."""
    said = re.match(r"\"?sep=([^\r\n])", next(iter(lines.ahead()), ""), re.IGNORECASE)
    if said:
        next(lines)
    return said[1] if said else ""


def _found(ahead: Sequence[str]) -> str:
    """What divides the header into names we know; the semicolon of Norwegian Excel when there is none."""
    for line in ahead:
        for delimiter in _DELIMITERS:
            if is_header(next(csv.reader([line], delimiter=delimiter), [])):
                return delimiter
    return _DELIMITERS[0]
