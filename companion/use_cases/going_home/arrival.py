"""One discharge on its way into the records: whom we know, which stay it is, and everything that follows from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from companion import library
from companion.errors import Conflict
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
from companion.rules.access import Actor
from companion.rules.cadence import PlannedCheckIn, local_day, schedule
from companion.rules.names import alike
from companion.rules.quiet_hours import message_day_before
from companion.use_cases.going_home.checked import Discharge
from companion.use_cases.going_home.places import Place, Places
from companion.use_cases.going_home.preview import asked_at, is_over, welcomed_at
from companion.use_cases.going_home.retitled import retitled
from companion.use_cases.messages import message

SAME_STAY_WITHIN = timedelta(days=30)
WELCOME_LASTS = timedelta(days=7)
# Whoever went home longer ago than this is not written to without our asking from which day on.
OLD_AFTER = timedelta(days=7)
MISSING_FROM_THE_START = ("gp", "coordinator")


@dataclass(frozen=True)
class Outcome:
    """What became of it. `unchanged` also where only a new measure or a new telephone number was added to a known stay.

    `retitled`: numbers, in the order of the list, of measures that look like known ones under another title; not recorded.
    """

    stay: Stay
    what: Literal["created", "moved", "unchanged"]
    retitled: tuple[int, ...] = ()


class Arrival:
    """One discharge on its way into the records."""

    def __init__(self, db: Session, who: Actor, new: Discharge, now: datetime, places: Places) -> None:
        self.db, self.who, self.new, self.now, self.places = db, who, new, now, places
        self.today = local_day(now)
        self.writes_from = max(self.today, new.write_from or self.today)
        self.old = self.today - new.discharged_on > OLD_AFTER
        self.retitled: tuple[int, ...] = ()
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
            (patient.name, patient.phone or "") == (new.name.full, new.phone or patient.phone or "")
            and patient.born == new.birth_date
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
        # One wrong digit can be somebody else's number.
        if not self.by_hand and not alike(patient.name, self.new.name.full):
            raise Conflict("other_name")
        stays = self._stays(patient)
        stay = self._same(stays)
        if stay is None:
            newer = self._newer(stays)
            return Outcome(newer, "unchanged") if newer else self._create(patient, stays)
        if self._too_old(stay):
            return Outcome(stay, "unchanged")
        self._refresh(patient)
        moved = self._move(stay, patient)
        if not (self.by_hand or self.new.new_measures):
            self.retitled = retitled(self.new, stay)
        if self._add_measures(stay, patient):
            self._follow(patient)
            self._contacts(patient)
        self.db.flush()
        return Outcome(stay, "moved" if moved else "unchanged", self.retitled)

    def _known_patient(self) -> Patient | None:
        return self.db.scalars(
            select(Patient).where(Patient.national_id_index == self.new.national_id).with_for_update()
        ).one_or_none()

    def _new_patient(self) -> Patient:
        new = self.new
        return Patient(
            id=uuid4(),
            name=new.name.full,
            given_name=new.name.given or None,
            family_name=new.name.family or None,
            national_id=new.national_id,
            national_id_index=new.national_id,
            birth_date=new.birth_date.isoformat(),
            phone=new.phone or None,
            phone_index=new.phone or None,
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
        if self.old and self.new.write_from is None and not self.by_hand:
            raise Conflict("from_when")
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
        self._welcome(stay, plan, patient)
        if not self.is_new:
            self.db.flush()
        return Outcome(stay, "created")

    def _refresh(self, patient: Patient) -> None:
        """What the hospital knows best. Language and hour are the patient's own choice; only a human changes them here."""
        new = self.new
        if patient.name != new.name.full:
            patient.name = new.name.full
            patient.given_name, patient.family_name = new.name.given or None, new.name.family or None
        if patient.born != new.birth_date:
            patient.birth_date = new.birth_date.isoformat()
        if patient.municipality_number != new.municipality_number:
            patient.municipality_number = new.municipality_number
            self._follow(patient)
        # A list without a number takes none away.
        if new.phone and patient.phone != new.phone:
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
        check_in.zone, check_in.due_at = planned.zone, asked_at(planned)
        over = is_over(planned, self.writes_from)
        check_in.state = "skipped" if over else "planned"
        check_in.ended_at = self.now if over else None

    def _add_measures(self, stay: Stay, patient: Patient) -> int:
        """Adds the titles that are not there yet, numbered on; how many."""
        titles = {measure.title.casefold() for measure in stay.measures}
        number = before = max((measure.number for measure in stay.measures), default=0)
        for place, new in enumerate(self.new.measures, start=1):
            if new.title.casefold() in titles or place in self.retitled:
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

    def _welcome(self, stay: Stay, plan: Plan, patient: Patient) -> None:
        first = min((local_day(one.due_at) for one in plan.check_ins if one.state == "planned"), default=None)
        if self.old and first is None:
            return
        not_before, valid_until = self._welcome_time(patient, first)
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

    def _welcome_time(self, patient: Patient, first: date | None = None) -> tuple[datetime, datetime]:
        hour = patient.hour or library.plan_template(self.new.template).hour
        day = max(self.new.discharged_on, self.writes_from)
        if self.old and first:
            # Hundreds may come in with one old list: each is greeted on the last day before it is first asked.
            day = max(day, message_day_before(first))
        not_before = welcomed_at(day, hour, self.now)
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
