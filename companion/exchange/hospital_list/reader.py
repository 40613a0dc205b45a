"""A list from its first byte to its rows: whatever it is, it is read as it was meant or refused by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from companion.exchange.hospital_list import delimited, workbook
from companion.exchange.hospital_list.columns import Header, header_of, is_header
from companion.exchange.hospital_list.kinds import WORKBOOK, kind_of
from companion.exchange.hospital_list.told import file_is

# Titles, dates and logos that stand above the header.
_MOST_ABOVE = 10


@dataclass(frozen=True)
class Row:
    """One row: its number in the file, and its cells by column, or None when there are too many or too few."""

    line: int
    cells: dict[str, str] | None


def read(file: IO[bytes]) -> Iterator[Row]:
    """The rows after the header; the file must be seekable and stays open. Raises `Unreadable`."""
    lines = workbook.rows(file) if kind_of(file) == WORKBOOK else delimited.rows(file)
    header = _header(lines)
    for line, cells in lines:
        if any(cell.strip() for cell in cells):
            yield Row(line, header.cells(cells))


def _header(lines: Iterator[delimited.Cells]) -> Header:
    above: list[delimited.Cells] = []
    for line, cells in lines:
        if is_header(cells):
            return header_of(cells, line)
        if any(cell.strip() for cell in cells):
            above.append((line, cells))
        if len(above) > _MOST_ABOVE:
            break
    if not above:
        raise file_is("is_empty")
    line, cells = above[0]
    return header_of(cells, line)
