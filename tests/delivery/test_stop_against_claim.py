"""STOP against the claim, as real threads on a real database: once the stop is committed, nothing goes any more."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.models import Message, Patient
from companion.settings import Settings as CompanionSettings
from companion.use_cases import message, plan
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

        def stop(race: Race = race, numbers: list[str] = numbers) -> None:
            for phone in numbers:
                with sessions.begin() as db:
                    plan.opt_out(db, db.get_one(Patient, ids[phone]), now=at(0))
                race.stopped[phone] = monotonic()

        def claim(race: Race = race) -> None:
            while True:
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
