"""The patient's own pages: today, measures, meetings, and how the pages look."""

from typing import cast
from uuid import UUID

from fastapi.responses import Response

from companion import worklists
from companion.errors import Invalid, NotFound
from companion.models import Patient
from companion.use_cases import meetings as meet
from companion.use_cases.messages import contact
from companion.use_cases.people import preferences
from notifications.channels.push import devices
from web.house.deps import Db, Now, Page, Posted, Seen, TheHouse, Who, go, new_router
from web.house.security import access
from web.patient.words import Words

router = new_router()

MEASURES_SHOWN = 3
CALLS_SHOWN = 3
SECONDS_PER_QUESTION = 12


@router.get("/patient")
@access("patient", "check_in", patient_data=True)
def today(page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words, house: TheHouse) -> Response:
    """First the one thing to do, then the next meeting, the measures, and whom to call."""
    found = worklists.today(db, who, now=now)
    seen(found.patient.id, "today.read")
    return page(
        "patient/today.html",
        today=found,
        words=words,
        minutes=max(1, round(found.question_count * SECONDS_PER_QUESTION / 60)),
        measures=sorted(found.measures, key=lambda one: not one.open)[:MEASURES_SHOWN],
        surely=who.level >= house.settings.level_passport,
        phase=meet.phase(found.meeting, now).value if found.meeting else None,
        calls=[
            {"name": unit.name, "line": unit.hours, "phone": unit.phone} for unit in found.call[:CALLS_SHOWN]
        ],
    )


@router.get("/patient/measures")
@access("patient", "passport", patient_data=True)
def measures(page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """Every measure: what, why, whose task, by when, how far, and what was said about it."""
    patient = db.get(Patient, who.id)
    if patient is None:
        raise NotFound("patient")
    found = worklists.measures(db, who)
    seen(patient.id, "measures.read")
    return page("patient/measures.html", measures=found, municipality=patient.municipality.name, words=words)


@router.get("/patient/meetings")
@access("patient", "check_in", patient_data=True)
def meetings(page: Page, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """Meetings to come and meetings that were."""
    found = worklists.invitations(db, who, now=now)
    seen(cast(UUID, who.id), "meetings.read")
    return page(
        "patient/meetings.html",
        me=who.id,
        coming=[(meeting, meet.phase(meeting, now).value) for meeting in found.coming],
        past=[(meeting, meet.phase(meeting, now).value) for meeting in found.past],
    )


@router.get("/patient/settings")
@access("patient", "check_in")
def settings(page: Page, db: Db, who: Who, done: bool = False) -> Response:
    """Language, size of the text, light or dark; and whether messages come as SMS or to a device."""
    return _settings(page, db, who, done=done)


@router.post("/patient/settings")
@access("patient", "check_in")
def save_settings(page: Page, db: Db, who: Who, fields: Posted) -> Response:
    """Keeps the choice; the next page already has it."""
    try:
        preferences.choose(
            db,
            who,
            language=fields.get("language", ""),
            text_size=fields.get("text_size", ""),
            color_scheme=fields.get("color_scheme", ""),
        )
    except Invalid:
        return _settings(page, db, who, problem=True)
    return go("/patient/settings?done=true")


def _settings(page: Page, db: Db, who: Who, *, done: bool = False, problem: bool = False) -> Response:
    patient = db.get_one(Patient, who.id)
    return page(
        "patient/settings.html",
        status=422 if problem else 200,
        done=done,
        problem=problem,
        written_to=contact.may_write(patient),
        devices=devices.count(db, patient.id),
    )
