"""The world around the post, for the machine that lets everything happen to it: who carries, and what the model knows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session, sessionmaker

from companion.clock import FixedClock
from companion.models import CheckIn, Message
from companion.settings import Settings as CompanionSettings
from notifications.channels import Device, LaneName, Later, Never, News, Parcel, Uncertain
from notifications.channels.push import devices
from notifications.outbox import Outbox
from notifications.settings import Settings
from tests.days_off import is_without_post

OSLO = ZoneInfo("Europe/Oslo")
A_WEEK = 3  # a low cap, so that it is met
WEEK = timedelta(days=7)
# Of these plans nobody gets more than one letter about a check-in in so long; a few minutes late does no harm.
SELDOM = {"mecfs": timedelta(days=7)}
# How long a plan waits for an answer before it reminds; and after that, when nobody is heard.
REMINDS_AFTER = {"mecfs": timedelta(hours=168)}
REMINDED_AFTER = timedelta(hours=24)
# What may still go to somebody who has said stop: that it was heard, and whom to call after words of despair.
LAST_WORDS = frozenset({"stopped", "crisis"})
GIVEN_UP_AFTER = timedelta(hours=48)
LISTENS_AT_MOST = timedelta(days=14)
HEARD_WITHIN = timedelta(minutes=15)
BEFORE_A_MEETING = timedelta(hours=2)
# Somebody who wrote is answered within the hour, and the answer is of use for one more.
ANSWERED_WITHIN = timedelta(hours=2)
QUESTIONS = {"question", "question_again", "next_question"}
ABOUT_A_CHECK_IN = {"check_in", "reminder", "rest_by_phone", *QUESTIONS}
OF_THE_PLAN = {"welcome", *ABOUT_A_CHECK_IN}
HELD_BACK = {"welcome", "check_in", "reminder", "question", "question_again"}
UNASKED = HELD_BACK | {"meeting", "meeting_moved", "meeting_cancelled", "relative_invited"}
ANSWERS_TO_WHO_WROTE = {"next_question", "rest_by_phone", "all_answered", "reply", "stopped", "crisis"}


def decent(now: datetime) -> bool:
    """Between eight and eight on a day with post."""
    local = now.astimezone(OSLO)
    return 8 <= local.hour < 20 and not is_without_post(local.date())


def opens(since: datetime) -> datetime:
    """When something decided then can be sent: at once by day, else at ten on a working day."""
    if decent(since):
        return since
    ten = since.astimezone(OSLO).replace(hour=10, minute=0, second=0, microsecond=0)
    while ten < since or is_without_post(ten.date()):
        ten += timedelta(days=1)
    return ten


# --- who carries --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """What a phone received."""

    provider_id: str
    parcel: Parcel
    at: datetime


class Provider:
    """Does with every message as its mood is. `hidden`: its list does not show what it has taken."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self.fate = "ok"
        self.hidden = False
        self.list_away = False
        self.taken: list[Taken] = []
        self.said: dict[str, News] = {}
        # What we have been told of each, whenever it was.
        self.told: defaultdict[str, set[str]] = defaultdict(set)

    def has_arrived(self, one: Taken) -> bool:
        """As far as we can know: it has not when we were told so, unless it did after all."""
        told = self.told[one.provider_id]
        return "delivered" in told or not told & {"undelivered", "failed", "not found"}

    def take(self, parcel: Parcel) -> str:
        one = Taken(f"SM{next(self._numbers)}", parcel, self._clock.now())
        self.taken.append(one)
        return one.provider_id

    async def send(self, parcel: Parcel) -> str:
        assert parcel.channel == "sms"
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
        assert parcel.channel == "sms", "a push is never looked for"
        if self.list_away:
            raise Later("list_failed")
        same = [
            one.provider_id
            for one in self.taken
            if (one.parcel.address, one.parcel.body) == (parcel.address, parcel.body)
        ]
        for provider_id in same if self.hidden else ():
            self.told[provider_id].add("not found")
        return [] if self.hidden else same

    async def fetch(self, provider_id: str) -> News | None:
        if self.list_away:
            raise Later("20429")
        news = self.said.get(provider_id, News("sent", None))
        self.told[provider_id].add(news.status)
        return news

    async def close(self) -> None: ...


class PushService:
    """Where all devices listen. `gone`: it answers 410 for them, `one_gone`: for the first; what is gone is forgotten."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        watch: Callable[[Parcel], None],
        gone: Callable[[Sequence[Device]], None],
    ) -> None:
        self._sessions, self._watch, self._gone = sessions, watch, gone
        self.fate = "ok"
        self.taken: list[Parcel] = []

    def take(self, parcel: Parcel) -> str:
        self.taken.append(parcel)
        self._watch(parcel)
        return f"push:{parcel.attempt_id}"

    async def send(self, parcel: Parcel) -> str:
        assert parcel.channel == "push"
        if self.fate == "busy":
            raise Later("429", timedelta(minutes=1))
        if self.fate == "away":
            raise Later("no_connection")
        if self.fate == "our_fault":
            raise RuntimeError("in the middle of a call")
        if self.fate.endswith("gone"):
            self.forget(parcel.devices[:1] if self.fate == "one_gone" else parcel.devices)
            if self.fate == "gone" or len(parcel.devices) == 1:
                raise Never("410")
        if self.fate != "hangs_lost":
            self.take(parcel)
        if self.fate.startswith("hangs"):
            raise Uncertain("read_timeout")
        return f"push:{parcel.attempt_id}"

    def forget(self, some: Sequence[Device]) -> None:
        with self._sessions.begin() as db:
            devices.forget(db, [one.id for one in some])
        self._gone(some)

    async def find(self, parcel: Parcel) -> list[str]:
        raise AssertionError("a push is never looked for")

    async def fetch(self, provider_id: str) -> News | None:
        raise AssertionError("a push is never asked about")

    async def close(self) -> None: ...


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
        self, db: Session, lane: LaneName, limit: int, now: datetime, *, by: Collection[str] | None = None
    ) -> tuple[list[Parcel], Counter[str]]:
        parcels, counts = super().claim(db, lane, limit, now, by=by)
        self._watch(db, parcels, now)
        return parcels, counts


# --- what the model knows -----------------------------------------------------------------------------------------


@dataclass
class Person:
    """What the model knows of somebody."""

    id: UUID
    number: str
    said_stop: bool = False
    died: bool = False
    asked: bool = True  # an active plan
    way: str = "sms"
    agreed: bool = False  # to answer by SMS itself
    devices: set[str] = field(default_factory=set)
    # What was sent unasked, by the message: when an attempt last began.
    begun: dict[int, datetime] = field(default_factory=dict)
    wrote: list[datetime] = field(default_factory=list)
    # The questions that have been on their way, by check-in and question: their options, in the order of the digits.
    questions: dict[tuple[UUID, str], list[list[str]]] = field(default_factory=dict)
    answered: set[tuple[UUID, str]] = field(default_factory=set)
    answered_check_ins: set[UUID] = field(default_factory=set)
    # "Not today" said of a check-in: the latest letter there was then.
    put_off: dict[UUID, int] = field(default_factory=dict)

    def says_stop(self) -> None:
        self.said_stop, self.way = True, "call"

    def says_start(self) -> None:
        if self.said_stop:
            self.said_stop, self.way = False, "sms"

    def has_device(self, endpoint: str) -> None:
        self.devices.add(endpoint)
        if self.way == "sms":
            self.way, self.agreed = "push", False

    def loses_device(self, endpoint: str) -> None:
        if endpoint in self.devices:
            self.devices.remove(endpoint)
            if not self.devices and self.way == "push":
                self.way = "sms"


@dataclass
class Kin:
    """What the model knows of the relative whom both may let in."""

    id: UUID
    number: str
    said_stop: bool = False
    # Until when, and to what, by patient.
    grants: dict[UUID, list[tuple[datetime, set[str]]]] = field(default_factory=dict)
    # Somebody has shut the door, at least for something.
    was_shut_out: bool = False
    wrote: list[datetime] = field(default_factory=list)

    def is_let_in(self, by: Person, now: datetime, to: str | None = None) -> bool:
        grants = self.grants.get(by.id, [])
        return not by.died and any(until > now and (to is None or to in scopes) for until, scopes in grants)

    def always_let_in(self, now: datetime) -> bool:
        return not self.was_shut_out and all(
            until > now for grants in self.grants.values() for until, _ in grants
        )


@dataclass(frozen=True)
class Pushed:
    """When a push was taken; and how far the clock had been put back until then."""

    at: datetime
    backwards: timedelta


@dataclass
class Model:
    """Everything that has happened, as somebody outside the database would tell it; and what is wrong about a claim."""

    people: dict[UUID, Person] = field(default_factory=dict)
    kin: Kin | None = None
    backwards: timedelta = timedelta(0)
    pushed: dict[int, Pushed] = field(default_factory=dict)
    # Pushes a device has said it has shown; and those of which the house has read it.
    shown: set[int] = field(default_factory=set)
    read: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def judge(
        self,
        parcels: list[Parcel],
        letters: dict[int, Message],
        arrived: dict[int, datetime],
        now: datetime,
    ) -> None:
        """What it knows of the person, the hour and the week. The letters tell what they are, never whether they may go.

        `arrived`: what has reached a phone as far as anybody can know, and when.
        """
        in_hand: Counter[UUID] = Counter()
        for parcel in parcels:
            letter = letters[parcel.message_id]
            said = f"{letter.kind} ({letter.id}) claimed as {parcel.channel} "
            if letter.kind in UNASKED and not decent(now):
                self.wrong.append(f"{said}at {now.astimezone(OSLO)}")
            if now >= letter.valid_until:
                self.wrong.append(f"{said}after its time")
            faults: list[str] = []
            if letter.relative_id and self.kin:
                faults = self._of_kin(self.kin, parcel, letter, now)
            elif person := self.people.get(letter.patient_id) if letter.patient_id else None:
                faults = self._of_person(person, parcel, letter, now)
                faults += self._of_week(person, letter, arrived, in_hand, now)
                if letter.lane == "batch":
                    person.begun[letter.id] = now
            self.wrong += [said + fault for fault in faults]

    def _of_kin(self, kin: Kin, parcel: Parcel, letter: Message, now: datetime) -> list[str]:
        about, to = letter.about_id, "meetings" if letter.meeting_id else None
        let_in = [one for one in self.people.values() if kin.is_let_in(one, now, to)]
        if letter.meeting_id:
            let_in = [one for one in let_in if one.id == about]
        return [
            fault
            for fault, is_so in {
                "for a relative who said stop": kin.said_stop and letter.kind not in LAST_WORDS,
                "for a relative who is shut out": not let_in and letter.kind not in LAST_WORDS,
                "to a number that is not the relative's": parcel.address != kin.number,
                "by push for a relative": parcel.channel == "push",
                **self._unasked_for(kin.wrote, letter, now),
            }.items()
            if is_so
        ]

    def _of_person(self, person: Person, parcel: Parcel, letter: Message, now: datetime) -> list[str]:
        push = parcel.channel == "push"
        about = letter.check_in_id
        link_id = letter.params.get("link_id")
        faults = {
            "for one who said stop or died": (person.died and letter.kind != "crisis")
            or (person.said_stop and letter.kind not in LAST_WORDS),
            "while the plan stands still": letter.kind in OF_THE_PLAN and not person.asked,
            "on its way to an old number": not push and parcel.address != person.number,
            "for one who did not ask for push": push and person.way != "push",
            "to somebody else's device": push
            and not {one.endpoint for one in parcel.devices} <= person.devices,
            "though a device has shown it": letter.id in self.read,
            "though a push was taken just now": not push and self._may_still_be_shown(letter, now),
            **self._unasked_for(person.wrote, letter, now),
        }
        if about and letter.kind in ABOUT_A_CHECK_IN:
            faults["though the check-in is answered"] = about in person.answered_check_ins
        if about and link_id:
            faults |= {
                "for one who has not agreed to it": not (person.agreed and person.way == "sms"),
                "though it has its answer": (about, link_id) in person.answered,
                "though it was put off": letter.kind == "next_question"
                and letter.id <= person.put_off.get(about, 0),
            }
            person.questions.setdefault((about, link_id), []).append(letter.params["options"])
        return [fault for fault, is_so in faults.items() if is_so]

    def _unasked_for(self, wrote: list[datetime], letter: Message, now: datetime) -> dict[str, bool]:
        waits = any(now - moment <= ANSWERED_WITHIN for moment in wrote)
        at_night = letter.kind in ANSWERS_TO_WHO_WROTE and not decent(now) and not waits
        return {f"at {now.astimezone(OSLO)} for one who has not written": at_night}

    def _may_still_be_shown(self, letter: Message, now: datetime) -> bool:
        pushed = self.pushed.get(letter.id)
        if pushed is None or (letter.meeting and letter.meeting.starts_at <= now + BEFORE_A_MEETING):
            return False
        passed = now - pushed.at + (self.backwards - pushed.backwards)
        return passed < HEARD_WITHIN

    def judge_wait(self, letter: Message, template: str, now: datetime) -> None:
        """Whether somebody has really had enough for a letter held back now, and for no longer than that."""
        person = self.people[letter.patient_id] if letter.patient_id else None
        begun = [at for one, at in person.begun.items() if one != letter.id] if person else []
        this_week = [at for at in begun if at > now - WEEK]
        enough = len(this_week) >= A_WEEK or (
            letter.kind in ABOUT_A_CHECK_IN and template in SELDOM and this_week
        )
        if letter.kind not in HELD_BACK or not enough or letter.next_attempt_at > max(begun) + WEEK:
            self.wrong.append(f"{letter.kind} ({letter.id}) waits until {letter.next_attempt_at}: {begun}")

    def ends_by(self, check_in: CheckIn, template: str) -> datetime:
        """By when something must happen to one that is asked: it is reminded, or given up."""
        person = self.people[check_in.patient_id]
        reminded = check_in.reminded_at is not None
        sent = opens(check_in.reminded_at or check_in.asked_at or check_in.due_at)
        silent_from = min(max(sent, *person.wrote), sent + LISTENS_AT_MOST) if person.wrote else sent
        if reminded:
            return silent_from + GIVEN_UP_AFTER
        return opens(silent_from + REMINDS_AFTER.get(template, REMINDED_AFTER))

    def _of_week(
        self,
        person: Person,
        letter: Message,
        arrived: dict[int, datetime],
        in_hand: Counter[UUID],
        now: datetime,
    ) -> list[str]:
        """What counts: each letter that has reached the person, once, when it last did; and what goes with this one."""
        week = now - WEEK + self.backwards
        had = [at for one, at in arrived.items() if one != letter.id and one in person.begun and at > week]
        enough = letter.kind in HELD_BACK and len(had) + in_hand[person.id] >= A_WEEK
        in_hand[person.id] += letter.lane == "batch"
        return [f"for one who has had enough: {had}"] if enough else []


def answer_meant(value: Any) -> str:
    """An answer as an option's code."""
    return str(value).lower() if isinstance(value, bool) else str(value)
