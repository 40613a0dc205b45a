"""Everything that can happen to the post, in any order: plan, outbox, provider and opt-out against a model, after every step."""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import CheckIn, Flag, Meeting, Message, Patient
from companion.settings import Settings as CompanionSettings
from companion.use_cases import check_in, contact, meet, plan, sign_in
from notifications import inbound, outbox, receipts
from notifications.channels import LaneName, Later, Never, News, Parcel, Uncertain
from notifications.dispatcher import Dispatcher
from notifications.models import Delivery
from notifications.outbox import Outbox, Result
from notifications.settings import Settings
from tests import cast
from tests.days_off import is_day_off

# By hand: POST_MACHINE_EXAMPLES=2000 pytest tests/delivery/test_post_machine.py
LANES: tuple[LaneName, ...] = ("code", "batch")
EXAMPLES = int(os.environ.get("POST_MACHINE_EXAMPLES", "0"))
A_WEEK = 3  # a low cap, so that it is met
STARTS = (
    "2026-11-10T10:00:00+01:00",  # a Tuesday
    "2026-10-23T14:00:00+02:00",  # the Friday before the clock goes back
    "2027-03-24T09:00:00+01:00",  # the Wednesday before Easter, in which the clock goes forward
    "2026-12-22T17:00:00+01:00",
)
STEPS = [
    *(timedelta(minutes=minutes) for minutes in (1, 2, 8, 31)),
    *(timedelta(hours=hours) for hours in (2, 6, 26)),
    *(timedelta(days=days) for days in (1, 3, 9)),
]
BACKWARDS = [timedelta(hours=1), timedelta(days=1)]
FATES = ("ok", "21211", "21610", "30500", "busy", "away", "hangs_taken", "hangs_lost", "our_fault")
LAST_WORDS = ("queued", "sent", "delivered", "undelivered", "failed", "nonsense")
CODES = ("30003", "30005", "30007", "99999")
NEWS = {"accepted", "sent", "delivered", "undelivered", "failed"}
MAY_BECOME = {
    "queued": {"sending", "cancelled", "expired", *NEWS},
    "sending": {"queued", "unknown", *NEWS},
    "unknown": {"queued", "delivery_unknown", *NEWS},
    "accepted": {"queued", "delivery_unknown", *NEWS},
    "sent": {"queued", "delivery_unknown", *NEWS},
    "delivery_unknown": {"delivered", "undelivered", "failed"},
    "undelivered": {"delivered"},
    # What the provider knows beats what we gave up.
    "failed": NEWS,
    "expired": NEWS,
    "cancelled": NEWS,
    "delivered": set(),
}
UNASKED = {
    "welcome",
    "check_in",
    "reminder",
    "meeting",
    "meeting_moved",
    "meeting_cancelled",
    "relative_invited",
}
REFUSALS = (Conflict, Invalid, NotFound, NotAllowed)


@dataclass(frozen=True)
class Taken:
    """What a phone received."""

    provider_id: str
    parcel: Parcel
    at: datetime


class Provider:
    """Does with every message as its mood is. `hidden`: its list does not show what it has taken."""

    def __init__(self, clock: FixedClock, watch: Callable[[Parcel], None]) -> None:
        self._clock, self._watch = clock, watch
        self._numbers = count(1)
        self.fate = "ok"
        self.hidden = False
        self.list_away = False
        self.taken: list[Taken] = []
        self.said: dict[str, News] = {}

    def take(self, parcel: Parcel) -> str:
        one = Taken(f"SM{next(self._numbers)}", parcel, self._clock.now())
        self.taken.append(one)
        self._watch(parcel)
        return one.provider_id

    async def send(self, parcel: Parcel) -> str:
        if self.fate == "busy":
            raise Later("20429", timedelta(seconds=30))
        if self.fate == "away":
            raise Later("no_connection")
        if self.fate == "hangs_lost":
            raise Uncertain("read_timeout")
        if self.fate == "our_fault":
            raise RuntimeError("in the middle of a call")
        if self.fate.isdigit():
            raise Never(self.fate)
        provider_id = self.take(parcel)
        if self.fate == "hangs_taken":
            raise Uncertain("read_timeout")
        return provider_id

    async def find(self, parcel: Parcel) -> list[str]:
        if self.list_away:
            raise Later("list_failed")
        return [
            one.provider_id
            for one in self.taken
            if not self.hidden and (one.parcel.address, one.parcel.body) == (parcel.address, parcel.body)
        ]

    async def fetch(self, provider_id: str) -> News | None:
        if self.list_away:
            raise Later("20429")
        return self.said.get(provider_id, News("sent", None))

    async def close(self) -> None: ...


@dataclass
class Person:
    """What the model knows of somebody."""

    id: UUID
    number: str
    said_stop: bool = False
    died: bool = False
    asked: bool = True  # an active plan
    # What was sent unasked: when, by the message.
    had: dict[int, datetime] = field(default_factory=dict)


class Witness(Outbox):
    """The real outbox; whoever watches hears of each claim before it is committed."""

    def __init__(
        self,
        companion: CompanionSettings,
        post: Settings,
        watch: Callable[[Session, list[Parcel], datetime], None],
    ) -> None:
        super().__init__(companion, post)
        self._watch = watch

    def claim(
        self, db: Session, lane: LaneName, limit: int, now: datetime, *, by_push: bool = False
    ) -> tuple[list[Parcel], Counter[str]]:
        parcels, counts = super().claim(db, lane, limit, now, by_push=by_push)
        self._watch(db, parcels, now)
        return parcels, counts


class Post(RuleBasedStateMachine):
    """One life of two people and their post."""

    house: ClassVar[tuple[Connection, CompanionSettings, cast.Ward]]

    def __init__(self) -> None:
        super().__init__()
        connection, companion, ward = self.house
        self.savepoint = connection.begin_nested()
        self.sessions = sessionmaker(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        self.connection, self.ward = connection, ward
        self.clock = FixedClock(datetime.fromisoformat(STARTS[0]).astimezone(UTC))
        self.provider = Provider(self.clock, self.received)
        post = Settings(
            sms_per_second=100_000,
            codes_per_second=100_000,
            in_flight=4,
            codes_in_flight=2,
            messages_a_week=A_WEEK,
        )
        self.box = Witness(companion, post, self.claimed)
        self.post, self.companion = post, companion
        self.people: dict[UUID, Person] = {}
        self.held: list[tuple[list[Parcel], list[Result]]] = []
        self.wrong: list[str] = []
        self.moves_seen = 0
        self.backwards = timedelta(0)
        self.latest = self.clock.now()
        self.sms = count(1)
        self.unasked: dict[int, Person] = {}
        self.hid = False
        self.doubted: set[int] = set()
        self.told_undelivered: set[int] = set()

    def teardown(self) -> None:
        try:
            if self.people:
                self.in_the_end()
        finally:
            self.savepoint.rollback()

    # --- what happens ---------------------------------------------------------------------------------------------

    @initialize(start=st.sampled_from(STARTS), template=st.sampled_from(("stroke", "mecfs", "frail")))
    def kari_goes_home(self, start: str, template: str) -> None:
        self.clock.at = datetime.fromisoformat(start).astimezone(UTC)
        self.latest = self.clock.at
        self.discharge(0, template=template, days=0)

    @rule(days=st.integers(-2, 20), template=st.sampled_from(("stroke", "general")))
    def ola_goes_home(self, days: int, template: str) -> None:
        self.discharge(1, template=template, days=days)

    @rule(by=st.sampled_from(STEPS))
    def time_passes(self, by: timedelta) -> None:
        self.clock.forward(by)
        self.latest = max(self.latest, self.clock.now())

    @rule(by=st.sampled_from(BACKWARDS))
    def the_clock_jumps_back(self, by: timedelta) -> None:
        self.clock.forward(-by)
        self.backwards += by

    @rule(fate=st.sampled_from(FATES))
    def tick(self, fate: str = "ok") -> None:
        self.provider.fate = fate
        dispatcher = Dispatcher(self.sessions, self.provider, self.box, self.post)
        counts = asyncio.run(dispatcher.tick(self.clock))
        assert counts["errors"] == 0

    @rule(by=st.sampled_from(STEPS))
    def time_passes_and_a_tick(self, by: timedelta) -> None:
        self.time_passes(by)
        self.tick("ok")

    @rule(lane=st.sampled_from(LANES), taken=st.booleans())
    def killed_between_claim_and_settle(self, lane: LaneName, taken: bool) -> None:
        for parcel in self.claim(lane):
            self.doubted.add(parcel.message_id)
            if taken:
                self.provider.take(parcel)

    @rule(
        what=st.sampled_from(("stop", "pause", "death", "another number", "answer", "nothing")),
        outcome=st.sampled_from(("accepted", "later", "failed", "unknown", "unknown but taken")),
        late=st.booleans(),
    )
    def between_claim_and_settle(self, what: str, outcome: str, late: bool) -> None:
        parcels = self.claim("batch")
        match what:
            case "stop":
                self.writes(0, "STOPP")
            case "pause":
                self.pauses(0)
            case "death":
                self.dies(0)
            case "another number":
                self.gets_another_number(0)
            case "answer":
                self.answers(0)
        results = [self.call(parcel, outcome) for parcel in parcels]
        self.doubted |= {parcel.message_id for parcel in parcels if late or outcome.startswith("unknown")}
        if late:
            self.held.append((parcels, results))
        else:
            self.settle(results)

    @rule()
    def what_was_written_down_late_comes_in(self) -> None:
        if self.held:
            _, results = self.held.pop(0)
            self.settle(results)

    @rule(
        which=st.integers(0, 50),
        status=st.sampled_from(LAST_WORDS),
        code=st.sampled_from(CODES),
        times=st.integers(1, 2),
        own_id=st.booleans(),
    )
    def the_provider_tells(self, which: int, status: str, code: str, times: int, own_id: bool) -> None:
        if not self.provider.taken:
            return
        one = self.provider.taken[-1 - which % len(self.provider.taken)]
        said = {"MessageSid": [one.provider_id], "MessageStatus": [status]}
        said["ErrorCode"] = [code if status in ("undelivered", "failed") else ""]
        if status in ("undelivered", "failed"):
            self.told_undelivered.add(one.parcel.message_id)
        for _ in range(times):
            with self.sessions.begin() as db:
                own = one.parcel.attempt_id if own_id else None
                receipts.keep_status(db, said, own, now=self.clock.now())

    @rule(status=st.sampled_from(("delivered", "undelivered", "sent")), code=st.sampled_from(CODES))
    def the_provider_knows_only_when_asked(self, status: str, code: str) -> None:
        for one in self.provider.taken:
            self.provider.said[one.provider_id] = News(status, code if status == "undelivered" else None)
            if status == "undelivered":
                self.told_undelivered.add(one.parcel.message_id)

    @rule(hidden=st.booleans(), away=st.booleans())
    def the_provider_s_list(self, hidden: bool, away: bool) -> None:
        self.provider.hidden, self.provider.list_away = hidden, away
        self.hid |= hidden

    @rule(who=st.integers(0, 1), said=st.sampled_from(("STOPP", "START", "RING", "hva er dette", "1")))
    def writes(self, who: int, said: str) -> None:
        if person := self.person(who):
            with self.sessions.begin() as db:
                receipts.keep_inbound(db, f"IN{next(self.sms)}", person.number, said, now=self.clock.now())
            with self.sessions.begin() as db:
                inbound.handle(db, self.clock.now())
            if said in ("STOPP", "START"):
                person.said_stop = said == "STOPP"

    @rule(who=st.integers(0, 1))
    def answers(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                answer_well(db, db.get_one(Patient, person.id), self.clock.now())

    @rule(who=st.integers(0, 1))
    def postpones(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                her = cast.actor(db.get_one(Patient, person.id))
                if asked := check_in.current(db, her, now=self.clock.now()):
                    check_in.postpone(db, her, asked.id, now=self.clock.now())

    @rule(who=st.integers(0, 1))
    def pauses(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                plan.pause(db, self.ward.sofia, person.id, "wish", now=self.clock.now())
                person.asked = False

    @rule(who=st.integers(0, 1))
    def resumes(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                plan.resume(db, self.ward.sofia, person.id, now=self.clock.now())
                person.asked = True

    @rule(who=st.integers(0, 1))
    def is_in_hospital_again(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                plan.readmit(db, self.ward.sofia, person.id, now=self.clock.now())
                person.asked = False

    @rule(who=st.integers(0, 1))
    def dies(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                today = self.clock.now().date()
                plan.register_death(db, self.ward.sofia, person.id, today, now=self.clock.now())
                person.died = True

    @rule(who=st.integers(0, 1), days=st.integers(0, 40))
    def the_day_of_discharge_is_moved(self, who: int, days: int) -> None:
        self.discharge(who, template="stroke", days=days)

    @rule(who=st.integers(0, 1))
    def gets_another_number(self, who: int) -> None:
        if person := self.person(who):
            number = f"+4741{next(self.sms):06d}"
            with self.tries() as db:
                contact.change_contact(db, self.ward.sofia, person.id, number, "sms", now=self.clock.now())
                person.number, person.said_stop = number, False

    @rule(who=st.integers(0, 1), days=st.integers(1, 12))
    def is_offered_a_meeting(self, who: int, days: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                starts = self.clock.now() + timedelta(days=days, minutes=next(self.sms))
                meet.offer(db, self.ward.sofia, person.id, starts, now=self.clock.now())

    @rule(cancelled=st.booleans(), which=st.integers(0, 5))
    def a_meeting_is_moved_or_off(self, cancelled: bool, which: int) -> None:
        with self.tries() as db:
            meetings = db.scalars(select(Meeting).order_by(Meeting.created_at, Meeting.id)).all()
            if not meetings:
                return
            one = meetings[which % len(meetings)]
            if cancelled:
                meet.cancel(db, self.ward.sofia, one.id, now=self.clock.now())
            else:
                moved = one.starts_at + timedelta(hours=1, minutes=next(self.sms))
                meet.move(db, self.ward.sofia, one.id, moved, now=self.clock.now())

    @rule(who=st.integers(0, 1))
    def asks_for_a_code(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                sign_in.ask_for_code(db, person.number, now=self.clock.now())

    # --- what must hold -------------------------------------------------------------------------------------------

    def claimed(self, db: Session, parcels: list[Parcel], now: datetime) -> None:
        """Looked at by the model: what it knows of the person, the hour and the week. The database is asked for the kind only."""
        letters = {
            one.id: one
            for one in db.scalars(select(Message).where(Message.id.in_([p.message_id for p in parcels])))
        }
        in_hand: Counter[UUID] = Counter()
        for parcel in parcels:
            letter = letters[parcel.message_id]
            person = self.people.get(letter.patient_id) if letter.patient_id else None
            if person is None:
                continue
            if person.said_stop or person.died:
                self.wrong.append(f"{letter.kind} claimed for one who said stop or died")
            if letter.kind in ("welcome", "check_in", "reminder") and not person.asked:
                self.wrong.append(f"{letter.kind} claimed while the plan stands still")
            if letter.kind in UNASKED and not decent(now):
                self.wrong.append(f"{letter.kind} claimed at {now.astimezone(OSLO)}")
            if parcel.address != person.number:
                self.wrong.append(f"{letter.kind} on its way to an old number")
            if now >= letter.valid_until:
                self.wrong.append(f"{letter.kind} claimed after its time")
            if letter.kind in ("welcome", "check_in", "reminder"):
                week = now - timedelta(days=7) + self.backwards
                had = [moment for moment in person.had.values() if moment > week]
                if len(had) + in_hand[person.id] >= A_WEEK:
                    self.wrong.append(f"{letter.kind} claimed for one who has had enough: {had}")
            if letter.lane == "batch":
                in_hand[person.id] += 1
                self.unasked[letter.id] = person
            if self.provider.fate.startswith("hangs"):
                self.doubted.add(letter.id)

    def received(self, parcel: Parcel) -> None:
        if person := self.unasked.get(parcel.message_id):
            person.had[parcel.message_id] = self.clock.now()

    @invariant()
    def the_witness_has_seen_nothing_wrong(self) -> None:
        assert self.wrong == []

    @invariant()
    def states_move_only_along_the_machine(self) -> None:
        moves = self.connection.execute(
            text("SELECT id, message_id, was, is_now FROM moved WHERE id > :seen ORDER BY id"),
            {"seen": self.moves_seen},
        ).all()
        for number, message_id, was, is_now in moves:
            self.moves_seen = number
            assert is_now in MAY_BECOME[was], (message_id, was, is_now)
        # Told that it did not arrive, a letter waits for its next try: only a claim, or news of a later attempt, ends that.
        taken = {
            message_id for _, message_id, was, is_now in moves if (was, is_now) == ("queued", "accepted")
        }
        with self.sessions() as db:
            for message in db.scalars(
                select(Message).where(Message.id.in_(taken), Message.state == "accepted")
            ):
                latest = (Delivery.message_id == message.id) & (Delivery.attempt == message.attempt)
                assert db.scalar(select(Delivery.outcome).where(latest)) != "undelivered", message.id

    @invariant()
    def nobody_gets_the_same_step_twice(self) -> None:
        """But where it was told that the first did not arrive, or where the provider's list hid one that was in doubt."""
        times = Counter(one.parcel.message_id for one in self.provider.taken)
        for message_id, times_taken in times.items():
            allowed = 1 + (message_id in self.told_undelivered) + (self.hid and message_id in self.doubted)
            if times_taken > 1:
                with self.sessions() as db:
                    letter = db.get_one(Message, message_id)
                assert letter.lane == "batch", "a code went twice"
                assert times_taken <= allowed, (letter.kind, times_taken)

    @invariant()
    def what_ended_badly_or_in_doubt_is_before_somebody(self) -> None:
        with self.sessions() as db:
            badly = db.scalars(
                select(Message).where(Message.state.in_(("failed", "undelivered", "expired", "unknown")))
            ).all()
            flags = defaultdict(set)
            for flag in db.scalars(select(Flag).where(Flag.message_id.is_not(None), Flag.state != "closed")):
                flags[flag.message_id].add(flag.code)
            for letter in badly:
                wanted = "parked_message" if letter.state == "unknown" else "undeliverable"
                if letter.lane == "code" and letter.state == "unknown":
                    continue
                assert wanted in flags[letter.id], (
                    letter.kind,
                    letter.state,
                    letter.error_code,
                    flags[letter.id],
                )

    @invariant()
    def nobody_is_asked_about_a_letter_that_is_no_longer_in_doubt(self) -> None:
        with self.sessions() as db:
            needless = db.execute(
                select(Message.kind, Message.state)
                .join(Flag, Flag.message_id == Message.id)
                .where(
                    Flag.code == "parked_message",
                    Flag.state == "open",
                    Message.state.in_(("queued", "accepted", "sent", "delivered")),
                )
            ).all()
            assert needless == []

    @invariant()
    def silence_reaches_a_human(self) -> None:
        with self.sessions() as db:
            flagged = set(db.scalars(select(Flag.check_in_id).where(Flag.check_in_id.is_not(None))))
            asked = db.scalars(select(CheckIn).where(CheckIn.asked_at.is_not(None))).all()
            letters = set(db.scalars(select(Message.check_in_id).where(Message.check_in_id.is_not(None))))
            for one in asked:
                if one.state == "expired":
                    assert one.id in flagged
                if one.state == "asked":
                    assert one.id in flagged | letters

    # --- the end of it --------------------------------------------------------------------------------------------

    def in_the_end(self) -> None:
        """The provider is well again and time goes on: nothing is left lying, and every check-in that was asked has an end."""
        for _, results in self.held:
            self.settle(results)
        self.provider.hidden = self.provider.list_away = False
        self.clock.at = max(self.clock.at, self.latest)
        days = (0.01, 0.1, 1, 1, 3, 4, 7, 8, 8)
        for passed in days:
            self.clock.forward(timedelta(days=passed))
            self.tick("ok")
        for check in (
            self.the_witness_has_seen_nothing_wrong,
            self.states_move_only_along_the_machine,
            self.nobody_gets_the_same_step_twice,
            self.what_ended_badly_or_in_doubt_is_before_somebody,
            self.silence_reaches_a_human,
        ):
            check()
        now = self.clock.now()
        with self.sessions() as db:
            for letter in db.scalars(select(Message)):
                young = letter.created_at > now - timedelta(days=20) or letter.not_before > now - timedelta(
                    days=8
                )
                if not young:
                    assert letter.state not in ("queued", "sending", "unknown", "accepted", "sent"), (
                        letter.kind,
                        letter.state,
                    )
            for one in db.scalars(select(CheckIn)):
                if not self.people[one.patient_id].asked or self.people[one.patient_id].died:
                    continue
                late = one.due_at < now - timedelta(days=20)
                if late:
                    assert one.state in ("answered", "expired", "skipped"), (one.state, one.due_at, now)

    # --- how it is done -------------------------------------------------------------------------------------------

    def person(self, who: int) -> Person | None:
        return list(self.people.values())[who] if who < len(self.people) else None

    @contextmanager
    def tries(self) -> Iterator[Session]:
        """What a page does: a refusal changes nothing."""
        with suppress(*REFUSALS), self.sessions.begin() as db:
            yield db

    def discharge(self, who: int, *, template: str, days: int) -> None:
        now = self.clock.now()
        person = self.person(who)
        day = now.astimezone(OSLO).date() + timedelta(days=days)
        fields = cast.kari_fields(
            now,
            national_id=NATIONAL_IDS[who],
            name=("Kari Nilsen", "Ola Hansen")[who],
            phone=person.number if person else f"+4740{who:06d}",
            template=template,
            discharged_on=day.isoformat(),
        )
        with self.tries() as db:
            outcome = cast.send_home(db, self.ward.sofia, now, fields)
            patient = outcome.stay.patient
            if patient.id not in self.people:
                assert patient.phone
                self.people[patient.id] = Person(patient.id, patient.phone)
            if outcome.what == "created":
                self.people[patient.id].asked = True

    def claim(self, lane: LaneName) -> list[Parcel]:
        with self.sessions.begin() as db:
            parcels, _ = self.box.claim(db, lane, 10, self.clock.now())
        return parcels

    def call(self, parcel: Parcel, outcome: str) -> Result:
        if outcome == "accepted":
            return Result(parcel, "accepted", provider_id=self.provider.take(parcel))
        if outcome == "unknown but taken":
            self.provider.take(parcel)
            return Result(parcel, "unknown", code="read_timeout")
        return Result(parcel, outcome, code={"later": "20429", "failed": "21614"}.get(outcome, "503"))

    def settle(self, results: list[Result]) -> None:
        if results:
            with self.sessions.begin() as db:
                outbox.settle(db, results, self.clock.now())


OSLO = ZoneInfo("Europe/Oslo")
NATIONAL_IDS = (cast.KARI_ID, cast.OLA_ID)


def decent(now: datetime) -> bool:
    """Between eight and eight on a working day."""
    local = now.astimezone(OSLO)
    return 8 <= local.hour < 20 and not is_day_off(local.date())


def answer_well(db: Session, patient: Patient, now: datetime) -> None:
    """Goes through the open check-in and sends it."""
    her = cast.actor(patient)
    asked = check_in.current(db, her, now=now)
    if asked is None:
        return
    well = {"how": "good", "worse": "no", "contact": "false", "started": "yes"}
    link_id: str | None = check_in.page(db, her, asked.id, None, now=now).item.link_id
    while link_id:
        said = well.get(link_id.rpartition(".")[2], "")
        link_id = check_in.save(db, her, asked.id, link_id, [said], now=now)
    check_in.finish(db, her, asked.id, now=now)


LOG = {
    "sqlite": [
        "CREATE TABLE moved (id INTEGER PRIMARY KEY, message_id INTEGER, was TEXT, is_now TEXT)",
        "CREATE TRIGGER message_moves AFTER UPDATE OF state ON message WHEN OLD.state <> NEW.state BEGIN"
        " INSERT INTO moved (message_id, was, is_now) VALUES (NEW.id, OLD.state, NEW.state); END",
    ],
    "postgresql": [
        "CREATE TABLE moved (id BIGSERIAL PRIMARY KEY, message_id BIGINT, was TEXT, is_now TEXT)",
        "CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO moved (message_id, was, is_now) VALUES (NEW.id, OLD.state, NEW.state); RETURN NEW; END $$",
        "CREATE TRIGGER message_moves AFTER UPDATE OF state ON message FOR EACH ROW"
        " WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION note_move()",
    ],
}


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """Everything happens inside one transaction, each life inside a savepoint of it."""
    with engine.connect() as connection:
        outer = connection.begin()
        for statement in LOG[engine.dialect.name]:
            connection.exec_driver_sql(statement)
        yield connection
        outer.rollback()


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_the_post_keeps_its_promises_whatever_happens(
    connection: Connection, settings: CompanionSettings, backend: str, now: datetime
) -> None:
    with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as db:
        ward = cast.ward(db, now)
        db.commit()

    class Life(Post):
        house = (connection, settings, ward)

    run_state_machine_as_test(
        Life,
        settings=hypothesis.settings(
            max_examples=EXAMPLES or (16 if backend == "sqlite" else 4),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            print_blob=True,
        ),
    )
