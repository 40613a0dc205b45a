"""STOP, death and a withdrawn consent against the claim, on a real database: once it is committed, nothing goes any more."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from companion.models import Grant, Message, Patient, Relative
from companion.rules.access import Actor
from companion.settings import Settings as CompanionSettings
from companion.use_cases.going_home import plan
from companion.use_cases.messages import message
from companion.use_cases.relatives import share
from notifications.outbox import Outbox
from notifications.settings import Settings
from tests.use_cases.small_ward import SmallWard, at

ROUNDS, PEOPLE = 10, 100


@dataclass
class Race:
    """When the last word was said about each person's letter: by a stop, or by a claim."""

    stopped: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, float] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)

    def run(self, *sides: Callable[[], None]) -> None:
        """All at once."""
        start = threading.Barrier(len(sides))

        def go(side: Callable[[], None]) -> None:
            start.wait()
            try:
                side()
            except BaseException as error:
                self.errors.append(error)

        threads = [threading.Thread(target=go, args=(side,)) for side in sides]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.errors == []


def letters(ward: SmallWard, people: list[Patient], key: str) -> None:
    for person in people:
        person.phone_state, person.contact_by = "ok", "sms"
        written = message.draft(
            "welcome",
            to=person,
            now=at(0),
            valid_until=at(0) + timedelta(hours=1),
            dedupe_key=f"{key}:{person.id}",
        )
        assert written
        ward.db.add(written)
    ward.db.commit()


@pytest.mark.timeout(180)
def test_a_thousand_races(
    ward: SmallWard, sessions: sessionmaker[Session], settings: CompanionSettings
) -> None:
    people = [ward.patient() for _ in range(PEOPLE)]
    box = Outbox(settings, Settings(messages_a_week=1000))
    chance = random.Random(16)
    ids = {str(person.phone): person.id for person in people}
    late = early = 0
    for number in range(ROUNDS):
        letters(ward, people, f"round {number}")
        race = Race()
        # Near the order in which they are claimed, so that the two meet.
        numbers = sorted(ids, key=lambda phone: int(phone) + chance.uniform(-15, 15))

        # Each begins in the middle of the other, in turn: however the threads are given their time, they meet.
        middle, stops_first = threading.Event(), number % 2 == 0

        def stop(
            race: Race = race,
            numbers: list[str] = numbers,
            middle: threading.Event = middle,
            first: bool = stops_first,
        ) -> None:
            if not first:
                assert middle.wait(60)
            for phone in numbers:
                if len(race.stopped) > PEOPLE // 3:
                    middle.set()
                with sessions.begin() as db:
                    plan.opt_out(db, db.get_one(Patient, ids[phone]), now=at(0))
                race.stopped[phone] = monotonic()

        def claim(race: Race = race, middle: threading.Event = middle, first: bool = not stops_first) -> None:
            if not first:
                assert middle.wait(60)
            while True:
                if len(race.claimed) > PEOPLE // 3:
                    middle.set()
                with sessions() as db:
                    parcels, counts = box.claim(db, "batch", 4, at(0))
                    before_commit = monotonic()
                    db.commit()
                race.claimed |= {parcel.address: before_commit for parcel in parcels}
                if not parcels and not counts:
                    return

        race.run(stop, claim)
        claim()  # those whose record a stop had in hand
        # A letter whose claim had not even begun to commit when the stop was said.
        assert [phone for phone, moment in race.claimed.items() if race.stopped[phone] < moment] == []
        late += len(race.claimed)
        early += PEOPLE - len(race.claimed)
        ward.db.rollback()
        states = set(ward.db.scalars(select(Message.state)))
        assert states <= {"sending", "cancelled"}
        ward.db.rollback()
    assert late + early == ROUNDS * PEOPLE >= 1000
    assert min(late, early) > 20, "they hardly met"


def test_whoever_is_being_stopped_waits_for_the_next_claim(
    ward: SmallWard, sessions: sessionmaker[Session], settings: CompanionSettings, backend: str
) -> None:
    kari, ola = ward.patient("Kari Nilsen"), ward.patient("Ola Hansen")
    letters(ward, [kari, ola], "one")
    box = Outbox(settings, Settings())
    with sessions() as stopping:
        plan.opt_out(stopping, stopping.get_one(Patient, kari.id), now=at(0))
        if backend == "postgresql":
            with sessions.begin() as db:
                assert [parcel.address for parcel in box.claim(db, "batch", 10, at(0))[0]] == [ola.phone]
        stopping.commit()
    with sessions.begin() as db:
        parcels, counts = box.claim(db, "batch", 10, at(0))
    assert kari.phone not in [parcel.address for parcel in parcels]
    assert counts["cancelled"] == 1


# --- letters to relatives ---------------------------------------------------------------------------------------------


@dataclass
class Family:
    """Kari, whom a letter to a relative is about, and how the letter can come to be no longer wanted."""

    sofia: Actor
    kari: Patient
    relative: Relative
    grant: Grant

    def end(self, db: Session, how: str) -> None:
        if how == "death":
            plan.register_death(db, self.sofia, self.kari.id, at(0).date(), now=at(0))
        else:
            share.withdraw(db, self.sofia, self.grant.id, now=at(0))


@pytest.fixture
def family(ward: SmallWard) -> Family:
    kari = ward.patient("Kari Nilsen")
    relative = Relative(
        name="Per Nilsen", phone="+4740999999", phone_index="+4740999999", language="nb", created_at=at(-1)
    )
    grant = Grant(
        patient=kari,
        relative=relative,
        relation="sønn",
        scopes="passport",
        given_how="self",
        given_by_kind="patient",
        given_by_id=kari.id,
        given_at=at(-1),
        valid_until=at(30),
    )
    ward.db.add(grant)
    ward.db.flush()
    written = message.draft(
        "relative_invited", to=relative, about=kari, now=at(0), valid_until=at(1), dedupe_key="invited"
    )
    assert written
    ward.db.add(written)
    family = Family(ward.colleague("Sofia", "post3"), kari, relative, grant)
    ward.db.commit()
    return family


@pytest.mark.parametrize("how", ["withdrawal", "death"])
def test_a_letter_to_a_relative_waits_for_what_is_being_said_of_it(
    family: Family, sessions: sessionmaker[Session], settings: CompanionSettings, backend: str, how: str
) -> None:
    box = Outbox(settings, Settings())
    with sessions() as saying:
        family.end(saying, how)
        if backend == "postgresql":
            with sessions.begin() as db:
                assert box.claim(db, "batch", 10, at(0)) == ([], {})
        saying.commit()
    with sessions.begin() as db:
        parcels, counts = box.claim(db, "batch", 10, at(0))
    assert (parcels, counts) == ([], {"cancelled": 1})


@pytest.mark.parametrize("how", ["withdrawal", "death"])
def test_what_is_said_of_a_letter_to_a_relative_waits_for_its_claim(
    family: Family, sessions: sessionmaker[Session], settings: CompanionSettings, backend: str, how: str
) -> None:
    box = Outbox(settings, Settings())
    with sessions() as claiming:
        [parcel], _ = box.claim(claiming, "batch", 10, at(0))
        assert parcel.address == family.relative.phone
        if backend == "postgresql":
            with sessions() as db:
                db.execute(text("SET LOCAL lock_timeout = '100ms'"))
                with pytest.raises(OperationalError, match="lock timeout"):
                    family.end(db, how)
        claiming.commit()
    with sessions.begin() as db:
        family.end(db, how)
