"""Kari at home two weeks after the stroke, asked how it goes; Ola, with whom she has nothing to do; Anne, whom she lets in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from companion.models import CheckIn, Measure, Patient, Relative
from companion.rules.access import Level
from companion.rules.national_id import make_synthetic
from companion.rules.questionnaire import address
from companion.use_cases import check_in
from companion.use_cases.relatives import share
from tests import cast
from tests.pages.client import Opened, PageClient

BORN = cast.ANNE_BORN


@dataclass
class AtHome:
    """The people, and the check-in that is asked."""

    ward: cast.Ward
    kari: Patient
    ola: Patient
    check_in: CheckIn
    olas: CheckIn
    measures: list[UUID]

    @property
    def way(self) -> str:
        """Where Kari answers."""
        return f"/patient/check-in/{self.check_in.id}"

    def asks(self, link_id: str) -> str:
        """Where Kari answers that question."""
        return f"{self.way}/{address(link_id)}"


def at_home(engine: Engine, now: datetime) -> AtHome:
    """Discharged two weeks before `now`; the check-in of day 14 is asked now."""
    before = now - timedelta(days=14)
    with Session(engine, expire_on_commit=False) as db:
        ward = cast.ward(db, before)
        kari, ola = cast.kari(db, before), cast.ola(db, before)
        check_in.ask_due(db, now)
        asked = {one.patient_id: one for one in db.scalars(select(CheckIn).where(CheckIn.state == "asked"))}
        measures = db.scalars(
            select(Measure.id).where(Measure.patient_id == kari.id).order_by(Measure.number)
        ).all()
        db.commit()
    return AtHome(ward, kari, ola, asked[kari.id], asked[ola.id], list(measures))


def let_anne_in(
    engine: Engine, home: AtHome, now: datetime, scopes: set[str] | None = None, until: date | None = None
) -> tuple[Relative, UUID]:
    """Anne, and the grant she has."""
    draft = share.GrantDraft(
        name="Anne Nilsen",
        phone=cast.ANNE_PHONE,
        birth_date=BORN,
        relation="datter",
        scopes=scopes or {"passport", "measures", "meetings"},
        until=until or now.date() + timedelta(days=365),
    )
    with Session(engine, expire_on_commit=False) as db:
        grant = share.give(db, home.ward.sofia, home.kari.id, draft, now=now)
        anne = grant.relative
        anne.national_id = anne.national_id_index = make_synthetic(BORN, 0)
        db.commit()
        return anne, grant.id


def answer(browser: PageClient, home: AtHome, page: Opened, value: str) -> Opened:
    """Answers the question on the page and goes on."""
    return browser.submit(page, page.path, {"answer": value})


def answer_all(browser: PageClient, home: AtHome, said: dict[str, str] | None = None) -> Opened:
    """From where Kari is to the look over the answers; what is not said is passed by, or said to be well."""
    well = {"how": "good", "worse": "no", "contact": "false"} | (said or {})
    who, now = cast.actor(home.kari, Level.code), browser.clock.now()
    with browser.sessions() as db:
        while asked := check_in.review(db, who, home.check_in.id, now=now).unanswered:
            value = well.get(asked, "yes" if asked.endswith(".started") else "")
            check_in.save(db, who, home.check_in.id, asked, [value], now=now)
        db.commit()
    return browser.open(f"{home.way}/review")


def sign_in(browser: PageClient, home: AtHome, level: Level = Level.high) -> PageClient:
    """Kari, in whose browser Ola's name must never stand."""
    browser.as_patient(home.kari, level).strangers.add("Ola Hansen")
    return browser


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """What the database is asked meanwhile, the access log left out."""
    asked: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        if "audit_event" not in statement and "pg_advisory" not in statement:
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


def queries(browser: PageClient, engine: Engine, path: str, *, light: str = "/patient/settings") -> int:
    """How many queries a page needs beyond those of the door, which a page without data shows."""
    with statements(engine) as of_the_door:
        browser.raw("GET", light)
    with statements(engine) as of_the_page:
        assert browser.raw("GET", path).status_code == 200
    return len(of_the_page) - len(of_the_door)
