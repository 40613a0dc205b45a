"""Rows of an Excel workbook's first sheet, every cell as text; what could hurt us is refused before it is opened."""

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import IO
from xml.etree.ElementTree import ParseError

from companion.exchange.hospital_list.delimited import LONGEST_LINE, Cells
from companion.exchange.hospital_list.told import Unreadable, file_is

_MOST_BYTES = 40_000_000
_MOST_PARTS = 500
_MOST_COLUMNS = 60
# Excel ends a sheet at a million rows; somebody who coloured the last one has not filled those between.
_MOST_EMPTY_ROWS = 1000
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    LookupError,
    ArithmeticError,
    AssertionError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)


def rows(file: IO[bytes]) -> Iterator[Cells]:
    """Every row that holds something, by its number in the sheet. Raises `Unreadable`."""
    _refuse_bombs(file)
    try:
        yield from _rows(file)
    except Unreadable:
        raise
    except _DAMAGED:
        raise file_is("is_damaged") from None


def _refuse_bombs(file: IO[bytes]) -> None:
    file.seek(0)
    parts = zipfile.ZipFile(file).infolist()
    if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_BYTES:
        raise file_is("is_too_large")


def _rows(file: IO[bytes]) -> Iterator[Cells]:
    # Only a list in a workbook pays for this.
    from openpyxl import load_workbook

    # It says on the console what it does not know of a workbook's looks; nobody asked.
    warnings.filterwarnings("ignore", module="openpyxl")
    file.seek(0)
    book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    if not book.worksheets:
        raise file_is("is_empty")
    empty, lines = 0, enumerate(book.worksheets[0].iter_rows(max_col=_MOST_COLUMNS, values_only=True), 1)
    for number, values in lines:
        cells = [_text(value) for value in values]
        if any(cells):
            if sum(map(len, cells)) > LONGEST_LINE:
                raise file_is("line_too_long", number, most=str(LONGEST_LINE))
            yield number, cells
        empty = 0 if any(cells) else empty + 1
        if empty > _MOST_EMPTY_ROWS:
            return


def _text(value: object) -> str:
    """A cell as it would stand in a CSV: whole numbers without a point, days as ISO."""
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat(sep=" ")
        case date():
            return value.isoformat()
        case time():
            return value.strftime("%H:%M")
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
    return str(value).strip()
