"""Pause, readmission, *not today*, a meeting moved or off against the claim, statement by statement on two connections.

What was committed before the claim is not sent; what was claimed before is never called "not sent" afterwards. And two claims
against each other: they count one week.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Semaphore, Thread, current_thread

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from companion.db import make_engine, make_sessions
from companion.models import CheckIn, Meeting, Message, Patient, Professional
from companion.rules.access import Actor
from companion.settings import Settings as CompanionSettings
from companion.use_cases import check_in
from companion.use_cases import meetings as meet
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message
from notifications.outbox import Outbox
from notifications.settings import Settings
from tests.use_cases.small_ward import SmallWard, at, themselves

# By hand, ten thousand on the two databases together: PLAN_RACES=5000 pytest tests/delivery/test_plan_against_claim.py
RACES = int(os.environ.get("PLAN_RACES", "0"))
NOW = at(7)
AT_A_TIME = 100


class Side(Thread):
    """One of two who work on the database at once. It stops before every statement and before its commit, for its turn."""

    def __init__(self, name: str, sessions: sessionmaker[Session], does: Callable[[Session], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._sessions, self._does = sessions, does
        self._turn, self._arrived = Semaphore(0), Semaphore(0)
        self.over = self.waits = False
        self.error: Exception | None = None

    def stop_here(self) -> None:
        self._arrived.release()
        self._turn.acquire()

    def go_on(self) -> None:
        """Until its next stop, or its end."""
        self._turn.release()
        self.arrive()

    def arrive(self) -> None:
        assert self._arrived.acquire(timeout=30), f"{self.name} hangs"

    def run(self) -> None:
        try:
            while not self._once():
                # The other one holds what this one needs: it goes on when the other is through.
                self.waits = True
                self.stop_here()
        except Exception as error:
            self.error = error
        self.over = True
        self._arrived.release()

    def _once(self) -> bool:
        try:
            with self._sessions.begin() as db:
                self._does(db)
        except OperationalError as error:
            if "lock" not in str(error.orig):
                raise
            return False
        return True


def step(one: Side, other: Side, chance: random.Random) -> tuple[list[str], str]:
    """Lets both go on in an order of chance: who was through first, and whose turn it was at each step."""
    ended: list[str] = []
    turns = ""
    for side in (one, other):
        side.start()
        side.arrive()
    while ready := [side for side in (one, other) if not side.over and not (side.waits and len(ended) < 1)]:
        side = chance.choice(ready)
        turns += side.name[0]
        side.go_on()
        if side.over:
            ended.append(side.name)
    for side in (one, other):
        side.join()
        assert side.error is None, side.error
    return ended, turns


@pytest.fixture
def stepped(settings: CompanionSettings) -> Iterator[sessionmaker[Session]]:
    """Connections of their own, on which nobody waits for a lock: who meets one lets the other through first."""
    engine = make_engine(settings)

    def connect(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        if engine.dialect.name == "sqlite":
            cursor.execute("PRAGMA busy_timeout=0")
        else:
            cursor.execute("SET lock_timeout = 4")
            connection.commit()  # type: ignore[attr-defined]

    def stop(*_what: object) -> None:
        if isinstance(side := current_thread(), Side):
            side.stop_here()

    event.listen(engine, "connect", connect)
    event.listen(engine, "before_cursor_execute", stop)
    event.listen(engine, "commit", stop)
    yield make_sessions(engine)
    engine.dispose()


# --- what happens to a letter -------------------------------------------------------------------------------------


@dataclass
class Case:
    """Somebody with a letter that is due, and what is decided meanwhile."""

    what: str
    letter: Message
    decide: Callable[[Session], object]


@dataclass
class House:
    """Makes cases; each person is used once."""

    ward: SmallWard
    sofia: Actor = field(init=False)

    def __post_init__(self) -> None:
        self.sofia = self.ward.colleague("Sofia", "post3")

    def case(self, what: str, number: int) -> Case:
        patient = self.ward.patient()
        if what in ("moved", "off"):
            return self._meeting(what, patient, number)
        asked = self.ward.check_in(patient, 7)
        asked.state, asked.asked_at = "asked", NOW - timedelta(hours=1)
        decide = {
            "pause": lambda db: plan.pause(db, self.sofia, patient.id, "wish", now=NOW),
            "hospital": lambda db: plan.readmit(db, self.sofia, patient.id, now=NOW),
            "not today": lambda db: check_in.postpone(db, themselves(patient), asked.id, now=NOW),
        }[what]
        return Case(what, self._letter("check_in", patient, number, asked=asked), decide)

    def _meeting(self, what: str, patient: Patient, number: int) -> Case:
        host = self.ward.colleague("Siri", "post3")
        offered = Meeting(
            patient_id=patient.id,
            host=self.ward.db.get_one(Professional, host.id),
            unit_id=self.ward.units["post3"].id,
            starts_at=NOW + timedelta(days=2),
            minutes=30,
            kind="follow_up",
            created_at=NOW,
        )
        self.ward.db.add(offered)
        self.ward.db.flush()
        later = offered.starts_at + timedelta(hours=1)
        decide: Callable[[Session], object] = lambda db: meet.cancel(db, host, offered.id, now=NOW)  # noqa: E731
        if what == "moved":
            decide = lambda db: meet.move(db, host, offered.id, later, now=NOW)  # noqa: E731
        return Case(what, self._letter("meeting", patient, number, meeting=offered), decide)

    def _letter(
        self,
        kind: str,
        patient: Patient,
        number: int,
        *,
        asked: CheckIn | None = None,
        meeting: Meeting | None = None,
    ) -> Message:
        when = {"when": meeting.starts_at.isoformat(), "who": "Siri"} if meeting else {}
        written = message.draft(
            kind,
            to=patient,
            now=NOW,
            params=when,
            check_in=asked,
            meeting=meeting,
            valid_until=NOW + timedelta(hours=5),
            dedupe_key=f"{kind}:{number}",
        )
        assert written
        # In this order, and before the letters that the decisions write.
        written.next_attempt_at = NOW - timedelta(hours=2) + timedelta(microseconds=number)
        self.ward.db.add(written)
        self.ward.db.flush()
        return written


@pytest.mark.timeout(0 if RACES else 120)
def test_what_was_decided_before_the_claim_is_not_sent(
    ward: SmallWard,
    sessions: sessionmaker[Session],
    stepped: sessionmaker[Session],
    settings: CompanionSettings,
    backend: str,
) -> None:
    house, box, chance = House(ward), Outbox(settings, Settings()), random.Random(9)
    ended = Counter({"claimed": 0, "not sent": 0})
    orders: set[str] = set()
    races = RACES or (60 if backend == "sqlite" else 100)
    whats = ("pause", "hospital", "not today", "moved", "off")
    for begin in range(0, races, AT_A_TIME):
        numbers = range(begin, min(begin + AT_A_TIME, races))
        cases = [house.case(whats[number % len(whats)], number) for number in numbers]
        ward.db.commit()
        for case in cases:
            claimed: list[int] = []

            def claim(db: Session, claimed: list[int] = claimed) -> None:
                parcels, _ = box.claim(db, "batch", 1, NOW)
                claimed[:] = [parcel.message_id for parcel in parcels]

            def decide(db: Session, case: Case = case) -> None:
                case.decide(db)

            through, turns = step(Side("claim", stepped, claim), Side("decide", stepped, decide), chance)
            orders.add(turns)
            ended["claimed" if claimed else "not sent"] += 1
            assert set(claimed) <= {case.letter.id}
            assert not (claimed and through[0] == "decide"), (case.what, turns)
            with sessions.begin() as db:
                letter = db.get_one(Message, case.letter.id)
                if letter.state == "queued":
                    # The claim has passed the person by, for the other one had the record in hand.
                    assert box.claim(db, "batch", 1, NOW) == ([], {"cancelled": 1})
                db.flush()
                db.refresh(letter)
                told = (letter.state, letter.attempt)
                assert told == (("sending", 1) if claimed else ("cancelled", 0)), (case.what, turns)
    assert min(ended.values()) > races // 20, "they hardly met"
    assert len(orders) > (40 if backend == "postgresql" else 5)


def test_two_dispatchers_never_both_send_the_last_letter_of_a_week(
    ward: SmallWard,
    sessions: sessionmaker[Session],
    stepped: sessionmaker[Session],
    settings: CompanionSettings,
    backend: str,
) -> None:
    box, chance = Outbox(settings, Settings(messages_a_week=1)), random.Random(4)
    for _ in range(30 if backend == "postgresql" else 10):
        kari = ward.patient()
        keys = [f"welcome:{kari.id}:{number}" for number in range(2)]
        letters = [
            message.write(ward.db, "welcome", to=kari, now=NOW, valid_until=at(30), dedupe_key=key)
            for key in keys
        ]
        ward.db.commit()

        def claim(db: Session) -> None:
            box.claim(db, "batch", 1, NOW)

        _, turns = step(Side("one", stepped, claim), Side("two", stepped, claim), chance)
        with sessions.begin() as db:
            box.claim(db, "batch", 1, NOW)
            ids = [letter.id for letter in letters if letter]
            states = db.scalars(select(Message.state).where(Message.id.in_(ids))).all()
        assert Counter(states) == {"sending": 1, "queued": 1}, turns
