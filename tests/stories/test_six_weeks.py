"""Sixteen people, six weeks over Christmas, one unit with nobody in it, one therapist ill: at the end nobody has been lost.

24 November to 6 January. People answer by the web, by SMS, by push or on the telephone, or do not; they write what people write.
The ward works on its list twice a week, and so some promises pass: what matters is what happens then.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from companion.clock import FixedClock
from companion.db import make_sessions
from companion.demo import answer_all
from companion.models import Answer, CheckIn, Flag, FlagEvent, Membership, Unit
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day, to_utc
from companion.rules.national_id import make_synthetic
from companion.settings import Settings
from companion.use_cases import check_in
from companion.use_cases.cases import flag, owner
from companion.use_cases.going_home import plan
from companion.use_cases.going_home.discharge import MeasureDraft
from companion.use_cases.messages import contact
from companion.use_cases.people import at_work
from companion.use_cases.replies import heard
from notifications.channels import Channel
from notifications.channels.push import devices
from notifications.channels.push.sandbox import SandboxPush, invented_device
from notifications.channels.sms.sandbox import SandboxChannel
from notifications.dispatcher import Dispatcher
from notifications.models import SandboxMessage
from notifications.outbox import Outbox
from notifications.settings import Settings as PostSettings
from tests import cast
from tests.stories.conftest import World

FIRST, LAST = date(2026, 11, 24), date(2027, 1, 6)
PHYSIO = MeasureDraft("Fysioterapi to ganger i uken", "municipality", "5")
WALK = MeasureDraft("Gå en tur hver dag", "patient", "3")
HOLY = {date(2026, 12, day) for day in (24, 25, 26, 31)} | {date(2027, 1, 1)}


@dataclass(frozen=True)
class Person:
    """Somebody who goes home on the first day. `says`: what they write by SMS, by day; `answers`: what is not answered well.

    `quiet`: never answers by themselves. `way`: `web`, `sms` (answers by digits), `push` or `call`.
    """

    name: str
    template: str
    municipality: str = "5501"
    way: str = "web"
    quiet: bool = False
    language: str = "nb"
    answers: Mapping[str, str] = field(default_factory=dict)
    says: Mapping[date, str] = field(default_factory=dict)
    later: Mapping[date, str] = field(default_factory=dict)


def december(day: int) -> date:
    return date(2026, 12, day)


PEOPLE = (
    Person("Kari Nilsen", "stroke"),
    Person("Odd Hansen", "general", way="sms"),
    Person("Bjørn Pedersen", "musculoskeletal", way="push"),
    Person("Ingrid Moe", "frail", quiet=True),
    Person("Per Olsen", "frail", "5503", answers={"worse": "clearly", "worse.text": "Tåler ikke lys lenger"}),
    Person("Tore Henriksen", "copd_heart", says={december(8): "Ring meg kl 14"}),
    Person("Ellen Mathisen", "stroke", answers={"phq2.interest": "2", "phq2.down": "2"}),
    Person("Reidar Fagerli", "stroke", answers={"started": "not_yet", "why": "nobody_contacted"}),
    Person("Wenche Lorentzen", "cancer", says={december(3): "STOPP. Hilsen Wenche"}),
    Person("Harald Wiik", "frail", answers={"fall": "true", "fall.injury": "true"}),
    Person("Dagny Rasmussen", "frail", way="call"),
    Person(
        "Ahmed Hassan",
        "musculoskeletal",
        language="en",
        answers={"contact": "true", "contact.text": "My medicine"},
    ),
    Person("Vidar Strand", "tbi", later={december(10): "readmitted", december(15): "home"}),
    Person("Klara Nygård", "frail", later={december(8): "died"}),
    Person("Solveig Dahl", "stroke", says={december(24): "Jeg orker ikke leve lenger"}),
    Person("Mari Eira", "mecfs", says={december(9): "Det går ikke så bra med meg"}),
)


@dataclass
class SixWeeks:
    """The world, its sixteen people, and what they have written."""

    world: World
    ids: dict[str, UUID]
    written: list[str] = field(default_factory=list)

    def live(self) -> None:
        """Every day from the first to the last: post at ten and at half past three, people at noon, the ward on its two days."""
        day = FIRST
        while day <= LAST:
            self.world.until(day, time(10, 30))
            for number, person in enumerate(PEOPLE):
                self._a_day(person, number, day)
            self.world.until(day, time(12, 30))
            if day.weekday() in (0, 3) and day not in HOLY:
                self.world.do(self._the_ward_works)
            if day == december(2):
                self.world.do(
                    lambda db: at_work.away(db, johan(), december(2), december(18), now=self.world.now)
                )
            self.world.until(day, time(15, 30))
            day += timedelta(days=1)

    def _a_day(self, person: Person, number: int, day: date) -> None:
        self.world.clock.at = to_utc(day, time(11, number))
        if said := person.says.get(day):
            self.written.append(said)
            self.world.do(
                lambda db: heard.receive(db, phone(number), said, said_at=self.world.now, now=self.world.now)
            )
        if turn := person.later.get(day):
            self.world.do(lambda db: self._turn(db, person, turn))
        if not person.quiet and person.way != "call":
            self.world.do(lambda db: self._answers(db, person))

    def _turn(self, db: Session, person: Person, turn: str) -> None:
        sofia, whose, now = self.world.ward.sofia, self.ids[person.name], self.world.now
        if turn == "died":
            plan.register_death(db, sofia, whose, local_day(now), now=now)
        elif turn == "readmitted":
            plan.readmit(db, sofia, whose, now=now)
        else:
            plan.resume(db, sofia, whose, now=now)

    def _answers(self, db: Session, person: Person) -> None:
        asked = db.scalars(
            select(CheckIn).where(CheckIn.patient_id == self.ids[person.name], CheckIn.state == "asked")
        ).first()
        if asked is None:
            return
        who = Actor(kind="patient", id=asked.patient_id, level=Level.code, name=person.name)
        if person.name == "Mari Eira" and asked.postponed < 2:
            check_in.postpone(db, who, asked.id, now=self.world.now)
            return
        self.written += [text for key, text in person.answers.items() if key.endswith(".text")]
        answer_all(db, who, asked.id, person.answers, now=self.world.now)
        check_in.finish(db, who, asked.id, now=self.world.now)

    def _the_ward_works(self, db: Session) -> None:
        """Sofia, and whoever is at work of the others, take what lies longest, and write down what was said."""
        ward, now = self.world.ward, self.world.now
        for who in (ward.sofia, ward.siri, ward.johan, ward.marit):
            unit = db.get_one(Unit, who.unit_id)
            if not db.scalar(select(owner.has_people(unit.id, local_day(now)))):
                continue
            mine = (
                select(Flag).where(Flag.unit_id == who.unit_id, Flag.state == "open").order_by(Flag.opened_at)
            )
            for raised in db.scalars(mine.limit(2)).all():
                db.refresh(raised)
                if raised.state != "open":
                    continue
                note = f"Snakket sammen {now:%d.%m}"
                self.written.append(note)
                flag.claim(db, who, raised.id, now=now)
                flag.contact(db, who, raised.id, "phone", True, note, now=now)
                flag.close(db, who, raised.id, "helped", now=now)


def phone(number: int) -> str:
    return f"+47400030{number:02}"


def johan() -> str:
    """Johan's national id, as `cast.ward` gives it: the second who is employed."""
    return make_synthetic(date(1980, 1, 15), 1)


def send_home(db: Session, ward: cast.Ward, now: datetime) -> dict[str, UUID]:
    ids = {}
    for number, person in enumerate(PEOPLE):
        fields = cast.kari_fields(
            now,
            national_id=make_synthetic(date(1950, 1, 1) + timedelta(days=number), 0),
            name=person.name,
            phone=phone(number),
            municipality_number=person.municipality,
            template=person.template,
            language=person.language,
        )
        patient = cast.send_home(db, ward.sofia, now, fields, (PHYSIO, WALK)).stay.patient
        ids[person.name] = patient.id
        if person.way == "sms":
            contact.agree_to_sms(db, ward.sofia, patient.id, True, now=now)
        if person.way == "call":
            contact.change_contact(db, ward.sofia, patient.id, phone(number), "call", now=now)
        if person.way == "push":
            devices.add(db, patient.id, invented_device(str(patient.id)), asked=True, now=now)
    return ids


@pytest.fixture
def weeks(engine: Engine, settings: Settings) -> SixWeeks:
    """The first morning: everybody goes home, and in Harstad nobody is left at work."""
    now = to_utc(FIRST, time(9))
    sessions = make_sessions(engine)
    post = PostSettings(sms="sandbox", push="sandbox", sms_per_second=1000, in_flight=4)
    ways: dict[str, Channel] = {"sms": SandboxChannel(sessions), "push": SandboxPush(sessions)}
    dispatcher = Dispatcher(sessions, ways, Outbox(settings, post), post)
    with sessions.begin() as db:
        ward = cast.ward(db, now)
        db.execute(delete(Membership).where(Membership.professional_id == ward.geir.id))
        ids = send_home(db, ward, now)
    return SixWeeks(World(sessions, dispatcher, FixedClock(now), ward), ids)


def test_in_six_weeks_nobody_falls(weeks: SixWeeks) -> None:
    weeks.live()
    found = weeks.world.do(lambda db: Found.of(db, weeks))
    assert found.fallen == [], found.table()
    # Something happened at all.
    assert found.raised["crisis_words"] == 1
    assert found.overdue > 0
    assert {"sms", "push"} <= set(found.sent)


@dataclass(frozen=True)
class Found:
    """What is left after six weeks; the lists are of what must not be."""

    lie_with_nobody: list[str]
    passed_in_silence: list[str]
    lost_texts: list[str]
    sent_on_holy_days: list[str]
    left_lying: list[str]
    raised: Counter[str]
    sent: Counter[str]
    overdue: int
    check_ins: Counter[str]

    @staticmethod
    def of(db: Session, weeks: SixWeeks) -> "Found":
        flags = db.scalars(select(Flag).order_by(Flag.opened_at)).all()
        sent = db.scalars(select(SandboxMessage).where(SandboxMessage.direction == "out")).all()
        now = weeks.world.now
        return Found(
            lie_with_nobody=[
                one.code
                for one in flags
                if one.state != "closed"
                and not db.scalar(select(owner.has_people(one.unit_id, local_day(now))))
            ],
            passed_in_silence=[one.code for one in flags if passed(one, now) and not said_so(one, flags)],
            lost_texts=[text for text in weeks.written if text not in kept(db)],
            sent_on_holy_days=[
                f"{one.at:%d.%m} {one.body[:30]}" for one in sent if unasked_on_a_holy_day(one)
            ],
            left_lying=[
                f"{one.day} {one.state}"
                for one in db.scalars(select(CheckIn))
                if one.state in ("planned", "asked", "postponed")
                and one.due_at < now - timedelta(days=14)
                and one.plan.state == "active"
            ],
            raised=Counter(one.code for one in flags),
            sent=Counter(one.channel for one in sent),
            overdue=sum(passed(one, now) for one in flags),
            check_ins=Counter(one.state for one in db.scalars(select(CheckIn)) if one.due_at < now),
        )

    @property
    def fallen(self) -> list[str]:
        """Whoever and whatever was lost."""
        return [
            *self.lie_with_nobody,
            *self.passed_in_silence,
            *self.lost_texts,
            *self.sent_on_holy_days,
            *self.left_lying,
        ]

    def table(self) -> str:
        """For whoever closes the issue."""
        rows = [
            ("people", len(PEOPLE)),
            *((f"check-ins {state}", n) for state, n in sorted(self.check_ins.items())),
            *((f"sent by {way}", n) for way, n in sorted(self.sent.items())),
            *((f"case: {code}", n) for code, n in sorted(self.raised.items())),
            ("promises that passed, each told and moved on", self.overdue),
            ("cases with nobody at work", len(self.lie_with_nobody)),
            ("promises passed in silence", len(self.passed_in_silence)),
            ("texts lost", len(self.lost_texts)),
            ("letters on days off", len(self.sent_on_holy_days)),
        ]
        return "\n".join(f"| {what} | {n} |" for what, n in rows)


def passed(raised: Flag, now: datetime) -> bool:
    """Whether nobody had taken it when its time was up."""
    return (raised.seen_at or raised.closed_at or now) > raised.promised_by


def said_so(raised: Flag, flags: Sequence[Flag]) -> bool:
    """Whether the unit was told within the hour, and it stands on the timeline: once for all that one check-in has raised."""
    case = [one for one in flags if raised.check_in_id and one.check_in_id == raised.check_in_id] or [raised]
    return any(
        event.kind == "overdue" and event.at <= raised.promised_by + timedelta(hours=1)
        for one in case
        for event in one.events
    )


def kept(db: Session) -> set[str]:
    """Every line anybody can read that somebody wrote."""
    quotes = [line for one in db.scalars(select(Flag)) if one.quote for line in one.quote.splitlines()]
    answers = [one.value for one in db.scalars(select(Answer)) if isinstance(one.value, str)]
    notes = [one.text for one in db.scalars(select(FlagEvent)) if one.text]
    return {*quotes, *answers, *notes}


def unasked_on_a_holy_day(one: SandboxMessage) -> bool:
    """Whoever writes on Christmas Eve is answered; nobody is written to."""
    return local_day(one.at) in HOLY and "Ring 116123" not in one.body
