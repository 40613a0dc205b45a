"""What is typed of a discharge, read: every field that does not do is named at once."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

from sqlalchemy.orm import Session

from companion import library
from companion.errors import Invalid
from companion.models.care import MEASURE_OWNERS
from companion.rules import names
from companion.rules import national_id as national_ids
from companion.rules.names import Name
from companion.rules.quiet_hours import may_choose
from companion.rules.texts import LANGUAGES
from companion.settings import Settings
from companion.use_cases.going_home.places import Place, Places, national_id_problem
from companion.use_cases.people.typed import clean, clean_lines, phone_number

FIELDS = (
    "national_id",
    "name",
    "phone",
    "language",
    "municipality_number",
    "ward",
    "discharged_on",
    "template",
    "hour",
)
# A number that takes no SMS: a person with it is phoned.
NO_SMS = "no_sms"
LONGEST_NAME = 100
LONGEST_TITLE = 200
LONGEST_WHY = 500
MOST_MEASURES = 30
LATEST_DUE = 730
# The longest plan reaches a year; a day further away than that is a slip of the pen.
FURTHEST = timedelta(days=366)


@dataclass(frozen=True)
class MeasureDraft:
    """A measure as typed. `due` is a number of days after the discharge, or a date."""

    title: str
    owner: str
    due: str
    why: str = ""


@dataclass(frozen=True)
class NewMeasure:
    """A measure that does."""

    title: str
    why: str | None
    owner: str
    due_on: date


@dataclass(frozen=True)
class Discharge:
    """A discharge whose every field does.

    `by_phone_call`: a human phones, for the number takes no SMS, or there is none at all and `phone` is empty. `write_from`:
    nothing is written to the person before that day. `new_measures`: another title than before is another measure.
    """

    national_id: str
    birth_date: date
    name: Name
    phone: str
    by_phone_call: bool
    language: str
    municipality_number: str
    ward: Place
    discharged_on: date
    template: str
    hour: time | None
    measures: tuple[NewMeasure, ...]
    write_from: date | None = None
    new_measures: bool = False


def check(
    db: Session,
    fields: Mapping[str, str],
    measures: Sequence[MeasureDraft],
    *,
    settings: Settings,
    today: date,
    places: Places | None = None,
    accept_names: bool = False,
) -> Discharge:
    """The discharge behind what was typed. Raises `Invalid` with every problem at once.

    Problems of measures are named by their number on the sheet: `measures.1.title`. `accept_names`: a name of which nobody can
    know what is what is taken as it is; else it is a problem, `name_order`.
    """
    return _Check(fields, places or Places.read(db), settings, today, accept_names).discharge(measures)


def read_measures(text: str) -> list[MeasureDraft]:
    """Measures as a list writes them: `title|owner|due days`, joined by ` & `. Raises `Invalid` for `measures`."""
    drafts = []
    for part in filter(None, (part.strip() for part in text.split(" & "))):
        pieces = part.split("|")
        if len(pieces) != 3:
            raise Invalid({"measures": "not_a_measure"})
        drafts.append(MeasureDraft(title=pieces[0], owner=pieces[1], due=pieces[2]))
    return drafts


class _Check:
    """One form being read, with the problems found so far."""

    def __init__(
        self, fields: Mapping[str, str], places: Places, settings: Settings, today: date, accept_names: bool
    ) -> None:
        self._fields = fields
        self._accept_names = accept_names
        self._places = places
        self._settings = settings
        self._today = today
        self._problems: dict[str, str] = {}

    def discharge(self, drafts: Sequence[MeasureDraft]) -> Discharge:
        """Every field read before anything is said."""
        digits, born = self._national_id()
        name = self._name()
        phone, by_phone_call = self._phone()
        language = self._one_of("language", LANGUAGES, "not_a_language")
        municipality = self._municipality()
        ward = self._ward()
        discharged_on = self._discharged_on()
        template = self._one_of("template", library.plan_templates(), "unknown_template")
        hour = self._hour()
        write_from = self._write_from()
        measures = self._measures(drafts, discharged_on or self._today)
        if self._problems or born is None or ward is None or discharged_on is None:
            raise Invalid(self._problems)
        return Discharge(
            national_id=digits,
            birth_date=born,
            name=name,
            phone=phone,
            by_phone_call=by_phone_call,
            language=language,
            municipality_number=municipality,
            ward=ward,
            discharged_on=discharged_on,
            template=template,
            hour=hour,
            measures=measures,
            write_from=write_from,
        )

    def _text(self, field: str) -> str:
        typed = clean(self._fields.get(field, ""))
        if not typed:
            self._problems[field] = "missing"
        return typed

    def _national_id(self) -> tuple[str, date | None]:
        try:
            read = national_ids.parse(
                clean(self._fields.get("national_id", "")),
                allow_synthetic=self._settings.allow_synthetic,
                today=self._today,
            )
        except national_ids.InvalidNationalId as problem:
            self._problems["national_id"] = national_id_problem(problem)
            return "", None
        if read.birth_date is None:
            self._problems["national_id"] = "not_a_national_id"
        return read.digits, read.birth_date

    def _name(self) -> Name:
        typed = self._text("name")
        name = names.read(typed)
        if len(typed) > LONGEST_NAME:
            self._problems["name"] = "too_long"
        elif typed and not any(letter.isalpha() for letter in typed):
            self._problems["name"] = "not_a_name"
        elif names.spoiled(typed):
            self._problems["name"] = "garbled"
        elif typed and not name.known and not self._accept_names:
            self._problems["name"] = "name_order"
        return name

    def _phone(self) -> tuple[str, bool]:
        typed = clean(self._fields.get("phone", ""))
        if not typed and self._fields.get("contact_by", "call") == "call":
            return "", True
        number = phone_number(self._text("phone")) if typed else None
        if number is None:
            self._problems["phone"] = "not_a_phone" if typed else "missing"
        return (number.e164, number.landline) if number else ("", False)

    def _one_of(self, field: str, known: Collection[str], code: str) -> str:
        typed = self._text(field)
        if typed and typed not in known:
            self._problems[field] = code
        return typed

    def _municipality(self) -> str:
        typed = self._text("municipality_number")
        if typed and not self._places.has_municipality(typed):
            self._problems["municipality_number"] = self._places.unknown_municipality(typed)
        return typed

    def _ward(self) -> Place | None:
        typed = self._text("ward")
        ward = self._places.ward(typed)
        if typed and ward is None:
            self._problems["ward"] = "unknown_ward"
        return ward

    def _discharged_on(self) -> date | None:
        typed = self._text("discharged_on")
        day = read_date(typed)
        if typed and day is None:
            self._problems["discharged_on"] = "not_a_date"
        if day and abs(day - self._today) > FURTHEST:
            self._problems["discharged_on"] = "too_far"
        return day

    def _write_from(self) -> date | None:
        typed = clean(self._fields.get("write_from", ""))
        day = read_date(typed)
        if typed and day is None:
            self._problems["write_from"] = "not_a_date"
        return day

    def _hour(self) -> time | None:
        typed = clean(self._fields.get("hour", ""))
        hour = read_time(typed)
        if typed and hour is None:
            self._problems["hour"] = "not_a_time"
        elif hour is not None and not may_choose(hour):
            self._problems["hour"] = "quiet_hour"
        return hour

    def _measures(self, drafts: Sequence[MeasureDraft], discharged_on: date) -> tuple[NewMeasure, ...]:
        if len(drafts) > MOST_MEASURES:
            self._problems["measures"] = "too_many"
            return ()
        return tuple(
            self._measure(f"measures.{number}", draft, discharged_on)
            for number, draft in enumerate(drafts, start=1)
        )

    def _measure(self, field: str, draft: MeasureDraft, discharged_on: date) -> NewMeasure:
        title, owner = clean(draft.title), clean(draft.owner)
        why = clean_lines(draft.why)
        if not title or len(title) > LONGEST_TITLE:
            self._problems[f"{field}.title"] = "too_long" if title else "missing"
        elif names.looks_garbled(title):
            self._problems[f"{field}.title"] = "garbled"
        if owner not in MEASURE_OWNERS:
            self._problems[f"{field}.owner"] = "unknown_owner" if owner else "missing"
        if len(why) > LONGEST_WHY:
            self._problems[f"{field}.why"] = "too_long"
        due_on = self._due(f"{field}.due", clean(draft.due), discharged_on)
        return NewMeasure(title=title, why=why or None, owner=owner, due_on=due_on)

    def _due(self, field: str, typed: str, discharged_on: date) -> date:
        day = read_date(typed)
        if day is not None:
            days = (day - discharged_on).days
        elif re.fullmatch(r"[0-9]{1,6}", typed):
            days = int(typed)
        else:
            self._problems[field] = "not_a_number" if typed else "missing"
            return discharged_on
        if not 0 <= days <= LATEST_DUE:
            self._problems[field] = "too_far"
            return discharged_on
        return discharged_on + timedelta(days=days)


def read_date(text: str) -> date | None:
    """The day, from `YYYY-MM-DD` alone."""
    # date.fromisoformat alone would also take 20261110 and 2026-W46-2.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_time(text: str) -> time | None:
    """The time of day, from `H:MM` or `H.MM`."""
    parts = re.fullmatch(r"([0-9]{1,2})[:.]([0-9]{2})", text)
    if parts is None or int(parts[1]) > 23 or int(parts[2]) > 59:
        return None
    return time(int(parts[1]), int(parts[2]))
