"""What a file is by its first bytes: a list perhaps, a workbook, or something that is named to whoever sent it."""

import re
import zipfile
from typing import IO

from companion.exchange.hospital_list.told import file_is

WORKBOOK = "workbook"
TEXT = "text"
_LOOKED_AT = 4096

_BY_FIRST_BYTES = (
    (b"\xd0\xcf\x11\xe0", "is_old_excel"),
    (b"%PDF", "is_pdf"),
    (b"{\\rtf", "is_document"),
    (b"\x89PNG", "is_picture"),
    (b"\xff\xd8\xff", "is_picture"),
    (b"GIF8", "is_picture"),
    (b"\x1f\x8b", "is_zip"),
    (b"7z\xbc\xaf", "is_zip"),
    (b"Rar!", "is_zip"),
    (b"ID;P", "is_old_excel"),
    (b"SQLite format 3", "is_something_else"),
)
_BY_FIRST_WORDS = (
    (r"(FHS\||BHS\||MSH\|)", "is_hl7"),
    (r"(UNA|UNB\+)", "is_edifact"),
    (r"BEGIN:V(CARD|CALENDAR)", "is_something_else"),
    (r"(MIME-Version|From|Received|Return-Path):", "is_mail"),
)
_BY_WORDS_WITHIN = (
    (r"urn:schemas-microsoft-com:office:spreadsheet", "is_old_excel"),
    (r"http://hl7\.org/fhir", "is_fhir"),
    (r"(urn:hl7-org:v3|MsgHead|kith\.no)", "is_xml_message"),
    (r"<(!doctype html|html|table|head|body|meta)", "is_html"),
)
_WITHIN_ZIP = (
    (r"xl/vbaProject\.bin", "has_macros"),
    (r"xl/workbook\.xml", WORKBOOK),
    (r"xl/workbook\.bin", "is_other_workbook"),
    (r"(content\.xml|Index/.*\.iwa)", "is_other_workbook"),
    (r"word/.*", "is_document"),
)


def kind_of(file: IO[bytes]) -> str:
    """`TEXT` or `WORKBOOK`; raises `Unreadable` naming what else it is."""
    file.seek(0)
    head = file.read(_LOOKED_AT)
    if not head.strip(b"\x00\r\n\t ;,\xef\xbb\xbf\xfe\xff"):
        raise file_is("is_empty")
    for first, code in _BY_FIRST_BYTES:
        if head.startswith(first):
            raise file_is(code)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _in_zip(file)
    _refuse_messages(_plain(head))
    return TEXT


def _plain(head: bytes) -> str:
    """The beginning as ASCII, whatever its encoding."""
    plain = head.replace(b"\x00", b"").decode("ascii", errors="ignore")
    return plain.lstrip("\x0b\r\n\t ")


def _refuse_messages(start: str) -> None:
    for pattern, code in _BY_FIRST_WORDS:
        if re.match(pattern, start, re.IGNORECASE):
            raise file_is(code, what=_hl7_event(start))
    if re.match(r"[\[{]\s*([\"{\[]|$)", start):
        fhir = re.search(r'"resourceType"\s*:\s*"(\w{1,40})"', start)
        raise file_is("is_fhir", what=fhir[1]) if fhir else file_is("is_json")
    if start.startswith("<"):
        for pattern, code in _BY_WORDS_WITHIN:
            if re.search(pattern, start, re.IGNORECASE):
                raise file_is(code, what="XML")
        raise file_is("is_xml")


def _hl7_event(start: str) -> str:
    event = re.search(r"\b([A-Z]{3})\^([A-Z]\d{2})\b", start)
    return f"{event[1]}^{event[2]}" if event else ""


def _in_zip(file: IO[bytes]) -> str:
    try:
        names = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise file_is("is_damaged") from None
    for pattern, code in _WITHIN_ZIP:
        if any(re.fullmatch(pattern, name, re.IGNORECASE) for name in names):
            if code == WORKBOOK:
                return WORKBOOK
            raise file_is(code)
    raise file_is("is_zip")
