"""The form of a discharge as it was typed: fields, measures in rows, a relative, the first lines of the passport."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from companion.demo import ANNE, KARI, KARI_MEASURES
from companion.rules.names import called
from companion.use_cases.going_home.discharge import FIELDS, MeasureDraft
from web.house.deps import Fields

OWN_FIELDS = (*FIELDS, "contact_by", "answers_by_sms")
MEASURE_FIELDS = ("title", "owner", "due", "why")
RELATIVE_FIELDS = ("name", "phone", "birth_date", "relation", "until")
FIRST_LINES = ("matters", "talk", "important")
DEFAULT_OWNER = "municipality"
_MOST_ROWS = 40
_HALF_A_YEAR = timedelta(days=182)


@dataclass(frozen=True)
class Row:
    """A measure as typed."""

    title: str = ""
    owner: str = DEFAULT_OWNER
    due: str = ""
    why: str = ""

    @property
    def blank(self) -> bool:
        """Nobody has written anything in it; the owner is only what stood there."""
        return not (self.title.strip() or self.due.strip() or self.why.strip())


@dataclass(frozen=True)
class DischargeForm:
    """Everything on the form, as it was typed."""

    fields: Mapping[str, str]
    rows: tuple[Row, ...] = (Row(),)
    relative: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ("passport", "measures", "meetings")
    lines: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_name(self) -> str:
        """What to call the person on the form, as soon as a name is there."""
        return called(self.fields.get("name", ""))[:40]

    @property
    def has_relative(self) -> bool:
        """Whether anybody is named there."""
        return any(
            self.relative.get(name, "").strip() for name in ("name", "phone", "birth_date", "relation")
        )

    @property
    def agreed_to_sms(self) -> bool:
        """Whether the person answers check-ins by SMS itself."""
        return self.fields.get("answers_by_sms") == "yes" and self.fields.get("contact_by") == "sms"

    def drafts(self) -> list[MeasureDraft]:
        """The measures for the use-case; call it on a `tidy` form, so that their numbers are the rows'."""
        return [
            MeasureDraft(title=row.title, owner=row.owner, due=row.due, why=row.why)
            for row in self.rows
            if not row.blank
        ]

    def tidy(self) -> "DischargeForm":
        """Without rows nobody has written in, except one to begin in."""
        return replace(self, rows=tuple(row for row in self.rows if not row.blank) or (Row(),))

    def with_row(self) -> "DischargeForm":
        """One more row."""
        return replace(self, rows=(*self.rows, Row())[:_MOST_ROWS])

    def without_row(self, number: str) -> "DischargeForm":
        """The row of that number gone."""
        kept = tuple(row for at, row in enumerate(self.rows, start=1) if str(at) != number)
        return replace(self, rows=kept or (Row(),))


def empty_form(ward: str, today: date) -> DischargeForm:
    """What stands in a new form."""
    fields = dict.fromkeys(OWN_FIELDS, "") | {
        "ward": ward,
        "discharged_on": today.isoformat(),
        "language": "nb",
        "contact_by": "sms",
    }
    return DischargeForm(fields, relative=_blank_relative(today))


def read_form(posted: Fields) -> DischargeForm:
    """What was posted, untouched."""
    count = min(len({key.split(".")[1] for key in posted if key.startswith("measures.")}), _MOST_ROWS)
    rows = tuple(_row(posted, number) for number in range(1, count + 1))
    return DischargeForm(
        fields={name: posted.get(name, "") for name in OWN_FIELDS},
        rows=rows or (Row(),),
        relative={name: posted.get(f"relative.{name}", "") for name in RELATIVE_FIELDS},
        scopes=tuple(posted.all_of("relative.scopes")),
        lines={section: posted.get(section, "") for section in FIRST_LINES},
    )


def kari_form(ward: str, today: date) -> DischargeForm:
    """The demo's first patient, with her daughter."""
    fields = {
        "national_id": KARI.national_id,
        "name": KARI.name,
        "phone": KARI.phone,
        "language": "nb",
        "municipality_number": "5501",
        "ward": ward,
        "discharged_on": today.isoformat(),
        "template": "stroke",
        "hour": "10:00",
        "contact_by": "sms",
    }
    relative = {
        "name": ANNE.name,
        "phone": ANNE.phone,
        "birth_date": ANNE.birth.isoformat(),
        "relation": "datter",
        "until": (today + _HALF_A_YEAR).isoformat(),
    }
    lines = {
        "matters": "Å kunne gå til butikken alene, og synge i koret igjen.",
        "talk": "Snakk rolig, én ting om gangen. Vent på svaret.",
        "important": "Tåler ikke penicillin.",
    }
    rows = tuple(Row(title, owner, str(days)) for title, owner, days in KARI_MEASURES)
    return DischargeForm(fields, rows, relative, ("passport", "meetings"), lines)


def row_errors(errors: Mapping[str, str], number: int) -> dict[str, str]:
    """What is wrong in one row, by field, without the number that the summary says."""
    found = {}
    for name in MEASURE_FIELDS:
        if said := errors.get(f"measures.{number}.{name}"):
            found[name] = said.split(": ", 1)[-1]
    return found


def _row(posted: Fields, number: int) -> Row:
    return Row(
        title=posted.get(f"measures.{number}.title", ""),
        owner=posted.get(f"measures.{number}.owner", DEFAULT_OWNER),
        due=posted.get(f"measures.{number}.due", ""),
        why=posted.get(f"measures.{number}.why", ""),
    )


def _blank_relative(today: date) -> dict[str, str]:
    return dict.fromkeys(RELATIVE_FIELDS, "") | {"until": (today + _HALF_A_YEAR).isoformat()}


def named(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Field names with the prefix they have on this form."""
    return {name: f"{prefix}{name}" for name in names}
