"""Guessing in parallel gets no more tries than guessing in a row."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime
from threading import Barrier

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from companion.db import make_engine
from companion.errors import Invalid, LinkLocked, LinkUnknown
from companion.models import LinkToken, Message, OneTimeCode, Patient, SignIn
from companion.settings import Settings
from companion.use_cases import sign_in
from companion.use_cases.messages import message
from tests import cast

GUESSERS = 50
RIGHT = sign_in.TRIES


@pytest.fixture
def many(settings: Settings) -> Engine:
    """The database with a connection for each guesser."""
    return make_engine(settings, pool_size=GUESSERS)


@pytest.fixture
def kari(engine: Engine, now: datetime) -> Patient:
    with Session(engine, expire_on_commit=False) as db:
        cast.ward(db, now)
        found = cast.kari(db, now)
        db.commit()
    return found


def letter(engine: Engine, kari: Patient, now: datetime, kind: str = "new_link") -> sign_in.Words:
    with Session(engine) as db:
        written = message.write(
            db,
            kind,
            to=db.get_one(Patient, kari.id),
            now=now,
            valid_until=now + cast.days(1),
            dedupe_key=f"test:{kind}",
        )
        assert written
        words = sign_in.issue_link(db, written, now=now)
        db.commit()
    return words


def all_at_once(many: Engine, guess: Callable[[Session, int], object]) -> Counter[str]:
    """What each of the guessers is told; a wrong answer is committed, as at the rim."""
    together = Barrier(GUESSERS)

    def one(number: int) -> str:
        with Session(many) as db:
            together.wait()
            try:
                guess(db, number)
            except (Invalid, LinkLocked, LinkUnknown) as refused:
                db.commit()
                return type(refused).__name__
            db.commit()
            return "opened"

    with ThreadPoolExecutor(GUESSERS) as pool:
        told = Counter(pool.map(one, range(GUESSERS)))
    many.dispose()
    return told


def test_birth_dates(engine: Engine, many: Engine, kari: Patient, now: datetime) -> None:
    words = letter(engine, kari, now)
    with Session(engine, expire_on_commit=False) as db:
        session_id = sign_in.redeem_link(db, words.token, now=now).sign_in.id
        db.commit()
    told = all_at_once(
        many,
        lambda db, number: sign_in.confirm_birth_date(
            db, db.get_one(SignIn, session_id), date(1940, 1, 1) + cast.days(number), now=now
        ),
    )
    # The fifth wrong one is told that it was the last.
    assert told == {"Invalid": RIGHT - 1, "LinkLocked": GUESSERS - RIGHT + 1}
    with Session(engine) as db:
        assert db.query(LinkToken).one().tries == RIGHT
        with pytest.raises(LinkLocked):
            sign_in.confirm_birth_date(db, db.get_one(SignIn, session_id), cast.KARI_BORN, now=now)


def test_codes_by_sms(engine: Engine, many: Engine, kari: Patient, now: datetime) -> None:
    with Session(engine) as db:
        sign_in.ask_for_code(db, cast.KARI_PHONE, now=now)
        written = db.query(OneTimeCode).one().message_id
        code = sign_in.issue_link(db, db.get_one(Message, written), now=now).code
        db.commit()
    wrong = [f"{number:06d}" for number in range(GUESSERS + 1) if f"{number:06d}" != code]
    told = all_at_once(
        many,
        lambda db, number: sign_in.enter_code(db, cast.KARI_PHONE, wrong[number], cast.KARI_BORN, now=now),
    )
    assert told == {"Invalid": RIGHT, "LinkLocked": GUESSERS - RIGHT}
    with Session(engine) as db, pytest.raises(LinkLocked):
        sign_in.enter_code(db, cast.KARI_PHONE, code, cast.KARI_BORN, now=now)


def test_the_right_code_by_sms_opens_once(engine: Engine, many: Engine, kari: Patient, now: datetime) -> None:
    with Session(engine) as db:
        sign_in.ask_for_code(db, cast.KARI_PHONE, now=now)
        written = db.query(OneTimeCode).one().message_id
        code = sign_in.issue_link(db, db.get_one(Message, written), now=now).code
        db.commit()
    told = all_at_once(
        many, lambda db, _: sign_in.enter_code(db, cast.KARI_PHONE, code, cast.KARI_BORN, now=now)
    )
    assert told["opened"] == 1


def test_typed_codes(engine: Engine, many: Engine, kari: Patient, now: datetime) -> None:
    words = letter(engine, kari, now)
    wrong = [f"{number:06d}" for number in range(GUESSERS + 1) if f"{number:06d}" != words.code]
    told = all_at_once(
        many, lambda db, number: sign_in.redeem_typed(db, cast.KARI_PHONE, wrong[number], now=now)
    )
    assert told["opened"] == 0
    with Session(engine) as db:
        assert db.query(LinkToken).one().tries == RIGHT
        with pytest.raises(LinkLocked):
            sign_in.redeem_typed(db, cast.KARI_PHONE, words.code, now=now)


def test_a_right_typed_code_waits_for_the_wrong_ones_before_it(
    engine: Engine, many: Engine, kari: Patient, now: datetime
) -> None:
    words = letter(engine, kari, now)
    wrong = [f"{number:06d}" for number in range(9) if f"{number:06d}" != words.code]

    def the_sixth() -> str:
        with Session(many) as db:
            try:
                sign_in.redeem_typed(db, cast.KARI_PHONE, words.code, now=now)
            except LinkLocked:
                return "locked"
            return "opened"

    with ThreadPoolExecutor(1) as pool:
        with Session(many) as db:
            for code in wrong[:RIGHT]:
                with suppress(LinkUnknown):
                    sign_in.redeem_typed(db, cast.KARI_PHONE, code, now=now)
            answer = pool.submit(the_sixth)
            # It cannot be answered before this transaction is over.
            assert not answer.done()
            db.commit()
        assert answer.result(20) == "locked"
    many.dispose()
