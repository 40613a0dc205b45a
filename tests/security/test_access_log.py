"""Whoever sees or changes a patient's data leaves a line in the access log, or does not see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session

from companion.models import AuditEvent, FlagEvent, MeetingEvent, PassportLine
from companion.use_cases.keeping import privacy
from tests.security import town as towns
from tests.security.conftest import House
from tests.security.town import FORMS, Walked

# They lead on to another page and show nothing themselves.
LEADS_ON = {
    "GET /patient/check-in/{check_in_id}",
    "GET /patient/check-in/{check_in_id}/review",
    "POST /patient/check-in/{check_in_id}/send",
}
WALK = [one for one in towns.routes() if towns.access(one[1]).patient_data]
walk = pytest.mark.parametrize("walked", WALK, ids=towns.name)


@contextmanager
def a_log_that_is_full(engine: Engine) -> Iterator[None]:
    """Nothing can be added to the access log."""

    def refuse(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO audit_event"):
            raise RuntimeError("the access log is full")

    event.listen(engine, "before_cursor_execute", refuse)
    yield
    event.remove(engine, "before_cursor_execute", refuse)


def ask(house: House, walked: Walked) -> Any:
    method, route = walked
    browser = towns.entitled(house.browser, house.town, route)
    form = {"csrf_token": browser.token, **FORMS[towns.name(walked)]} if towns.changes(method) else None
    headers = {"Sec-Fetch-Site": "same-origin", "Accept-Language": "nb"}
    return browser.raw(method, towns.address(house.town, route), data=form, headers=headers)


def lines(engine: Engine, request_id: str) -> list[AuditEvent]:
    with Session(engine) as db:
        return list(db.scalars(select(AuditEvent).where(AuditEvent.request_id == request_id)))


def rows(engine: Engine) -> list[int | None]:
    with Session(engine) as db:
        return [
            db.scalar(select(func.count()).select_from(kind))
            for kind in (AuditEvent, FlagEvent, MeetingEvent, PassportLine)
        ]


@walk
def test_every_look_and_every_deed_is_written_down(house: House, walked: Walked) -> None:
    house.put_back()
    answer = ask(house, walked)
    written = lines(house.engine, answer.headers["x-request-id"])
    if towns.name(walked) in LEADS_ON:
        assert answer.status_code == 303
        return
    assert answer.status_code in (200, 303)
    told = {line.patient_id for line in written}
    named = {one.id for one in (house.town.kari, house.town.lars, house.town.ola) if one.name in answer.text}
    assert told == (named or {house.town.kari.id})
    with Session(house.engine) as db:
        assert privacy.verify_chain(db, house.engine.dialect.companion_keys) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("walked", [one for one in WALK if towns.name(one) not in LEADS_ON], ids=towns.name)
def test_what_cannot_be_written_down_is_neither_shown_nor_done(house: House, walked: Walked) -> None:
    house.put_back()
    before = rows(house.engine)
    with a_log_that_is_full(house.engine):
        answer = ask(house, walked)
    assert answer.status_code == 500
    assert "Noe gikk galt hos oss" in answer.text
    for hers in ("Svelger", "svimmel", "tur igjen", "Fysioterapi"):
        assert hers not in answer.text
    assert rows(house.engine) == before
