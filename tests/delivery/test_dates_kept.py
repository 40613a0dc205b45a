"""What a page promised is what the post did: any day of three years, every template, any hour, whatever the person does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from companion import library, worklists
from companion.models import CheckIn, Flag, Message, Patient
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day, to_local, to_utc
from companion.rules.quiet_hours import may_choose
from companion.use_cases import check_in
from companion.use_cases.going_home import discharge, plan
from companion.use_cases.messages import contact
from notifications.outbox import Outbox
from notifications.settings import Settings as PostSettings
from tests import cast
from tests.chance import examples
from tests.days_off import is_without_post

FIRST, LAST = date(2026, 11, 1), date(2029, 10, 31)
ASKS = ("check_in", "question")
HABITS = ("silent", "answers", "puts off", "rests")


@dataclass
class Life:
    """Somebody at home, and the post that runs: at every moment at which something happens by itself, and at no other."""

    db: Session
    box: Outbox
    patient: Patient
    now: datetime
    habit: str = "silent"
    asked: list[tuple[int, datetime]] = field(default_factory=list)
    heard: list[tuple[int, datetime]] = field(default_factory=list)
    promised: tuple[int, datetime] | None = None

    def live(self, until: datetime) -> None:
        """Lets time pass, and holds every page seen on the way to its word."""
        self.tick()
        while (moment := worklists.next_due(self.db, self.now)) and moment < until:
            self.now = moment
            self.tick()
            if self.asked and self.asked[-1][1] == self.now:
                self.do_as_usual(self.asked[-1][0])
                self.tick()

    def tick(self) -> None:
        """One round of the dispatcher, in its order."""
        before = len(self.asked)
        check_in.ask_due(self.db, self.now)
        self.asked += [(one.day, self.now) for one in self._check_ins() if one.asked_at == self.now]
        if len(self.asked) > before and self.promised:
            assert self.asked[-1] == self.promised
        check_in.remind_due(self.db, self.now)
        check_in.give_up_due(self.db, self.now)
        self._carry()
        self.heard += [
            (self._day(raised.check_in_id), raised.opened_at)
            for raised in self.db.scalars(select(Flag).where(Flag.opened_at == self.now))
            if raised.code == "call_due"
        ]
        self.look()

    def look(self) -> None:
        """The first page, and what is listed beside it."""
        listed = check_in.coming(self.db, self._check_ins(), self.now)
        shown = worklists.today(self.db, self.themselves, now=self.now).next
        assert (shown and shown.at) == (listed[0].at if listed else None)
        self.promised = (listed[0].check_in.day, listed[0].at) if listed else None

    def do_as_usual(self, day: int) -> None:
        """Three hours after being asked."""
        one = next(one for one in self._check_ins() if one.day == day)
        self.now += timedelta(hours=3)
        if self.habit == "answers":
            asked = check_in.asks(one, ())
            for item in asked.visible:
                if item.required:
                    check_in.save(self.db, self.themselves, one.id, item.link_id, [_well(item)], now=self.now)
            ending = check_in.finish(self.db, self.themselves, one.id, now=self.now)
            self.look()
            assert (ending.next and ending.next.at) == (self.promised and self.promised[1])
        elif self.habit == "puts off" and not one.postponed:
            later = check_in.postpone(self.db, self.themselves, one.id, now=self.now)
            self.look()
            assert self.promised == (one.day, later.due_at) or later.due_at >= self.promised[1]  # type: ignore[index]
        elif self.habit == "rests" and len(self.asked) == 1:
            self.rest()

    def rest(self) -> None:
        """The plan stands still for nine days; nothing is promised meanwhile."""
        plan.pause(self.db, self.themselves, self.patient.id, "wish", now=self.now)
        self.look()
        assert self.promised is None
        self.now += timedelta(days=9)
        self.tick()
        plan.resume(self.db, self.themselves, self.patient.id, now=self.now)
        self.look()

    @property
    def themselves(self) -> Actor:
        """The person, signed in."""
        return Actor("patient", self.patient.id, Level.high, self.patient.name)

    def _carry(self) -> None:
        parcels, _ = self.box.claim(self.db, "batch", 100, self.now)
        for parcel in parcels:
            letter = self.db.get_one(Message, parcel.message_id)
            assert to_local(self.now).time() < time(22, 30)
            assert not is_without_post(local_day(self.now))
            if letter.kind in ASKS:
                self.heard.append((self._day(letter.check_in_id), self.now))
        sent = [parcel.message_id for parcel in parcels]
        self.db.execute(update(Message).where(Message.id.in_(sent)).values(state="delivered"))
        self.db.expire_all()

    def _check_ins(self) -> list[CheckIn]:
        return list(self.db.scalars(select(CheckIn).where(CheckIn.patient_id == self.patient.id)))

    def _day(self, check_in_id: UUID | None) -> int:
        assert check_in_id
        return self.db.get_one(CheckIn, check_in_id).day


def _well(item: object) -> str:
    options = [option.code for option in item.options]  # type: ignore[attr-defined]
    return next(
        (code for code in ("good", "no", "none") if code in options), options[0] if options else "false"
    )


@contextmanager
def undone(db: Session) -> Iterator[None]:
    """What happens here has not happened afterwards."""
    with db.begin_nested() as inner:
        yield
        inner.rollback()
    db.expunge_all()


@pytest.fixture
def home(db: Session) -> cast.Ward:
    """A ward before the first of the three years."""
    return cast.ward(db, datetime(2026, 10, 1, 9, tzinfo=UTC))


chosen = st.none() | st.times().map(lambda one: one.replace(second=0, microsecond=0)).filter(may_choose)


# Easter brings the second day's asking to the seventh's; both Eves; the nights when the clock changes; a leap day.
AROUND_EASTER = ("frail", date(2027, 3, 23), 0, time(10), time(9))
OVER_CHRISTMAS = ("frail", date(2026, 12, 22), -1, time(23, 30), time(21, 30))
INTO_SUMMER = ("stroke", date(2028, 3, 23), 1, time(2, 30), time(6))
LEAP_DAY = ("mecfs", date(2028, 2, 29), 0, time(14), None)


def these(life: tuple[str, date, int, time, time | None], by: str, habit: str) -> dict[str, object]:
    """A life that is always tried."""
    template, day, typed_on, typed_at, hour = life
    named = {"template": template, "day": day, "typed_on": typed_on, "typed_at": typed_at, "hour": hour}
    return named | {"by": by, "habit": habit}


@pytest.mark.parametrize("backend", ["sqlite"])
@example(**these(AROUND_EASTER, "sms", "silent"))
@example(**these(AROUND_EASTER, "call", "silent"))
@example(**these(OVER_CHRISTMAS, "sms", "puts off"))
@example(**these(OVER_CHRISTMAS, "sms", "silent"))
@example(**these(INTO_SUMMER, "sms", "answers"))
@example(**these(LEAP_DAY, "sms", "puts off"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
@given(
    template=st.sampled_from(library.TEMPLATE_KEYS),
    day=st.dates(FIRST, LAST),
    typed_on=st.integers(-20, 6),
    typed_at=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
    hour=chosen,
    by=st.sampled_from(("sms", "sms", "call")),
    habit=st.sampled_from(HABITS),
)
def test_what_a_page_promised_is_what_the_post_did(
    db: Session,
    home: cast.Ward,
    template: str,
    day: date,
    typed_on: int,
    typed_at: time,
    hour: time | None,
    by: str,
    habit: str,
) -> None:
    now = to_utc(day + timedelta(days=typed_on), typed_at)
    box = Outbox(cast.SETTINGS, PostSettings())
    with undone(db):
        fields = cast.kari_fields(
            now,
            discharged_on=day.isoformat(),
            template=template,
            hour=f"{hour:%H:%M}" if hour else "",
        )
        shown = [
            (line.day, line.at) for line in discharge.preview(fields, now=now) if line.kind == "check_in"
        ]
        patient = cast.send_home(db, home.sofia, now, fields, ()).stay.patient
        if by == "call":
            contact.change_contact(db, home.sofia, patient.id, patient.phone or "", "call", now=now)
        life = Life(db, box, patient, now, habit)
        life.live(now + timedelta(days=420))
        if habit in ("silent", "answers"):
            assert life.asked == shown
        # One who is phoned and puts it off on the page stays on the call list: no second line for the same thing.
        assert life.heard == life.asked or (by == "call" and habit == "puts off")
