"""A person goes home: the stay, its measures, the units that follow, the plan with its check-ins, and the welcome."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from companion import library
from companion.errors import Conflict, Invalid, NotAllowed
from companion.models import (
    Base,
    CareContact,
    CheckIn,
    Measure,
    Message,
    Patient,
    PatientUnit,
    Plan,
    PlanEvent,
    Stay,
)
from companion.models.care import MEASURE_OWNERS
from companion.rules import national_id as national_ids
from companion.rules.access import Actor
from companion.rules.cadence import PlannedCheckIn, local_day, schedule, to_utc
from companion.rules.texts import LANGUAGES
from companion.settings import Settings
from companion.use_cases.going_home import rows
from companion.use_cases.going_home.places import Place, Places, national_id_problem
from companion.use_cases.messages import message
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
LONGEST_NAME = 100
LONGEST_TITLE = 200
LONGEST_WHY = 500
MOST_MEASURES = 30
LATEST_DUE = 730
# The longest plan reaches a year; a day further away than that is a slip of the pen.
FURTHEST = timedelta(days=366)
SAME_STAY_WITHIN = timedelta(days=30)
WELCOME_LASTS = timedelta(days=7)
MISSING_FROM_THE_START = ("gp", "coordinator")


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
    """A discharge whose every field does. A landline takes no SMS, so `by_phone_call` then says that a human phones."""

    national_id: str
    birth_date: date
    name: str
    phone: str
    by_phone_call: bool
    language: str
    municipality_number: str
    ward: Place
    discharged_on: date
    template: str
    hour: time | None
    measures: tuple[NewMeasure, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of it. `unchanged` also where only a new measure or a new telephone number was added to a known stay."""

    stay: Stay
    what: Literal["created", "moved", "unchanged"]


@dataclass(frozen=True)
class Ready:
    """Everything about somebody we have not met: only the writing is left. The outcome's records are in no session."""

    new: Discharge
    outcome: Outcome
    rows: rows.Rows


@dataclass(frozen=True)
class PreviewLine:
    """What the person gets, when: `welcome` or `check_in`. `on` and `at` are Norwegian wall-clock time."""

    kind: Literal["welcome", "check_in"]
    day: int
    on: date
    at: time
    label: Mapping[str, str]


def check(
    db: Session,
    fields: Mapping[str, str],
    measures: Sequence[MeasureDraft],
    *,
    settings: Settings,
    today: date,
    places: Places | None = None,
) -> Discharge:
    """The discharge behind what was typed. Raises `Invalid` with every problem at once.

    Problems of measures are named by their number on the sheet: `measures.1.title`.
    """
    return _Check(fields, places or Places.read(db), settings, today).discharge(measures)


def read_measures(text: str) -> list[MeasureDraft]:
    """Measures as a list writes them: `title|owner|due days`, joined by ` & `. Raises `Invalid` for `measures`."""
    drafts = []
    for part in filter(None, (part.strip() for part in text.split(" & "))):
        pieces = part.split("|")
        if len(pieces) != 3:
            raise Invalid({"measures": "not_a_measure"})
        drafts.append(MeasureDraft(title=pieces[0], owner=pieces[1], due=pieces[2]))
    return drafts


def preview(fields: Mapping[str, str], *, now: datetime) -> list[PreviewLine]:
    """What the person will get, from a form that is perhaps half filled in; empty as long as template or day are missing."""
    template = library.plan_templates().get(fields.get("template", "").strip())
    day = _date(fields.get("discharged_on", "").strip())
    if template is None or day is None:
        return []
    hour = _time(fields.get("hour", "").strip()) or template.hour
    today = local_day(now)
    coming = [one for one in schedule(template, day, hour) if one.local_date >= today]
    labels = {one.day_offset: one.label for one in template.check_ins}
    return [
        PreviewLine("welcome", 0, max(day, today), hour, {}),
        *(
            PreviewLine("check_in", one.day_offset, one.local_date, hour, labels[one.day_offset])
            for one in coming
        ),
    ]


def discharge(
    db: Session, who: Actor, new: Discharge, *, now: datetime, places: Places | None = None
) -> Outcome:
    """Records the discharge and everything that follows from it; the same one again changes nothing.

    The same stay is an open one at the same ward, its day at most 30 days from this one. A list only moves a stay to a later
    day, and is too old when we know of a later one; a professional moves it both ways. What was asked stays as it is.
    Raises `NotAllowed` for a ward that is not one's own, `Conflict("died")` for somebody registered dead.
    """
    _may_discharge(who, new.ward)
    here = _Arrival(db, who, new, now, places or Places.read(db))
    return here.outcome()


def met(db: Session, national_ids: Collection[str]) -> set[str]:
    """Which of them we know already."""
    known = select(Patient.national_id).where(Patient.national_id_index.in_(national_ids))
    return set(db.scalars(known))


def make_ready(
    db: Session, who: Actor, news: Iterable[Discharge], *, now: datetime, places: Places
) -> dict[str, "Ready"]:
    """Everything about people we have not met, by national id, made ready without a look at the database."""
    firsts: dict[str, Ready] = {}
    for new in news:
        if new.national_id not in firsts:
            arrival = _Arrival(db, who, new, now, places)
            outcome = arrival.first()
            firsts[new.national_id] = Ready(new, outcome, rows.of(arrival.records(outcome.stay)))
    return firsts


def settled(
    db: Session, who: Actor, news: Iterable[Discharge], *, now: datetime, places: Places
) -> dict[str, "Ready"]:
    """Of people we know, by national id, those whose discharge changes nothing as things stand."""
    found: dict[str, Ready] = {}
    for new in news:
        if stay := _Arrival(db, who, new, now, places).old_news():
            found[new.national_id] = Ready(new, Outcome(stay, "unchanged"), {})
    return found


def discharge_all(
    db: Session,
    who: Actor,
    news: Sequence[Discharge],
    *,
    now: datetime,
    places: Places,
    ready: Mapping[str, "Ready"] | None = None,
) -> list[Outcome | Conflict]:
    """The same for many, in their order; people we have not met go in by a statement a table. `ready`: made before.

    Where `discharge` would raise `Conflict`, it stands in the list instead.
    """
    for new in news:
        _may_discharge(who, new.ward)
    known = met(db, [new.national_id for new in news])
    firsts: dict[int, Ready] = {}
    for place, new in enumerate(news):
        made = ready.get(new.national_id) if ready else None
        made = made if made and made.new is new else None
        if made and made.outcome.what == "unchanged":
            firsts[place] = made
        elif new.national_id not in known:
            known.add(new.national_id)
            if made is None:
                made = make_ready(db, who, [new], now=now, places=places)[new.national_id]
            firsts[place] = made
    outcomes: dict[int, Outcome | Conflict] = {}
    try:
        with db.begin_nested():
            rows.insert_all(db, (one.rows for one in firsts.values()))
            outcomes |= {place: one.outcome for place, one in firsts.items()}
    except IntegrityError:
        # Somebody came in through another door meanwhile: one by one, then.
        outcomes.clear()
    for place, new in enumerate(news):
        if place not in outcomes:
            outcomes[place] = _outcome_or_conflict(_Arrival(db, who, new, now, places))
    return [outcomes[place] for place in range(len(news))]


def _outcome_or_conflict(arrival: "_Arrival") -> Outcome | Conflict:
    try:
        return arrival.outcome()
    except Conflict as conflict:
        return conflict


def may_discharge(who: Actor, ward: Place) -> bool:
    """Whether somebody discharges from this ward: its own people, a program with an account for it, the administrator."""
    # The administrator's import has no account.
    if who.kind == "system" or (who.kind == "integration" and who.id is None):
        return True
    return who.kind in ("professional", "integration") and ward.id in who.unit_ids


def _may_discharge(who: Actor, ward: Place) -> None:
    if not may_discharge(who, ward):
        raise NotAllowed("discharges are for the ward's own people")


class _Check:
    """One form being read, with the problems found so far."""

    def __init__(self, fields: Mapping[str, str], places: Places, settings: Settings, today: date) -> None:
        self._fields = fields
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

    def _name(self) -> str:
        name = self._text("name")
        if len(name) > LONGEST_NAME:
            self._problems["name"] = "too_long"
        elif name and not any(letter.isalpha() for letter in name):
            self._problems["name"] = "not_a_name"
        return name

    def _phone(self) -> tuple[str, bool]:
        typed = self._text("phone")
        number = phone_number(typed) if typed else None
        if typed and number is None:
            self._problems["phone"] = "not_a_phone"
        return (number.e164, number.landline) if number else ("", False)

    def _one_of(self, field: str, known: Collection[str], code: str) -> str:
        typed = self._text(field)
        if typed and typed not in known:
            self._problems[field] = code
        return typed

    def _municipality(self) -> str:
        typed = self._text("municipality_number")
        if typed and not self._places.has_municipality(typed):
            self._problems["municipality_number"] = "unknown_municipality"
        return typed

    def _ward(self) -> Place | None:
        typed = self._text("ward")
        ward = self._places.ward(typed)
        if typed and ward is None:
            self._problems["ward"] = "unknown_ward"
        return ward

    def _discharged_on(self) -> date | None:
        typed = self._text("discharged_on")
        day = _date(typed)
        if typed and day is None:
            self._problems["discharged_on"] = "not_a_date"
        if day and abs(day - self._today) > FURTHEST:
            self._problems["discharged_on"] = "too_far"
        return day

    def _hour(self) -> time | None:
        typed = clean(self._fields.get("hour", ""))
        hour = _time(typed)
        if typed and hour is None:
            self._problems["hour"] = "not_a_time"
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
        if owner not in MEASURE_OWNERS:
            self._problems[f"{field}.owner"] = "unknown_owner" if owner else "missing"
        if len(why) > LONGEST_WHY:
            self._problems[f"{field}.why"] = "too_long"
        due_on = self._due(f"{field}.due", clean(draft.due), discharged_on)
        return NewMeasure(title=title, why=why or None, owner=owner, due_on=due_on)

    def _due(self, field: str, typed: str, discharged_on: date) -> date:
        day = _date(typed)
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


def _date(text: str) -> date | None:
    # date.fromisoformat alone would also take 20261110 and 2026-W46-2.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str) -> time | None:
    parts = re.fullmatch(r"([0-9]{1,2})[:.]([0-9]{2})", text)
    if parts is None or int(parts[1]) > 23 or int(parts[2]) > 59:
        return None
    return time(int(parts[1]), int(parts[2]))


class _Arrival:
    """One discharge on its way into the records."""

    def __init__(self, db: Session, who: Actor, new: Discharge, now: datetime, places: Places) -> None:
        self.db, self.who, self.new, self.now, self.places = db, who, new, now, places
        self.today = local_day(now)
        self.by_hand = who.kind == "professional"
        self.is_new = False
        # These point at a patient by key alone, so they wait until the patient is in the database.
        self.around: list[PatientUnit | CareContact | Message] = []

    def outcome(self) -> Outcome:
        """Finds out what is new about it, and records that."""
        known = self._known_patient()
        if known is None:
            try:
                with self.db.begin_nested():
                    return self._record_first()
            except IntegrityError:
                # The same person came in through another door between our look and our insert.
                known = self._known_patient()
                if known is None:
                    raise
        self.is_new = False
        return self._again(known)

    def first(self) -> Outcome:
        """Everything about somebody we have not met; not yet in the session."""
        self.is_new = True
        return self._create(self._new_patient(), [])

    def old_news(self) -> Stay | None:
        """The stay, when what a list says of it changes nothing."""
        patient = self._known_patient()
        if self.by_hand or patient is None or patient.died_on:
            return None
        stays, new = self._stays(patient), self.new
        stay = self._same(stays)
        if stay is None:
            return self._newer(stays)
        titles = {measure.title.casefold() for measure in stay.measures}
        nothing_new = (
            (patient.name, patient.phone) == (new.name, new.phone)
            and patient.municipality_number == new.municipality_number
            and stay.discharged_on == new.discharged_on
            and all(measure.title.casefold() in titles for measure in new.measures)
        )
        return stay if nothing_new or self._too_old(stay) else None

    def records(self, stay: Stay) -> list[Base]:
        """All that is new, of somebody we have not met."""
        plan = stay.plan
        return [stay.patient, stay, plan, *plan.events, *plan.check_ins, *stay.measures, *self.around]

    def _record_first(self) -> Outcome:
        outcome = self.first()
        self.db.add(outcome.stay)
        self.db.flush()
        self.db.add_all(self.around)
        self.db.flush()
        return outcome

    def _again(self, patient: Patient) -> Outcome:
        if patient.died_on:
            raise Conflict("died")
        stays = self._stays(patient)
        stay = self._same(stays)
        if stay is None:
            newer = self._newer(stays)
            return Outcome(newer, "unchanged") if newer else self._create(patient, stays)
        if self._too_old(stay):
            return Outcome(stay, "unchanged")
        self._refresh(patient)
        moved = self._move(stay, patient)
        if self._add_measures(stay, patient):
            self._follow(patient)
            self._contacts(patient)
        self.db.flush()
        return Outcome(stay, "moved" if moved else "unchanged")

    def _known_patient(self) -> Patient | None:
        return self.db.scalars(
            select(Patient).where(Patient.national_id_index == self.new.national_id).with_for_update()
        ).one_or_none()

    def _new_patient(self) -> Patient:
        new = self.new
        return Patient(
            id=uuid4(),
            name=new.name,
            national_id=new.national_id,
            national_id_index=new.national_id,
            birth_date=new.birth_date.isoformat(),
            phone=new.phone,
            phone_index=new.phone,
            phone_state="landline" if new.by_phone_call else "ok",
            contact_by="call" if new.by_phone_call else "sms",
            language=new.language,
            municipality_number=new.municipality_number,
            hour=new.hour,
            created_at=self.now,
        )

    def _stays(self, patient: Patient) -> list[Stay]:
        return list(
            self.db.scalars(
                select(Stay)
                .where(Stay.patient_id == patient.id)
                .order_by(Stay.discharged_on.desc(), Stay.created_at.desc())
            )
        )

    def _same(self, stays: list[Stay]) -> Stay | None:
        day = self.new.discharged_on
        for stay in stays:
            near = abs(stay.discharged_on - day) <= SAME_STAY_WITHIN
            if stay.state == "open" and stay.ward_id == self.new.ward.id and near:
                return stay
        return None

    def _newer(self, stays: list[Stay]) -> Stay | None:
        """A stay that shows this line of a list to be old news."""
        if self.by_hand:
            return None
        day, ward = self.new.discharged_on, self.new.ward.id
        for stay in stays:
            if stay.discharged_on > day or (stay.discharged_on == day and stay.ward_id == ward):
                return stay
        return None

    def _too_old(self, stay: Stay) -> bool:
        return not self.by_hand and self.new.discharged_on < stay.discharged_on

    def _create(self, patient: Patient, earlier: list[Stay]) -> Outcome:
        if not self.is_new:
            self._refresh(patient)
            self._end(stay for stay in earlier if stay.discharged_on <= self.new.discharged_on)
        stay = Stay(
            id=uuid4(),
            patient=patient,
            patient_id=patient.id,
            ward_id=self.new.ward.id,
            discharged_on=self.new.discharged_on,
            state="open",
            created_at=self.now,
        )
        plan = Plan(
            id=uuid4(),
            stay=stay,
            patient=patient,
            template=self.new.template,
            state="active",
            created_at=self.now,
        )
        made = self._event("made")
        made.plan_id = plan.id
        plan.events.append(made)
        if not self.is_new:
            self.db.add(stay)
        self._schedule(plan, patient)
        self._add_measures(stay, patient)
        self._follow(patient)
        self._contacts(patient)
        self._welcome(stay, patient)
        if not self.is_new:
            self.db.flush()
        return Outcome(stay, "created")

    def _refresh(self, patient: Patient) -> None:
        """What the hospital knows best. Language and hour are the patient's own choice; only a human changes them here."""
        new = self.new
        if patient.name != new.name:
            patient.name = new.name
        if patient.municipality_number != new.municipality_number:
            patient.municipality_number = new.municipality_number
            self._follow(patient)
        if patient.phone != new.phone:
            self._new_phone(patient)
        if self.by_hand:
            patient.language = new.language
            patient.hour = new.hour or patient.hour

    def _new_phone(self, patient: Patient) -> None:
        new, was = self.new, patient.phone_state
        patient.phone, patient.phone_index = new.phone, new.phone
        # STOPP was said by the person, not by the number.
        if was == "opted_out":
            return
        patient.phone_state = "landline" if new.by_phone_call else "ok"
        if new.by_phone_call:
            patient.contact_by = "call"
        elif was == "landline":
            patient.contact_by = "sms"

    def _end(self, stays: Iterable[Stay]) -> None:
        """A new stay takes over: there is one plan at a time."""
        for stay in stays:
            stay.state = "ended"
            if stay.plan.state in ("active", "paused"):
                stay.plan.state = "done"
                stay.plan.events.append(self._event("stopped", "new_stay"))
                for check_in in stay.plan.check_ins:
                    if check_in.state in ("planned", "asked", "postponed"):
                        check_in.state, check_in.ended_at = "skipped", self.now

    def _move(self, stay: Stay, patient: Patient) -> bool:
        """Moves the plan when the day, or by hand also the template or the hour, is another. What was asked stays as it is."""
        plan = stay.plan
        moved_by = self.new.discharged_on - stay.discharged_on
        template = self.new.template if self.by_hand else plan.template
        unasked = [one for one in plan.check_ins if one.asked_at is None]
        hour = patient.hour or library.plan_template(template).hour
        same_hour = all(one.local_time == hour for one in unasked)
        if not moved_by and template == plan.template and (same_hour or not self.by_hand):
            return False
        stay.discharged_on, plan.template = self.new.discharged_on, template
        plan.events.append(self._event("moved"))
        for measure in stay.measures:
            if measure.status == "recommended":
                measure.due_on += moved_by
        self._schedule(plan, patient)
        if moved_by:
            self._move_welcome(stay, patient)
        return True

    def _schedule(self, plan: Plan, patient: Patient) -> None:
        """The plan's check-ins as the template has them; those already asked are left alone."""
        template = library.plan_template(plan.template)
        hour = patient.hour or template.hour
        wanted = {one.day_offset: one for one in schedule(template, self.new.discharged_on, hour)}
        for check_in in list(plan.check_ins):
            planned = wanted.pop(check_in.day, None)
            if check_in.asked_at is not None:
                continue
            if planned is None:
                plan.check_ins.remove(check_in)
                self.db.delete(check_in)
            else:
                self._set(check_in, planned)
        for planned in wanted.values():
            check_in = CheckIn(patient=patient, day=planned.day_offset)
            self._set(check_in, planned)
            plan.check_ins.append(check_in)
        plan.check_ins.sort(key=lambda check_in: check_in.day)

    def _set(self, check_in: CheckIn, planned: PlannedCheckIn) -> None:
        """A day that is already over when we hear of it is never asked about."""
        check_in.questionnaire = planned.questionnaire
        check_in.local_date, check_in.local_time = planned.local_date, planned.local_time
        check_in.zone, check_in.due_at = planned.zone, planned.due_at
        over = planned.local_date < self.today
        check_in.state = "skipped" if over else "planned"
        check_in.ended_at = self.now if over else None

    def _add_measures(self, stay: Stay, patient: Patient) -> int:
        """Adds the titles that are not there yet, numbered on; how many."""
        titles = {measure.title.casefold() for measure in stay.measures}
        number = before = max((measure.number for measure in stay.measures), default=0)
        for new in self.new.measures:
            if new.title.casefold() in titles:
                continue
            titles.add(new.title.casefold())
            number += 1
            owner = self._owner(new.owner, patient)
            stay.measures.append(
                Measure(
                    patient_id=patient.id,
                    number=number,
                    title=new.title,
                    why=new.why,
                    owner=new.owner,
                    owner_unit_id=owner.id if owner else None,
                    due_on=new.due_on,
                    created_at=self.now,
                )
            )
        return number - before

    def _owner(self, owner: str, patient: Patient) -> Place | None:
        """The unit whose task it is. GP, NAV and patient have none; nor has a municipality that is not with us yet."""
        if owner == "hospital":
            return self.new.ward
        if owner == "art":
            return self.places.art(patient.municipality_number)
        if owner == "municipality":
            return self.places.municipal(
                "municipal_rehab", patient.municipality_number
            ) or self.places.municipal("coordinating_unit", patient.municipality_number)
        return None

    def _follow(self, patient: Patient) -> None:
        for unit in self._following(patient).values():
            self._unit_follows(patient, unit)

    def _following(self, patient: Patient) -> dict[str, Place]:
        """The units around the patient, by their spoke in the care wheel."""
        wants_art = any(measure.owner == "art" for measure in self.new.measures)
        spokes = {
            "ward": self.new.ward,
            "art": self.places.art(patient.municipality_number) if wants_art else None,
            "physio": self.places.municipal("municipal_rehab", patient.municipality_number),
            "coordinating_unit": self.places.municipal("coordinating_unit", patient.municipality_number),
        }
        return {role: unit for role, unit in spokes.items() if unit}

    def _unit_follows(self, patient: Patient, unit: Place) -> None:
        follows = None if self.is_new else self._relation(patient, unit.id)
        if follows is None:
            self._put(PatientUnit(patient_id=patient.id, unit_id=unit.id, since=self.today))
        else:
            follows.until = None

    def _relation(self, patient: Patient, unit_id: UUID) -> PatientUnit | None:
        return self.db.scalars(
            select(PatientUnit).where(PatientUnit.patient_id == patient.id, PatientUnit.unit_id == unit_id)
        ).one_or_none()

    def _contacts(self, patient: Patient) -> None:
        """The care wheel: who is there from the first day, and who is missing."""
        for role, unit in self._following(patient).items():
            self._contact(patient, role, unit)
        if self.is_new:
            for role in MISSING_FROM_THE_START:
                self._put(CareContact(patient_id=patient.id, role=role, since=self.now))

    def _contact(self, patient: Patient, role: str, unit: Place) -> None:
        if not self.is_new:
            there = self.db.scalars(
                select(CareContact).where(
                    CareContact.patient_id == patient.id,
                    CareContact.role == role,
                    CareContact.ended_at.is_(None),
                )
            ).all()
            # A person somebody has named there is not pushed out by a unit.
            if any(one.unit_id == unit.id or one.name for one in there):
                return
            for one in there:
                one.ended_at = self.now
        self._put(CareContact(patient_id=patient.id, role=role, unit_id=unit.id, since=self.now))

    def _put(self, row: PatientUnit | CareContact | Message) -> None:
        if self.is_new:
            self.around.append(row)
        else:
            self.db.add(row)

    def _event(self, kind: str, reason: str | None = None) -> PlanEvent:
        return PlanEvent(kind=kind, reason=reason, at=self.now, by_kind=self.who.kind, by_id=self.who.id)

    def _welcome(self, stay: Stay, patient: Patient) -> None:
        not_before, valid_until = self._welcome_time(patient)
        letter = message.draft(
            "welcome",
            to=patient,
            now=self.now,
            not_before=not_before,
            valid_until=valid_until,
            dedupe_key=f"welcome:{stay.id}",
        )
        if letter:
            self._put(letter)

    def _welcome_time(self, patient: Patient) -> tuple[datetime, datetime]:
        hour = patient.hour or library.plan_template(self.new.template).hour
        not_before = max(self.now, to_utc(self.new.discharged_on, hour))
        return not_before, not_before + WELCOME_LASTS

    def _move_welcome(self, stay: Stay, patient: Patient) -> None:
        not_before, valid_until = self._welcome_time(patient)
        # Only while nobody has claimed it; from then on it belongs to the post.
        self.db.execute(
            update(Message)
            .where(
                Message.dedupe_key == f"welcome:{stay.id}", Message.state == "queued", Message.attempt == 0
            )
            .values(not_before=not_before, next_attempt_at=not_before, valid_until=valid_until)
            .execution_options(synchronize_session=False)
        )
