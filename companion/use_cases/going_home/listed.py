"""One row of a list into a discharge, by our codes or by the words hospitals use for them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache

from sqlalchemy.orm import Session

from companion import library
from companion.errors import Invalid
from companion.exchange.hospital_list.cells import tidied
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.rules.names import folded
from companion.settings import Settings
from companion.use_cases.going_home import discharge
from companion.use_cases.going_home.checked import NO_SMS, Discharge
from companion.use_cases.going_home.places import Places


@dataclass(frozen=True)
class Answers:
    """What was answered to what a list makes us ask.

    `write_from`: the day from which on we write to people who went home long ago. `accept_names`: names of which nobody can
    know the family name are taken as they are; such a person is greeted without a name. `new_measures`: a measure with
    another title than before is a new one.
    """

    write_from: date | None = None
    accept_names: bool = False
    new_measures: bool = False


@dataclass(frozen=True)
class Read:
    """A row that does, and what was done to it, by column."""

    discharge: Discharge
    notes: dict[str, str]


class Checker:
    """Rows into discharges, with what the database knows of units and municipalities read once."""

    def __init__(
        self,
        db: Session,
        settings: Settings,
        now: datetime,
        who: Actor,
        places: Places | None = None,
        answers: Answers | None = None,
    ) -> None:
        self.places = places or Places.read(db)
        self._who, self._answers = who, answers or Answers()
        self._db, self._settings, self._today = db, settings, local_day(now)

    def read(self, row: Mapping[str, str]) -> Read:
        """The discharge of a row. Raises `Invalid`."""
        tidy = tidied(row)
        problems: dict[str, str] = {}
        cells, new, drafts = self._coded(tidy.cells), None, []
        try:
            drafts = discharge.read_measures(cells["measures"])
        except Invalid as invalid:
            problems |= invalid.problems
        try:
            new = discharge.check(
                self._db,
                cells,
                drafts,
                settings=self._settings,
                today=self._today,
                places=self.places,
                accept_names=self._answers.accept_names,
            )
        except Invalid as invalid:
            problems = invalid.problems | problems
        # What a spreadsheet did is the better reason.
        problems |= tidy.problems
        if new is None or problems:
            raise Invalid(problems)
        if not discharge.may_discharge(self._who, new.ward):
            raise Invalid({"ward": "unknown_ward"})
        answered = replace(
            new,
            write_from=new.write_from or self._answers.write_from,
            new_measures=self._answers.new_measures,
        )
        return Read(answered, tidy.notes | _notes(new))

    def _coded(self, cells: Mapping[str, str]) -> dict[str, str]:
        """Names of wards, templates and municipalities as our codes, where only one is meant."""
        return {
            **cells,
            "ward": self.places.ward_key(cells.get("ward", "")),
            "template": _template(cells.get("template", "")),
            "municipality_number": self.places.municipality_number(cells.get("municipality_number", "")),
        }


def _template(text: str) -> str:
    return text if text in library.plan_templates() else _templates().get(folded(text), text)


@cache
def _templates() -> Mapping[str, str]:
    """The keys of the plan templates by their names in every language, folded."""
    return {
        folded(name): key
        for key, template in library.plan_templates().items()
        for name in (key.replace("_", " "), *template.name.values())
    }


def _notes(new: Discharge) -> dict[str, str]:
    notes = {}
    if not new.phone:
        notes["phone"] = "no_phone"
    elif new.by_phone_call:
        notes["phone"] = NO_SMS
    if not new.name.known:
        notes["name"] = "greeted_without_name"
    return notes
