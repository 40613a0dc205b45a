"""Offering a patient a video meeting; moving it and calling it off."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from uuid import UUID

from fastapi.responses import HTMLResponse, Response
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid
from companion.models import Meeting
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day, to_local, to_utc
from companion.rules.quiet_hours import add_working_days
from companion.use_cases import meetings as meet
from companion.use_cases.cases import flag
from companion.use_cases.messages import message
from companion.use_cases.people.reach import patient_of
from web.desk.grants import read_date
from web.desk.words import Say, Sentences, choices
from web.desk.words.meetings import MEETING_KINDS
from web.house.deps import Db, Fields, Now, Page, Pages, Posted, Seen, Who, go, new_router
from web.house.posted import read_uuid
from web.house.security import access

router = new_router()

LENGTHS = (15, 30, 45, 60)
_FIRST_HOUR = "10:00"


@router.get("/staff/patients/{patient_id}/meeting")
@access("professional", Level.high, patient_data=True)
def offer_form(
    patient_id: UUID, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, flag: str = ""
) -> HTMLResponse:
    """When, how long, with whom. `flag`: the case it is about."""
    seen(patient_id, "meeting.offer_form")
    typed = {
        "date": add_working_days(local_day(now), 1).isoformat(),
        "time": _FIRST_HOUR,
        "minutes": "30",
        "kind": "follow_up",
        "flag": flag,
    }
    return page("desk/offer.html", **_offer(db, who, patient_id, typed, [], {}, say, now))


@router.post("/staff/patients/{patient_id}/meeting")
@access("professional", Level.high, patient_data=True)
def offer(
    patient_id: UUID, db: Db, who: Who, now: Now, posted: Posted, page: Page, say: Say, seen: Seen
) -> Response:
    """Offers it: everybody invited gets a message."""
    relatives = posted.all_of("relatives")
    try:
        starts_at = _starts_at(posted)
        with db.begin_nested():
            meeting = meet.offer(
                db,
                who,
                patient_id,
                starts_at,
                minutes=_minutes(posted),
                relatives=[one for typed in relatives if (one := read_uuid(typed))],
                kind=posted.get("kind", ""),
                flag_id=read_uuid(posted.get("flag", "")),
                now=now,
            )
    except Invalid as problem:
        errors = _at_fields(say.problems(problem.problems))
        seen(patient_id, "meeting.offer_form")
        return page(
            "desk/offer.html", status=422, **_offer(db, who, patient_id, posted, relatives, errors, say, now)
        )
    seen(patient_id, "meeting.offered", f"meeting:{meeting.id}")
    return go(f"/staff/patients/{patient_id}")


@router.get("/staff/guidance")
@access("professional", Level.high)
def guidance_form(who: Who, now: Now, page: Page, say: Say) -> HTMLResponse:
    """When to meet colleagues, about no patient."""
    typed = {"date": add_working_days(local_day(now), 1).isoformat(), "time": _FIRST_HOUR, "minutes": "30"}
    return _guidance_page(page, typed, {}, say, now, 200)


@router.post("/staff/guidance")
@access("professional", Level.high)
def offer_guidance(db: Db, who: Who, now: Now, posted: Posted, page: Page, say: Say) -> Response:
    """Sets the time; then comes who is to be there."""
    try:
        starts_at = _starts_at(posted)
        with db.begin_nested():
            meeting = meet.offer_guidance(db, who, starts_at, minutes=_minutes(posted), now=now)
    except Invalid as problem:
        return _guidance_page(page, posted, _at_fields(say.problems(problem.problems)), say, now, 422)
    return go(f"/staff/meetings/{meeting.id}/participants")


@router.get("/staff/meetings/{meeting_id}")
@access("professional", Level.high, patient_data=True)
def change_form(
    meeting_id: UUID, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen
) -> HTMLResponse:
    """The meeting, to be moved or called off."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.read", f"meeting:{meeting_id}")
    local = to_local(meeting.starts_at)
    typed = {
        "date": local.date().isoformat(),
        "time": local.strftime("%H:%M"),
        "minutes": str(meeting.minutes),
    }
    return _change_page(page, meeting, typed, {}, now, 200)


@router.post("/staff/meetings/{meeting_id}/move")
@access("professional", Level.high, patient_data=True)
def move(
    meeting_id: UUID, db: Db, who: Who, now: Now, posted: Posted, page: Page, say: Say, seen: Seen
) -> Response:
    """Another time; everybody invited is told."""
    meeting = meet.of_my_unit(db, who, meeting_id)
    seen(meeting.patient_id, "meeting.moved", f"meeting:{meeting_id}")
    try:
        starts_at = _starts_at(posted)
        with db.begin_nested():
            meet.move(db, who, meeting_id, starts_at, minutes=_minutes(posted), now=now)
    except Invalid as problem:
        return _change_page(page, meeting, posted, _at_fields(say.problems(problem.problems)), now, 422)
    except Conflict as problem:
        return _change_page(
            page, meeting, posted, {"date": say.conflict(problem.code, problem.who)}, now, 409
        )
    return go("/staff/meetings")


@router.post("/staff/meetings/{meeting_id}/cancel")
@access("professional", Level.high, patient_data=True)
def cancel(meeting_id: UUID, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """Called off; everybody invited is told."""
    meeting = meet.cancel(db, who, meeting_id, now=now)
    seen(meeting.patient_id, "meeting.cancelled", f"meeting:{meeting_id}")
    return go("/staff/meetings")


def _offer(
    db: Session,
    who: Actor,
    patient_id: UUID,
    typed: Mapping[str, str],
    relatives: list[str],
    errors: Mapping[str, str],
    say: Sentences,
    now: datetime,
) -> dict[str, Any]:
    grants = meet.may_invite(db, who, patient_id, now=now)
    patient = patient_of(db, who, patient_id, now=now)
    about = read_uuid(typed.get("flag", ""))
    return {
        "patient": patient,
        "typed": typed,
        "errors": errors,
        "chosen": relatives,
        "relatives": [
            {"value": str(grant.relative_id), "word": f"{grant.relative.name} ({grant.relation})"}
            for grant in grants
        ],
        "lengths": _lengths(say),
        "kinds": choices(MEETING_KINDS, say),
        "told_by_sms": message.takes_messages(patient, "meeting"),
        "about": say.flag(flag.find(db, who, about, now=now)) if about else "",
        "today": local_day(now),
    }


def _guidance_page(
    page: Pages,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    say: Sentences,
    now: datetime,
    status: int,
) -> HTMLResponse:
    return page(
        "desk/guidance.html",
        status=status,
        typed=typed,
        errors=errors,
        lengths=_lengths(say),
        today=local_day(now),
    )


def _change_page(
    page: Pages,
    meeting: Meeting,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    now: datetime,
    status: int,
) -> HTMLResponse:
    return page(
        "desk/change_meeting.html",
        status=status,
        meeting=meeting,
        patient=meeting.patient,
        typed=typed,
        errors=errors,
        lengths=[(str(minutes), minutes) for minutes in sorted({*LENGTHS, meeting.minutes})],
        standing=meeting.state == "offered",
        today=local_day(now),
    )


def _starts_at(posted: Fields) -> datetime:
    """Day and wall-clock time together. Raises `Invalid` for `date` or `time`."""
    problems: dict[str, str] = {}
    day, hour = read_date(posted.get("date", "")), _hour(posted.get("time", ""))
    if day is None:
        problems["date"] = "not_a_date" if posted.get("date", "").strip() else "missing"
    if hour is None:
        problems["time"] = "not_a_time" if posted.get("time", "").strip() else "missing"
    if day is None or hour is None:
        raise Invalid(problems)
    return to_utc(day, hour)


def _hour(typed: str) -> time | None:
    try:
        return time.fromisoformat(typed.strip()) if len(typed.strip()) == 5 else None
    except ValueError:
        return None


def _minutes(posted: Fields) -> int:
    typed = posted.get("minutes", "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 4 else 0


def _lengths(say: Sentences) -> list[tuple[str, int]]:
    return [(str(minutes), minutes) for minutes in LENGTHS]


def _at_fields(errors: Mapping[str, str]) -> dict[str, str]:
    """The use-case speaks of the moment; on the form that is the day."""
    return {"date" if field == "starts_at" else field: said for field, said in errors.items()}
