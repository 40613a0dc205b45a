"""We are away, or the provider is: each step goes once or expires before somebody's eyes, and nobody gets a burst of old ones."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.models import CheckIn, Flag, Meeting, Message, Patient
from companion.rules.cadence import to_local, to_utc
from companion.rules.national_id import make_synthetic
from companion.settings import Settings as CompanionSettings
from companion.use_cases import meetings as meet
from notifications.channels import Later, News, Parcel
from notifications.dispatcher import Dispatcher
from notifications.outbox import Outbox
from notifications.settings import Settings
from tests import cast
from tests.days_off import is_without_post

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG = {"1 h": HOUR, "6 h": 6 * HOUR, "26 h": 26 * HOUR, "9 d": 9 * DAY}
BEGINS = {
    "a Tuesday morning": "2026-11-17T08:30:00+01:00",
    "a Friday, and the clock goes back": "2026-10-23T15:00:00+02:00",
    "before Easter, and the clock goes forward": "2027-03-24T12:30:00+01:00",
}


@dataclass
class Provider:
    """Takes everything and delivers it, or is away."""

    clock: FixedClock
    away: bool = False
    taken: list[tuple[Parcel, datetime]] = field(default_factory=list)

    async def send(self, parcel: Parcel) -> str:
        if self.away:
            raise Later("no_connection")
        self.taken.append((parcel, self.clock.now()))
        return f"SM{len(self.taken)}"

    async def find(self, parcel: Parcel) -> list[str]:
        raise Later("away") if self.away else AssertionError("nothing here is in doubt")

    async def fetch(self, provider_id: str) -> News | None:
        return News("delivered", None)

    async def close(self) -> None: ...


@dataclass
class Town:
    """People at every point of their plan, meetings before, in and after the outage, and the post."""

    db: Session
    ward: cast.Ward
    clock: FixedClock
    provider: Provider
    dispatcher: Dispatcher
    begins: datetime
    people: list[Patient] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)

    def tick(self) -> Counter[str]:
        self.db.commit()
        counts = asyncio.run(self.dispatcher.tick(self.clock))
        assert counts["errors"] == 0
        self.db.expire_all()
        return counts

    def settle_in(self) -> None:
        """They go home day by day in the two weeks before and the week after; the post works until the outage."""
        for number in range(14):
            day = self.begins + (number * 1.5 - 15) * DAY
            self.clock.at = min(day, self.begins - 3 * HOUR)
            fields = cast.kari_fields(
                self.clock.at,
                national_id=make_synthetic(date(1950, 1, 1) + number * DAY, 0),
                name=f"Kari{number} Nilsen",
                phone=f"+4740{number:06d}",
                discharged_on=to_local(day).date().isoformat(),
            )
            self.people.append(cast.send_home(self.db, cast.IMPORT, self.clock.at, fields).stay.patient)
        for number, after in enumerate((2, 5, 20, 30, 50, 12 * 24)):
            starts = self.begins + after * HOUR
            self.meetings.append(
                meet.offer(
                    self.db,
                    self.ward.sofia,
                    self.people[number].id,
                    starts,
                    now=self.begins - 10 * timedelta(minutes=1),
                )
            )
        for before in (14, 11, 8, 5, 3, 1):
            self.clock.at = self.begins - before * DAY
            self.tick()

    def outage(self, lasts: timedelta, away: str) -> None:
        ends = self.begins + lasts
        self.clock.at = self.begins
        if away == "the provider":
            self.provider.away = True
            while self.clock.at < ends:
                self.tick()
                self.clock.forward(max(timedelta(minutes=20), lasts / 10))
            self.provider.away = False
        self.clock.at = ends

    def life_goes_on(self) -> None:
        """Until everything of those days has had its end."""
        for step in (*[timedelta(minutes=10)] * 3, *[6 * HOUR] * 4):
            self.clock.forward(step)
            self.tick()
        today = to_local(self.clock.at).date()
        for number in range(1, 10):
            self.clock.at = to_utc(today + number * DAY, time(10, 30))
            self.tick()


@pytest.fixture
def town(shared_sqlite: Engine, request: pytest.FixtureRequest) -> Iterator[Town]:
    """In a transaction that is rolled back: what is looked at here is time, and it is the same on every database."""
    begins = datetime.fromisoformat(BEGINS[request.param]).astimezone(UTC)
    clock = FixedClock(begins - 20 * DAY)
    with shared_sqlite.connect() as connection:
        outer = connection.begin()
        sessions = sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        provider = Provider(clock)
        post = Settings(sms_per_second=100_000, codes_per_second=100_000, in_flight=4)
        box = Outbox(CompanionSettings(environment="test"), post)
        with sessions() as db:
            ward = cast.ward(db, clock.at)
            town = Town(db, ward, clock, provider, Dispatcher(sessions, {"sms": provider}, box, post), begins)
            town.settle_in()
            yield town
        outer.rollback()


def decent(moment: datetime) -> bool:
    local = to_local(moment)
    return 8 <= local.hour < 20 and not is_without_post(local.date())


@pytest.mark.parametrize(
    ("town", "lasts", "away"),
    [
        *((begins, lasts, "we") for begins in BEGINS for lasts in LONG),
        ("a Tuesday morning", "6 h", "the provider"),
        ("a Friday, and the clock goes back", "26 h", "the provider"),
        ("before Easter, and the clock goes forward", "9 d", "the provider"),
    ],
    indirect=["town"],
)
def test_after_an_outage(town: Town, lasts: str, away: str) -> None:
    before = len(town.provider.taken)
    town.outage(LONG[lasts], away)

    town.tick()

    # What is of no more use is before somebody with the first tick, and none of it goes.
    overdue = town.db.scalars(
        select(Message).where(Message.state.in_(("queued", "sending")), Message.valid_until <= town.clock.at)
    ).all()
    assert overdue == []
    missed = town.db.scalars(
        select(CheckIn).where(CheckIn.state.in_(("planned", "postponed")), CheckIn.due_at <= town.clock.at)
    ).all()
    assert missed == []
    first = [kind_of(town, parcel) for parcel, _ in town.provider.taken[before:]]
    questions = Counter(person for person, kind in first if kind in ("check_in", "reminder"))
    unasked = Counter(person for person, kind in first if not kind.startswith("meeting"))
    assert max(questions.values(), default=0) <= 1
    # The welcome that never went, and the first questions.
    assert max(unasked.values(), default=0) <= 2

    town.life_goes_on()
    flagged = flags(town)
    times = Counter(parcel.message_id for parcel, _ in town.provider.taken)
    for letter in town.db.scalars(select(Message)):
        if letter.state == "expired":
            assert times[letter.id] == 0
            assert letter.id in flagged
        elif letter.state == "cancelled":
            # The check-in it is about has ended, the person has had a newer one, or the meeting is another.
            assert times[letter.id] == 0
        elif letter.not_before <= town.clock.at - 5 * DAY:
            assert (letter.state, times[letter.id]) == ("delivered", 1), letter.kind
    for parcel, moment in town.provider.taken:
        letter = town.db.get_one(Message, parcel.message_id)
        # Half an hour before a meeting is when that is, as agreed with the person.
        assert decent(moment) or letter.kind == "meeting_now", (letter.kind, moment)
        assert moment < letter.valid_until
        if letter.meeting:
            assert moment < letter.meeting.starts_at + timedelta(minutes=30)
    for check_in in town.db.scalars(select(CheckIn).where(CheckIn.due_at <= town.clock.at - 8 * DAY)):
        assert check_in.state in ("expired", "skipped")
        assert check_in.id in flagged or later_one(town, check_in), (check_in.day, check_in.state)


def kind_of(town: Town, parcel: Parcel) -> tuple[UUID | None, str]:
    letter = town.db.get_one(Message, parcel.message_id)
    return letter.patient_id, letter.kind


def flags(town: Town) -> set[object]:
    found = town.db.execute(select(Flag.message_id, Flag.check_in_id)).all()
    return {one for pair in found for one in pair if one is not None}


def later_one(town: Town, check_in: CheckIn) -> bool:
    """Skipped, because a later one of the same person was asked or given up in its stead."""
    later = select(CheckIn.id).where(
        CheckIn.patient_id == check_in.patient_id,
        CheckIn.due_at > check_in.due_at,
        CheckIn.state != "planned",
    )
    return check_in.state == "skipped" and town.db.scalars(later.limit(1)).first() is not None
