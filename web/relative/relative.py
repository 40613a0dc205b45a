"""A relative's pages: who has let them in, the passport to read, and the meetings they are invited to."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from fastapi.responses import Response

from companion import worklists
from companion.errors import Invalid
from companion.models import Grant
from companion.rules.names import called
from companion.use_cases import meetings as meet
from companion.use_cases.passport import lines as passport
from companion.use_cases.people import preferences
from companion.use_cases.relatives import share
from web.house.deps import Db, Now, Page, Posted, Seen, Who, go, new_router
from web.house.security import access
from web.relative.words import RelativeWords, Words

router = new_router()


@router.get("/relative")
@access("relative", "check_in", patient_data=True)
def home(page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """Who has let the relative in, and to what; the next meeting first."""
    grants = share.granted_patients(db, who, now=now)
    coming = worklists.invitations(db, who, now=now).coming
    seen.each((grant.patient_id for grant in grants), "relative.home")
    return page(
        "relative/home.html",
        me=who.id,
        first_name=called(who.name),
        people=_people(grants, words),
        meeting=(coming[0], meet.phase(coming[0], now).value) if coming else None,
        tabs=_tabs(grants, words),
        words=words,
    )


@router.get("/relative/passport/{patient_id}")
@access("relative", "passport", patient_data=True)
def show(patient_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """The passport, as long as the patient lets the relative read it."""
    found = passport.read(db, who, patient_id, now=now)
    seen(patient_id, "passport.read")
    return page("relative/passport.html", passport=found, words=words, mine=False, own_sections=())


@router.get("/relative/meetings")
@access("relative", "check_in", patient_data=True)
def meetings(page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """Meetings the relative is invited to, and those that were."""
    grants = share.granted_patients(db, who, now=now)
    found = worklists.invitations(db, who, now=now)
    seen.each((meeting.patient_id for meeting in (*found.coming, *found.past)), "meetings.read")
    return page(
        "relative/meetings.html",
        me=who.id,
        coming=[(meeting, meet.phase(meeting, now).value) for meeting in found.coming],
        past=[(meeting, meet.phase(meeting, now).value) for meeting in found.past],
        tabs=_tabs(grants, words),
    )


@router.get("/relative/settings")
@access("relative", "check_in")
def settings(page: Page, done: bool = False) -> Response:
    """Language, size of the text, light or dark."""
    return page("relative/settings.html", done=done, problem=False)


@router.post("/relative/settings")
@access("relative", "check_in")
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
        return page("relative/settings.html", status=422, done=False, problem=True)
    return go("/relative/settings?done=true")


def _people(grants: Iterable[Grant], words: RelativeWords) -> list[dict[str, Any]]:
    """Each patient once, with all that is open by one grant or more."""
    people: dict[UUID, dict[str, Any]] = {}
    for grant in grants:
        person = people.setdefault(
            grant.patient_id,
            {
                "patient": grant.patient,
                "relation": grant.relation,
                "scopes": set(),
                "until": share.last_day(grant),
            },
        )
        person["scopes"] |= grant.scope_set
        person["until"] = max(person["until"], share.last_day(grant))
    return list(people.values())


def _tabs(grants: Iterable[Grant], words: RelativeWords) -> list[dict[str, str]]:
    if not any("meetings" in grant.scope_set for grant in grants):
        return []
    return words.tabs()
