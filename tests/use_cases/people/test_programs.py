"""Programs' accounts, and the same request on its way twice."""

import threading
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, NotAllowed, NotFound
from companion.models import Patient
from companion.rules.access import Actor
from companion.rules.cadence import local_day
from companion.use_cases.going_home import discharge, handed_in
from companion.use_cases.people import programs
from tests import cast


def test_a_token_opens_until_it_is_revoked(db: Session, now: datetime) -> None:
    ward = cast.ward(db, now)
    account, token = programs.add(db, " dips ", ["unn-post3"], now=now)
    who = programs.from_token(db, token)
    assert who
    assert (who.kind, who.id, who.name, who.unit_ids) == (
        "integration",
        account.id,
        "dips",
        frozenset({ward.post3.id}),
    )
    assert programs.from_token(db, token[:-1]) is None
    assert programs.revoke(db, "dips", now=now).revoked_at == now
    assert programs.revoke(db, "dips", now=now + cast.days(1)).revoked_at == now
    assert programs.from_token(db, token) is None
    assert [one.name for one in programs.accounts(db)] == ["dips"]


@pytest.mark.parametrize(
    ("name", "wards", "problems"),
    [
        ("", ["unn-post3"], {"name": "missing"}),
        ("x" * 61, ["unn-post3"], {"name": "too_long"}),
        ("dips", [], {"ward": "missing"}),
        ("dips", ["unn-post3", "nowhere"], {"ward": "unknown_ward"}),
        ("dips", ["tromso-rehab"], {"ward": "unknown_ward"}),
    ],
)
def test_an_account_that_does_not_do(
    db: Session, now: datetime, name: str, wards: list[str], problems: dict[str, str]
) -> None:
    cast.ward(db, now)
    with pytest.raises(Invalid) as refused:
        programs.add(db, name, wards, now=now)
    assert refused.value.problems == problems


def test_a_name_is_used_once(db: Session, now: datetime) -> None:
    cast.ward(db, now)
    programs.add(db, "dips", ["unn-post3"], now=now)
    with pytest.raises(Conflict, match="name_in_use"):
        programs.add(db, "dips", ["unn-post3"], now=now)
    with pytest.raises(NotFound):
        programs.revoke(db, "nobody", now=now)


def test_an_account_never_discharges_from_another_ward(db: Session, now: datetime) -> None:
    cast.ward(db, now)
    checked = discharge.check(db, cast.kari_fields(now), (), settings=cast.SETTINGS, today=local_day(now))
    account, _token = programs.add(db, "dips", ["unn-post3"], now=now)
    with pytest.raises(NotAllowed):
        discharge.discharge(db, Actor("integration", account.id), checked, now=now)


def test_the_same_request_twice_at_once_is_carried_out_once(engine: Engine, now: datetime) -> None:
    with Session(engine) as db:
        cast.ward(db, now)
        _account, token = programs.add(db, "dips", ["unn-post3"], now=now)
        db.commit()
    row = {"measures": ""} | cast.kari_fields(now)
    answers: list[dict[str, Any]] = []
    together = threading.Barrier(2)

    def hand_in() -> None:
        with Session(engine) as db:
            together.wait()
            who = programs.from_token(db, token)
            assert who
            answers.append(handed_in.hand_in(db, who, [row], key="a-1", settings=cast.SETTINGS, now=now))
            db.commit()

    threads = [threading.Thread(target=hand_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [answer["created"] for answer in answers] == [1, 1]
    with Session(engine) as db:
        assert db.scalar(select(func.count()).select_from(Patient)) == 1
