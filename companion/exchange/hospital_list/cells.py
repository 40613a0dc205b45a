"""One cell of a list: what Excel and others did to it undone where that is sure, and named where it is not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from companion.exchange.hospital_list.columns import FAMILY, GIVEN
from companion.rules import names, national_id

_OSLO = ZoneInfo("Europe/Oslo")
_MONTHS = {
    **dict(jan=1, feb=2, mar=3, apr=4, mai=5, jun=6, jul=7, aug=8, sep=9, okt=10, nov=11, des=12),
    **dict(may=5, oct=10, dec=12),
}
_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+")
_LANGUAGES = {
    "bokmal": "nb",
    "norsk": "nb",
    "norsk bokmal": "nb",
    "no": "nb",
    "nb no": "nb",
    "nob": "nb",
    "nynorsk": "nn",
    "norsk nynorsk": "nn",
    "nn no": "nn",
    "nno": "nn",
    "samisk": "se",
    "nordsamisk": "se",
    "davvisamegiella": "se",
    "sme": "se",
    "engelsk": "en",
    "english": "en",
    "eng": "en",
}
_OWNERS = {
    "sykehus": "hospital",
    "sykehuset": "hospital",
    "ambulant team": "art",
    "kommune": "municipality",
    "kommunen": "municipality",
    "fastlege": "gp",
    "fastlegen": "gp",
    "lege": "gp",
    "pasient": "patient",
    "pasienten": "patient",
}
_READ_AS_DIGITS = ("national_id", "phone", "municipality_number")


@dataclass
class Tidied:
    """A row's cells as they were meant; what is wrong and what was done, by column."""

    cells: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def tidied(row: Mapping[str, str]) -> Tidied:
    """The row without what a spreadsheet did to it. Its problems are certain; everything else is checked later."""
    found = Tidied({column: _bare(cell) for column, cell in row.items()})
    found.problems |= {column: code for column, cell in found.cells.items() if (code := _given_up(cell))}
    _name(found)
    for column in _READ_AS_DIGITS:
        _digits(found, column)
    _national_id(found)
    _municipality(found)
    _day(found)
    cells = found.cells
    cells["hour"] = _hour(cells.get("hour", ""))
    cells["language"] = _coded(cells.get("language", ""), _LANGUAGES) or "nb"
    cells["measures"] = " & ".join(map(_measure, cells.get("measures", "").split(" & ")))
    return found


def _bare(cell: str) -> str:
    """Without `="…"`, by which programs keep Excel from counting, and without the apostrophe that does the same."""
    text = cell.replace("\xa0", " ").strip()
    if told := re.fullmatch(r'="?(.*?)"?', text, re.DOTALL):
        text = told[1].replace('""', '"').strip()
    return text.removeprefix("'").strip() if re.match(r"'[\d+]", text) else text


def _given_up(cell: str) -> str:
    """What Excel shows where it has no value to show."""
    if len(cell) > 2 and set(cell) == {"#"}:
        return "hashes"
    return "formula_error" if re.fullmatch(r"#[A-ZÆØÅ/]+[!?]?", cell) else ""


def _name(found: Tidied) -> None:
    given, family = found.cells.pop(GIVEN, ""), found.cells.pop(FAMILY, "")
    if given or family:
        found.cells["name"] = f"{family}, {given}" if given and family else given or family


def _digits(found: Tidied, column: str) -> None:
    text = found.cells.get(column, "")
    if _SCIENTIFIC.fullmatch(text.replace(" ", "")):
        found.problems[column] = "scientific"
    elif re.fullmatch(r"\d+[.,]0", text):
        found.cells[column] = text[:-2]


def _national_id(found: Tidied) -> None:
    """A number whose zero in front is gone gets it back where both control digits then agree."""
    text = re.sub(r"[\s.\-–]", "", found.cells.get("national_id", ""))
    if re.fullmatch(r"\d{10}", text) and "national_id" not in found.problems:
        if national_id.both_control_digits_agree(f"0{text}"):
            found.notes["national_id"] = "zero_restored"
            text = f"0{text}"
        else:
            found.problems["national_id"] = "a_digit_missing"
    if re.fullmatch(r"\d{11}", text):
        found.cells["national_id"] = text


def _municipality(found: Tidied) -> None:
    """A number whose zero in front is gone: only Oslo's begins with one."""
    text = found.cells.get("municipality_number", "")
    if re.fullmatch(r"\d{3}", text):
        found.cells["municipality_number"] = f"0{text}"
    elif told := re.fullmatch(r"(\d{4})[\s-]+\D+|\D+\s+\(?(\d{4})\)?", text):
        found.cells["municipality_number"] = told[1] or told[2]
    else:
        found.cells["municipality_number"] = re.sub(r"\s+kommune$", "", text, flags=re.IGNORECASE)


def _day(found: Tidied) -> None:
    text = found.cells.get("discharged_on", "")
    if re.fullmatch(r"\d{5}([.,]\d+)?", text):
        found.problems["discharged_on"] = "excel_day_number"
    elif text:
        days = _days(text)
        if len(days) > 1:
            found.problems["discharged_on"] = "two_days"
        elif days:
            found.cells["discharged_on"] = days.pop().isoformat()


def _days(text: str) -> set[date]:
    """The days a text can mean: one, none, or two where nobody can tell the month from the day."""
    if moment := _moment(text):
        return {moment}
    bare = (
        re.sub(r"[\sT]+(kl\.?\s*)?\d{1,2}[:.]\d{2}([:.]\d{2}([.,]\d+)?)?\s*$", "", text).strip().rstrip(".")
    )
    if told := re.fullmatch(
        r"(\d{4})[-./](\d{1,2})[-./](\d{1,2})|(\d{4})(\d{2})(\d{2})(?:\d{4}|\d{6})?", bare
    ):
        year, month, day = (int(part) for part in told.groups() if part)
        return _possible((year, month, day))
    if told := re.fullmatch(r"(\d{1,2})([./-])\s?(\d{1,2})[./-]\s?(\d{4}|\d{2})", bare):
        first, second, year = int(told[1]), int(told[3]), _whole_year(told[4])
        # With points it is ours; with a stroke it may be an American's.
        return _possible((year, second, first), *([(year, first, second)] if told[2] == "/" else []))
    if told := re.fullmatch(r"(\d{1,2})[. -]*([a-zA-Z]{3})[a-z]*[. -]*(\d{4}|\d{2})", bare):
        month = _MONTHS.get(told[2].lower(), 0)
        return _possible((_whole_year(told[3]), month, int(told[1])))
    return set()


def _moment(text: str) -> date | None:
    """The Norwegian day of a moment with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo and len(text) > 10:
        return moment.astimezone(UTC).astimezone(_OSLO).date()
    return None


def _whole_year(year: str) -> int:
    return int(year) if len(year) == 4 else 2000 + int(year)


def _possible(*triples: tuple[int, int, int]) -> set[date]:
    days = set()
    for year, month, day in triples:
        try:
            days.add(date(year, month, day))
        except ValueError:
            continue
    return days


def _hour(text: str) -> str:
    told = re.fullmatch(r"(?:kl\.?\s*)?(\d{1,2})(?:[:.](\d{2})(?:[:.]\d{2})?)?", text.strip().lower())
    return f"{told[1]}:{told[2] or '00'}" if told else text


def _coded(text: str, codes: Mapping[str, str]) -> str:
    folded = names.folded(text)
    return codes.get(folded, folded if len(folded) == 2 else text)


def _measure(text: str) -> str:
    title, *rest = text.split("|")
    if len(rest) != 2:
        return text
    owner = _OWNERS.get(names.folded(rest[0]), rest[0].strip().lower())
    due = re.sub(r"^(\d+)\s*(dager|dagar|dag|d|days?)\.?$", r"\1", rest[1].strip().lower())
    return "|".join((title, owner, due))
