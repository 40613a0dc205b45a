"""Everything that can happen to the post, in any order: plan, outbox, providers, devices, relatives, conversations and opt-out
against a model, after every step."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any, ClassVar
from uuid import UUID

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import Connection, func, or_, select, text
from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import Answer, CheckIn, Circuit, Flag, Grant, Meeting, Message, Patient, Relative
from companion.rules.cadence import local_day, to_utc
from companion.settings import Settings as CompanionSettings
from companion.use_cases import check_in, sign_in
from companion.use_cases import meetings as meet
from companion.use_cases.going_home import plan
from companion.use_cases.messages import contact
from companion.use_cases.relatives import share
from notifications import heard, inbound, outbox, receipts
from notifications.channels import Device, LaneName, News, Parcel
from notifications.channels.push import acks, devices
from notifications.channels.sms import callbacks
from notifications.dispatcher import Dispatcher, steps
from notifications.models import Delivery, Inbound
from notifications.outbox import Result
from notifications.settings import Settings
from notifications.status import failing_replies
from tests import cast
from tests.delivery.post_world import (
    A_WEEK,
    HEARD_WITHIN,
    OSLO,
    Kin,
    Model,
    Person,
    Provider,
    Pushed,
    PushService,
    Witness,
    answer_meant,
    decent,
    opens,
)

LANES: tuple[LaneName, ...] = ("code", "batch")
STARTS = (
    "2026-11-10T10:00:00+01:00",  # a Tuesday
    "2026-10-23T14:00:00+02:00",  # the Friday before the clock goes back
    "2027-03-24T09:00:00+01:00",  # the Wednesday before Easter, in which the clock goes forward
    "2026-12-22T17:00:00+01:00",
)
STEPS = [
    *(timedelta(minutes=minutes) for minutes in (1, 2, 8, 16, 31)),
    *(timedelta(hours=hours) for hours in (2, 6, 26)),
    *(timedelta(days=days) for days in (1, 3, 9)),
]
BACKWARDS = [timedelta(hours=1), timedelta(days=1)]
FATES = ("ok", "21211", "21610", "30500", "busy", "away", "hangs_taken", "hangs_lost", "our_fault")
PUSH_FATES = ("ok", "ok", "gone", "one_gone", "busy", "away", "hangs_taken", "hangs_lost", "our_fault")
LAST_WORDS = ("queued", "sent", "delivered", "undelivered", "failed", "nonsense")
CODES = ("30003", "30005", "30007", "99999")
PEOPLE = st.integers(0, 1)
MINUTES = st.sampled_from((2, 8, 16))
MORNINGS = st.sampled_from((0, 0, 1, 2, 7))
WAYS = st.sampled_from(("sms", "by sms itself", "push"))
ENDPOINTS = tuple(f"https://push.example/{number}" for number in range(3))
SAYINGS = ("STOPP", "START", "RING", "ikke i dag", "hva er dette", "1", "2", "3", "0")
IN_CONVERSATION = ("1", "2", "2", "3", "1", "2", "2", "0", "ikke i dag", "RING", "STOPP")
KIN_PHONE = "+4740999999"
# Days without a look at anything that was asked: it is reminded at the first of these looks, and given up at the second.
LAST_LOOKS = (15, 9)
STEP_OF = {
    "check_in": "asked",
    "question": "asked",
    "reminder": "reminded",
    "question_again": "reminded",
}
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
REFUSALS = (Conflict, Invalid, NotFound, NotAllowed)


class Post(RuleBasedStateMachine):
    """One life of two people, their devices, a relative, and their post."""

    house: ClassVar[tuple[Connection, CompanionSettings, cast.Ward]]

    def __init__(self) -> None:
        super().__init__()
        connection, companion, ward = self.house
        if connection.dialect.name == "postgresql":
            # A letter's number decides its minute of the morning: every life begins with the first.
            connection.execute(text("SELECT setval(pg_get_serial_sequence('message', 'id'), 1, false)"))
        self.savepoint = connection.begin_nested()
        self.sessions = sessionmaker(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        self.connection, self.ward = connection, ward
        self.clock = FixedClock(datetime.fromisoformat(STARTS[0]).astimezone(UTC))
        self.model = Model()
        self.provider = Provider(self.clock)
        self.pushes = PushService(self.sessions, self.pushed, self.devices_are_gone)
        self.post = Settings(
            sms_per_second=100_000,
            codes_per_second=100_000,
            in_flight=4,
            codes_in_flight=2,
            messages_a_week=A_WEEK,
        )
        self.box = Witness(companion, self.post, self.claimed)
        self.held: list[list[Result]] = []
        self.moves_seen = 0
        self.latest = self.clock.now()
        self.sms = count(1)
        # What was written to us, as the provider handed it in.
        self.inbound: list[tuple[str, str, str]] = []
        # Letters held back because of the week, and until when.
        self.held_back: set[tuple[int, datetime]] = set()
        self.hid = False
        self.doubted: set[int] = set()
        self.told_undelivered: set[int] = set()

    def check_invariants(
        self,
        settings: hypothesis.settings,
        output: Callable[[str], object],
        runtimes: dict[str, float],
    ) -> None:
        """Without a line for each: what a find prints is its steps, to be pasted into `post_found`."""
        super().check_invariants(settings, lambda _line: None, runtimes)

    def teardown(self) -> None:
        try:
            if self.model.people:
                self.in_the_end()
        finally:
            self.savepoint.rollback()

    # --- what happens ---------------------------------------------------------------------------------------------

    @initialize(
        start=st.sampled_from(STARTS), template=st.sampled_from(("stroke", "mecfs", "frail")), way=WAYS
    )
    def kari_goes_home(self, start: str, template: str, way: str) -> None:
        self.clock.at = datetime.fromisoformat(start).astimezone(UTC)
        self.latest = self.clock.at
        self.discharge(0, template=template, days=0)
        self.is_reached(0, way)

    @precondition(lambda self: len(self.model.people) == 1)
    @rule(days=st.integers(-2, 20), template=st.sampled_from(("stroke", "general")), way=WAYS)
    def ola_goes_home(self, days: int, template: str, way: str) -> None:
        self.discharge(1, template=template, days=days)
        self.is_reached(1, way)

    def is_reached(self, who: int, way: str) -> None:
        if way == "push":
            self.lets_a_device_take_push(who, who)
        elif way == "by sms itself":
            self.answers_by_sms_from_now_on(who, True)

    @rule(by=st.sampled_from(STEPS))
    def time_passes(self, by: timedelta) -> None:
        self.clock.forward(by)
        self.latest = max(self.latest, self.clock.now())

    @rule(by=st.sampled_from(BACKWARDS))
    def the_clock_jumps_back(self, by: timedelta) -> None:
        self.clock.forward(-by)
        self.model.backwards += by

    @rule(fate=st.sampled_from(FATES), push=st.sampled_from(PUSH_FATES))
    def tick(self, fate: str = "ok", push: str = "ok") -> None:
        self.provider.fate, self.pushes.fate = fate, push
        self.model.read |= self.model.shown
        dispatcher = Dispatcher(
            self.sessions, {"sms": self.provider, "push": self.pushes}, self.box, self.post
        )
        counts = asyncio.run(dispatcher.tick(self.clock))
        assert counts["errors"] == 0
        self.whoever_waits_has_a_reason()
        self.whoever_is_asked_has_time()

    @rule(by=st.sampled_from(STEPS))
    def time_passes_and_a_tick(self, by: timedelta) -> None:
        self.time_passes(by)
        self.tick("ok")

    @rule(days=st.integers(1, 9))
    def days_go_by(self, days: int) -> None:
        for _ in range(days):
            morning = self.clock.now().astimezone(OSLO) + timedelta(days=1)
            self.time_passes(morning.replace(hour=10, minute=0) - self.clock.now())
            self.tick("ok")

    def a_tick_begins(self, days: int) -> None:
        """That many mornings later, up to the claim."""
        if days:
            morning = self.clock.now().astimezone(OSLO) + timedelta(days=days)
            self.time_passes(morning.replace(hour=10, minute=0) - self.clock.now())
        self.model.read |= self.model.shown
        for step in steps(self.box.ways).values():
            with self.sessions.begin() as db:
                step(db, self.clock.now())

    @rule(lane=st.sampled_from(("batch", *LANES)), taken=st.booleans(), days=MORNINGS, then=MINUTES)
    def killed_between_claim_and_settle(self, lane: LaneName, taken: bool, days: int, then: int) -> None:
        self.a_tick_begins(days)
        for parcel in self.claim(lane):
            self.doubted.add(parcel.message_id)
            if taken:
                self.take(parcel)
        self.time_passes_and_a_tick(timedelta(minutes=then))

    @rule(
        what=st.sampled_from(
            ("stop", "pause", "death", "number", "answer", "not today", "shut out", "no push", "nothing")
        ),
        outcome=st.sampled_from(("accepted", "later", "failed", "unknown", "unknown but taken")),
        late=st.booleans(),
        days=MORNINGS,
        then=MINUTES,
    )
    def between_claim_and_settle(self, what: str, outcome: str, late: bool, days: int, then: int) -> None:
        self.a_tick_begins(days)
        parcels = self.claim("batch")
        happens = {
            "stop": lambda: self.writes(0, "STOPP"),
            "pause": lambda: self.pauses(0),
            "death": lambda: self.dies(0),
            "number": lambda: self.gets_another_number(0),
            "answer": lambda: self.answers(0),
            "not today": lambda: self.postpones(0),
            "shut out": lambda: self.shuts_the_relative_out(0),
            "no push": lambda: self.wants_no_more_push(0),
        }
        happens.get(what, lambda: None)()
        results = [self.call(parcel, outcome) for parcel in parcels]
        self.doubted |= {parcel.message_id for parcel in parcels if late or outcome.startswith("unknown")}
        if late:
            self.held.append(results)
        else:
            self.settle(results)
        self.time_passes_and_a_tick(timedelta(minutes=then))

    @precondition(lambda self: self.held)
    @rule()
    def what_was_written_down_late_comes_in(self) -> None:
        self.settle(self.held.pop(0))

    @precondition(lambda self: self.provider.taken)
    @rule(
        which=st.integers(0, 8),
        statuses=st.lists(st.sampled_from(LAST_WORDS), min_size=1, max_size=3),
        code=st.sampled_from(CODES),
        times=st.integers(1, 2),
        own_id=st.booleans(),
        at_once=st.booleans(),
    )
    def the_provider_tells(
        self, which: int, statuses: list[str], code: str, times: int, own_id: bool, at_once: bool
    ) -> None:
        one = self.provider.taken[-1 - which % len(self.provider.taken)]
        for status in statuses:
            said = {"MessageSid": [one.provider_id], "MessageStatus": [status]}
            said["ErrorCode"] = [code if status in ("undelivered", "failed") else ""]
            self.provider.told[one.provider_id].add(status)
            if status in ("undelivered", "failed"):
                self.told_undelivered.add(one.parcel.message_id)
            for _ in range(times):
                with self.sessions.begin() as db:
                    own = one.parcel.attempt_id if own_id else None
                    callbacks.keep_status(db, said, own, now=self.clock.now())
            if at_once:
                with self.sessions.begin() as db:
                    receipts.apply_events(db, self.clock.now(), self.box.ways)

    @precondition(lambda self: self.provider.taken)
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

    # What is said.

    @rule(who=PEOPLE, said=st.sampled_from(SAYINGS))
    def writes(self, who: int, said: str) -> None:
        """Answers change only by a digit, one a message, to what the question on the phone says at that digit."""
        if person := self.person(who):
            before, put_off = self.answers_of(person), self.times_put_off(person)
            person.wrote.append(self.clock.now())
            self.hands_in(f"IN{next(self.sms)}", person.number, said)
            if said == "STOPP":
                person.says_stop()
            elif said == "START":
                person.says_start()
            after = self.answers_of(person)
            changed = {about: value for about, value in after.items() if before.get(about, "") != value}
            assert before.keys() <= after.keys()
            assert len(changed) <= said.isdigit(), (said, changed)
            for about, value in changed.items():
                meant = [options[int(said) - 1 : int(said)] for options in person.questions.get(about, [])]
                assert [answer_meant(value)] in meant, (said, about, value)
                person.answered.add(about)
            self.remember_what_was_put_off(person, put_off)
            self.a_human_reads(person, said)

    def a_human_reads(self, person: Person, said: str) -> None:
        code = {"RING": "wants_contact", "hva er dette": "reply_not_understood"}.get(said)
        if code and not person.died:
            with self.sessions() as db:
                raised = select(Flag.quote).where(Flag.patient_id == person.id, Flag.code == code)
                quotes = db.scalars(raised.where(Flag.state != "closed")).all()
            assert quotes, f"nobody was told of {said}"
            assert said == "RING" or said in str(quotes[0])

    @rule(
        who=PEOPLE,
        days=st.integers(0, 9),
        said=st.lists(st.sampled_from(IN_CONVERSATION), min_size=1, max_size=5),
    )
    def a_conversation_goes_on(self, who: int, days: int, said: list[str]) -> None:
        person = self.person(who)
        if person is None:
            return
        self.answers_by_sms_from_now_on(who, True)
        before = len(person.questions)
        for _ in range(days):
            if len(person.questions) == before:
                self.days_go_by(1)
        for one in said:
            self.time_passes(timedelta(minutes=1))
            self.writes(who, one)
            self.tick("ok")

    @precondition(lambda self: self.inbound)
    @rule(which=st.integers(0, 20))
    def the_provider_hands_in_again(self, which: int) -> None:
        """However late: what was said once has been said once."""
        before = self.footprint()
        self.hands_in(*self.inbound[-1 - which % len(self.inbound)], note=False)
        assert self.footprint() == before

    @precondition(lambda self: self.model.kin)
    @rule(said=st.sampled_from(("STOPP", "START", "hva er dette")))
    def the_relative_writes(self, said: str) -> None:
        if kin := self.model.kin:
            kin.wrote.append(self.clock.now())
            self.hands_in(f"IN{next(self.sms)}", kin.number, said)
            if said in ("STOPP", "START"):
                kin.said_stop = said == "STOPP"

    @rule(who=PEOPLE, postponed=st.booleans())
    def answers_on_the_web(self, who: int, postponed: bool) -> None:
        self.postpones(who) if postponed else self.answers(who)

    def answers(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                if done := answer_well(db, db.get_one(Patient, person.id), self.clock.now()):
                    person.answered_check_ins.add(done)

    def postpones(self, who: int) -> None:
        if person := self.person(who):
            put_off = self.times_put_off(person)
            with self.tries() as db:
                her = cast.actor(db.get_one(Patient, person.id))
                if asked := check_in.current(db, her, now=self.clock.now()):
                    check_in.postpone(db, her, asked.id, now=self.clock.now())
            self.remember_what_was_put_off(person, put_off)

    # How somebody is reached.

    @rule(
        who=PEOPLE,
        how=st.sampled_from(("yes to sms", "no to sms", "no push", "number", *range(3))),
    )
    def is_reached_otherwise(self, who: int, how: str | int) -> None:
        if isinstance(how, int):
            self.lets_a_device_take_push(who, how)
        elif how == "no push":
            self.wants_no_more_push(who)
        elif how == "number":
            self.gets_another_number(who)
        else:
            self.answers_by_sms_from_now_on(who, how == "yes to sms")

    def answers_by_sms_from_now_on(self, who: int, agreed: bool) -> None:
        if person := self.person(who):
            with self.tries() as db:
                contact.agree_to_sms(db, self.ward.sofia, person.id, agreed, now=self.clock.now())
                person.agreed = agreed and person.way == "sms"

    def lets_a_device_take_push(self, who: int, which: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                sent = devices.Subscription(ENDPOINTS[which], "p", "a")
                devices.add(db, person.id, sent, asked=True, now=self.clock.now())
                for other in self.model.people.values():
                    if other is not person:
                        other.loses_device(sent.endpoint)
                person.has_device(sent.endpoint)

    def wants_no_more_push(self, who: int) -> None:
        person = self.person(who)
        for endpoint in sorted(person.devices) if person else []:
            with self.sessions.begin() as db:
                devices.remove(db, endpoint)
            assert person
            person.loses_device(endpoint)

    @precondition(lambda self: self.pushes.taken)
    @rule(which=st.integers(0, 3), times=st.integers(1, 2))
    def a_device_shows_a_push(self, which: int, times: int) -> None:
        parcel = self.pushes.taken[-1 - which % len(self.pushes.taken)]
        for _ in range(times):
            with self.sessions.begin() as db:
                acks.keep_ack(db, parcel.attempt_id, now=self.clock.now())
        self.model.shown.add(parcel.message_id)

    def gets_another_number(self, who: int) -> None:
        if person := self.person(who):
            number = f"+4741{next(self.sms):06d}"
            with self.tries() as db:
                contact.change_contact(db, self.ward.sofia, person.id, number, "sms", now=self.clock.now())
                person.number, person.said_stop = number, False
                person.way = "push" if person.way == "push" else "sms"

    # The relative.

    @rule(
        who=PEOPLE,
        to=st.sampled_from(("meetings", "passport,meetings", "passport")),
        days=st.sampled_from((2, 60)),
        regrets=st.booleans(),
    )
    def lets_the_relative_in(self, who: int, to: str, days: int, regrets: bool) -> None:
        if person := self.person(who):
            now = self.clock.now()
            until = local_day(now) + timedelta(days=days)
            draft = share.GrantDraft("Per Nilsen", KIN_PHONE, None, "sønn", to.split(","), until)
            with self.tries() as db:
                grant = share.give(db, self.ward.sofia, person.id, draft, now=now)
                kin = self.model.kin = self.model.kin or Kin(grant.relative_id, KIN_PHONE)
                assert grant.relative_id == kin.id
                # A clock that went back does not see what was given later.
                kept = kin.grants.get(person.id, []) if self.model.backwards else []
                kin.was_shut_out |= len(kin.grants.get(person.id, [])) > len(kept)
                ends = to_utc(until + timedelta(days=1), time(0))
                kin.grants[person.id] = [*kept, (ends, set(to.split(",")))]
            if regrets:
                self.shuts_the_relative_out(who)
                self.days_go_by(1)

    @precondition(lambda self: self.model.kin)
    @rule(who=PEOPLE)
    def shuts_the_relative_out(self, who: int) -> None:
        person, kin = self.person(who), self.model.kin
        if person and kin:
            with self.tries() as db:
                given = select(Grant.id).where(Grant.patient_id == person.id, Grant.withdrawn_at.is_(None))
                for grant_id in db.scalars(given).all():
                    share.withdraw(db, self.ward.sofia, grant_id, now=self.clock.now())
                kin.grants.pop(person.id, None)
                kin.was_shut_out = True

    # The plan and the meetings.

    @rule(
        who=PEOPLE,
        what=st.sampled_from(("pause", "resume", "resume", "hospital", "home again", "home again", "death")),
        days=st.integers(0, 40),
    )
    def staff_decide(self, who: int, what: str, days: int) -> None:
        match what:
            case "pause":
                self.pauses(who)
            case "resume":
                self.resumes(who)
            case "hospital":
                self.is_in_hospital_again(who)
            case "death":
                self.dies(who)
            case _ if who < len(self.model.people):
                self.discharge(who, template="stroke", days=days)

    def pauses(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                plan.pause(db, self.ward.sofia, person.id, "wish", now=self.clock.now())
                person.asked = False

    def resumes(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                plan.resume(db, self.ward.sofia, person.id, now=self.clock.now())
                person.asked = True

    def is_in_hospital_again(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                plan.readmit(db, self.ward.sofia, person.id, now=self.clock.now())
                person.asked = False

    def dies(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                today = self.clock.now().date()
                plan.register_death(db, self.ward.sofia, person.id, today, now=self.clock.now())
                person.died = True
                if self.model.kin and person.id in self.model.kin.grants:
                    self.model.kin.was_shut_out = True

    @rule(who=PEOPLE, days=st.integers(1, 12), with_relative=st.booleans())
    def is_offered_a_meeting(self, who: int, days: int, with_relative: bool) -> None:
        if person := self.person(who):
            kin = self.model.kin
            with self.tries() as db:
                starts = self.clock.now() + timedelta(days=days, minutes=next(self.sms))
                guests = [kin.id] if kin and with_relative else []
                meet.offer(db, self.ward.sofia, person.id, starts, relatives=guests, now=self.clock.now())

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

    @rule(who=PEOPLE)
    def asks_for_a_code(self, who: int) -> None:
        if person := self.person(who):
            with self.tries() as db:
                sign_in.ask_for_code(db, person.number, now=self.clock.now())

    # --- what must hold -------------------------------------------------------------------------------------------

    def claimed(self, db: Session, parcels: list[Parcel], now: datetime) -> None:
        """Looked at by the model, before it is committed."""
        ids = [parcel.message_id for parcel in parcels]
        letters = (
            {one.id: one for one in db.scalars(select(Message).where(Message.id.in_(ids)))} if ids else {}
        )
        self.model.judge(parcels, letters, self.arrived(), now)
        self.doubted |= {
            parcel.message_id
            for parcel in parcels
            if parcel.channel == "sms" and self.provider.fate.startswith("hangs")
        }
        held = select(Message).where(Message.state == "queued", Message.error_code == "weekly_cap")
        for letter in db.scalars(held):
            if (letter.id, letter.next_attempt_at) not in self.held_back:
                self.held_back.add((letter.id, letter.next_attempt_at))
                self.model.judge_wait(letter, letter.check_in.plan.template if letter.check_in else "", now)

    def arrived(self) -> dict[int, datetime]:
        """What has reached a phone, and when it last did; a push when a device has said so."""
        arrived = {one: pushed.at for one, pushed in self.model.pushed.items() if one in self.model.shown}
        for one in self.provider.taken:
            if self.provider.has_arrived(one):
                arrived[one.parcel.message_id] = one.at
        return arrived

    def pushed(self, parcel: Parcel) -> None:
        self.model.pushed[parcel.message_id] = Pushed(self.clock.now(), self.model.backwards)

    def devices_are_gone(self, some: Sequence[Device]) -> None:
        for person in self.model.people.values():
            for one in some:
                person.loses_device(one.endpoint)

    @invariant()
    def the_witness_has_seen_nothing_wrong(self) -> None:
        assert self.model.wrong == []

    @invariant()
    def everybody_is_reached_as_they_wish(self) -> None:
        with self.sessions() as db:
            asked = select(Patient.id, Patient.contact_by, Patient.sms_agreed_at, Patient.phone)
            for patient_id, way, agreed_at, phone in db.execute(asked):
                person = self.model.people[patient_id]
                assert (way, agreed_at is not None, phone) == (person.way, person.agreed, person.number)

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
        if not taken:
            return
        with self.sessions() as db:
            for message in db.scalars(
                select(Message).where(Message.id.in_(taken), Message.state == "accepted")
            ):
                latest = (Delivery.message_id == message.id) & (Delivery.attempt == message.attempt)
                assert db.scalar(select(Delivery.outcome).where(latest)) != "undelivered", message.id

    @invariant()
    def nobody_gets_the_same_step_twice(self) -> None:
        """But where it was told that the first did not arrive, or where the provider's list hid one that was in doubt."""
        pushed = Counter(parcel.message_id for parcel in self.pushes.taken)
        assert not pushed or max(pushed.values()) == 1, pushed
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
        kin = self.model.kin
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
                if letter.kind == "stopped":
                    # That they said stop is before somebody anyway.
                    continue
                if letter.relative_id and (kin is None or not kin.always_let_in(self.latest)):
                    # Of a relative who is shut out nobody need hear any more.
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
            flagged = set(db.scalars(select(Flag.check_in_id).where(Flag.state != "closed")))
            asked = db.execute(select(CheckIn.id, CheckIn.state).where(CheckIn.asked_at.is_not(None))).all()
            letters = set(db.scalars(select(Message.check_in_id).where(Message.check_in_id.is_not(None))))
            for check_in_id, state in asked:
                if state == "expired":
                    assert check_in_id in flagged
                if state == "asked":
                    assert check_in_id in flagged | letters

    @invariant()
    def every_check_in_that_was_asked_is_open_or_ended_for_a_reason(self) -> None:
        """Answered; given up, which a human hears of; or skipped: the plan rests or is over, or a later one took its place."""
        with self.sessions() as db:
            asked = db.scalars(select(CheckIn).where(CheckIn.asked_at.is_not(None))).all()
            for one in asked:
                if one.state in ("asked", "postponed"):
                    assert one.plan.state == "active"
                    assert one.patient.died_on is None
                    assert one.postponed <= check_in.POSTPONE_AT_MOST
                elif one.state == "skipped":
                    rested = {event.at for event in one.plan.events if event.kind in ("paused", "stopped")}
                    theirs = (CheckIn.patient_id == one.patient_id, CheckIn.id != one.id)
                    # It was asked, or came so late that it was given up unasked.
                    later = or_(CheckIn.asked_at >= one.ended_at, CheckIn.ended_at == one.ended_at)
                    assert (
                        one.ended_at in rested or db.scalars(select(CheckIn.id).where(*theirs, later)).all()
                    )
                else:
                    assert one.state in ("answered", "expired")
                    assert one.ended_at is not None

    def whoever_is_asked_has_time(self) -> None:
        """After a tick: to answer before the reminder, or after it; then something has happened."""
        now = self.clock.now()
        with self.sessions() as db:
            for one in db.scalars(select(CheckIn).where(CheckIn.state == "asked")):
                by = self.model.ends_by(one, one.plan.template)
                # By night and on days off nobody is reminded, however late we are.
                waits = one.reminded_at is None and not decent(now)
                assert now < by or waits, (one.asked_at, one.reminded_at, one.heard_at, by)

    def whoever_waits_has_a_reason(self) -> None:
        """After a tick: for its hour, for its lease, or for the provider to be well again; a push for a word of its device."""
        now = self.clock.now()
        with self.sessions() as db:
            stopped = db.scalar(select(Circuit.state).where(Circuit.lane == "batch")) not in (None, "closed")
            due = (Message.state == "queued") & (Message.next_attempt_at <= now)
            abandoned = (Message.state == "sending") & (
                Message.lease_until.is_(None) | (Message.lease_until <= now)
            )
            unheard = (
                Message.state.in_(("accepted", "sent"))
                & (Message.channel == "push")
                & (Message.settled_at <= now - HEARD_WITHIN)
            )
            waiting = select(Message.kind, Message.state, Message.lane).where(or_(due, abandoned, unheard))
            for kind, state, lane in db.execute(waiting):
                assert stopped, (kind, state)
                assert (state, lane) == ("queued", "batch"), (kind, state)

    # --- the end of it --------------------------------------------------------------------------------------------

    def in_the_end(self) -> None:
        """The provider is well again and time goes on: nothing is left lying, and every check-in that was asked has an end."""
        for results in self.held:
            self.settle(results)
        self.provider.hidden = self.provider.list_away = False
        self.clock.at = max(self.clock.at, self.latest)
        for passed in (0.01, 0.1, 1, 1, 3, 4, 7, 8, 8, *LAST_LOOKS):
            self.time_passes(timedelta(days=passed))
            # By night and on days off nobody is reminded or given up, however late we are.
            self.time_passes(opens(self.clock.now()) - self.clock.now())
            self.tick("ok")
        for check in (
            self.the_witness_has_seen_nothing_wrong,
            self.states_move_only_along_the_machine,
            self.nobody_gets_the_same_step_twice,
            self.what_ended_badly_or_in_doubt_is_before_somebody,
            self.silence_reaches_a_human,
            self.every_check_in_that_was_asked_is_open_or_ended_for_a_reason,
        ):
            check()
        now = self.clock.now()
        with self.sessions() as db:
            letters = db.scalars(select(Message)).all()
            check_ins = {one.id: one for one in db.scalars(select(CheckIn))}
        self.no_step_was_taken_twice(letters, check_ins)
        for letter in letters:
            young = letter.created_at > now - timedelta(days=20) or letter.not_before > now - timedelta(
                days=8
            )
            if not young:
                assert letter.state not in ("queued", "sending", "unknown", "accepted", "sent"), (
                    letter.kind,
                    letter.state,
                )
                shown = letter.id in self.model.shown
                assert letter.channel != "push" or shown or letter.state != "delivery_unknown", letter.kind
        for one in check_ins.values():
            person = self.model.people[one.patient_id]
            if person.asked and not person.died and one.due_at < now - timedelta(days=sum(LAST_LOOKS)):
                asked_of_late = one.asked_at and one.asked_at > now - timedelta(days=sum(LAST_LOOKS))
                ended = one.state in ("answered", "expired", "skipped")
                assert ended or (one.state == "asked" and asked_of_late), (one.state, one.due_at, now)

    def no_step_was_taken_twice(self, letters: Sequence[Message], check_ins: dict[UUID, CheckIn]) -> None:
        """However a person is reached: asked once and reminded once, and once more for each time it was put off."""
        taken = {one.parcel.message_id for one in self.provider.taken} | self.model.pushed.keys()
        steps = Counter(
            (one.check_in_id, STEP_OF[one.kind])
            for one in letters
            if one.check_in_id and one.kind in STEP_OF and one.id in taken
        )
        for (check_in_id, step), times in steps.items():
            assert times <= 1 + check_ins[check_in_id].postponed, (step, times)

    # --- how it is done -------------------------------------------------------------------------------------------

    def person(self, who: int) -> Person | None:
        """One of those who are home; nobody before that."""
        people = list(self.model.people.values())
        return people[who % len(people)] if people else None

    @contextmanager
    def tries(self) -> Iterator[Session]:
        """What a page does: a refusal changes nothing."""
        with suppress(*REFUSALS), self.sessions.begin() as db:
            yield db

    def discharge(self, who: int, *, template: str, days: int) -> None:
        now = self.clock.now()
        person = dict(enumerate(self.model.people.values())).get(who)
        day = local_day(now) + timedelta(days=days)
        fields = cast.kari_fields(
            now,
            national_id=NATIONAL_IDS[who],
            name=("Kari Nilsen", "Ola Hansen")[who],
            phone=person.number if person else f"+4740{who:06d}",
            template=template,
            discharged_on=day.isoformat(),
        )
        people = self.model.people
        with self.tries() as db:
            outcome = cast.send_home(db, self.ward.sofia, now, fields)
            patient = outcome.stay.patient
            if patient.id not in people:
                assert patient.phone
                people[patient.id] = Person(patient.id, patient.phone)
            if outcome.what == "created":
                people[patient.id].asked = True

    def hands_in(self, provider_id: str, number: str, said: str, *, note: bool = True) -> None:
        """The provider passes on an SMS, and it is handled."""
        if note:
            self.inbound.append((provider_id, number, said))
        with self.sessions.begin() as db:
            heard.keep_inbound(db, provider_id, number, said, now=self.clock.now())
        with self.sessions.begin() as db:
            inbound.handle(db, self.clock.now())
        with self.sessions() as db:
            assert failing_replies(db) == 0

    def answers_of(self, person: Person) -> dict[tuple[UUID, str], Any]:
        with self.sessions() as db:
            mine = select(Answer.check_in_id, Answer.link_id, Answer.value).join(
                CheckIn, CheckIn.id == Answer.check_in_id
            )
            rows = db.execute(mine.where(CheckIn.patient_id == person.id))
            return {(check_in_id, link_id): value for check_in_id, link_id, value in rows}

    def times_put_off(self, person: Person) -> dict[UUID, int]:
        with self.sessions() as db:
            mine = select(CheckIn.id, CheckIn.postponed).where(CheckIn.patient_id == person.id)
            return dict(db.execute(mine).all())

    def remember_what_was_put_off(self, person: Person, before: dict[UUID, int]) -> None:
        with self.sessions() as db:
            latest = db.scalar(select(func.max(Message.id))) or 0
        for check_in_id, times in self.times_put_off(person).items():
            if times > before.get(check_in_id, 0):
                person.put_off[check_in_id] = latest

    def footprint(self) -> list[Any]:
        """What an SMS can change."""
        with self.sessions() as db:
            return [
                *(
                    db.scalar(select(func.count()).select_from(table))
                    for table in (Answer, Message, Flag, Inbound)
                ),
                *db.execute(select(CheckIn.id, CheckIn.state, CheckIn.postponed).order_by(CheckIn.id)),
                *db.execute(select(Patient.id, Patient.phone_state, Patient.contact_by).order_by(Patient.id)),
                *db.scalars(select(Relative.phone_state)),
                *db.scalars(select(Flag.quote).order_by(Flag.id)),
            ]

    def claim(self, lane: LaneName) -> list[Parcel]:
        with self.sessions.begin() as db:
            parcels, _ = self.box.claim(db, lane, 10, self.clock.now())
        return parcels

    def take(self, parcel: Parcel) -> str:
        return (self.pushes if parcel.channel == "push" else self.provider).take(parcel)

    def call(self, parcel: Parcel, outcome: str) -> Result:
        if outcome == "accepted":
            return Result(parcel, "accepted", provider_id=self.take(parcel))
        if outcome == "unknown but taken":
            self.take(parcel)
            return Result(parcel, "unknown", code="read_timeout")
        return Result(parcel, outcome, code={"later": "20429", "failed": "21614"}.get(outcome, "503"))

    def settle(self, results: list[Result]) -> None:
        if results:
            with self.sessions.begin() as db:
                outbox.settle(db, results, self.clock.now())


NATIONAL_IDS = (cast.KARI_ID, cast.OLA_ID)


def answer_well(db: Session, patient: Patient, now: datetime) -> UUID | None:
    """Goes through the open check-in and sends it."""
    her = cast.actor(patient)
    asked = check_in.current(db, her, now=now)
    if asked is None:
        return None
    well = {"how": "good", "worse": "no", "contact": "false", "started": "yes"}
    link_id: str | None = check_in.page(db, her, asked.id, None, now=now).item.link_id
    while link_id:
        said = well.get(link_id.rpartition(".")[2], "")
        link_id = check_in.save(db, her, asked.id, link_id, [said], now=now)
    check_in.finish(db, her, asked.id, now=now)
    return asked.id


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


def note_moves(connection: Connection) -> None:
    """From now on every change of a letter's state is written down, in order."""
    for statement in LOG[connection.dialect.name]:
        connection.exec_driver_sql(statement)


class Retold:
    """A life told again step by step: each step has to be possible, and everything has to hold after it."""

    def __init__(self, life: Post) -> None:
        self._life = life
        every = life.setup_state()
        self._rules = {rule.function.__name__: rule for rule in (*every.initializers, *every.rules)}

    def __getattr__(self, name: str) -> Callable[..., None]:
        rule, life = self._rules[name], self._life

        def step(**given: Any) -> None:
            assert all(possible(life) for possible in rule.preconditions), f"{name} cannot be now"
            rule.function(life, **given)
            for one in life.invariants:
                one.function(life)

        return step
