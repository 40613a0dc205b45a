"""The patient's own passport: read, written in, confirmed, shown to others; and who sees it."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from fastapi.responses import Response

from companion.errors import Conflict, Invalid, NotFound
from companion.models import Grant, PassportLine
from companion.rules.cadence import local_day
from companion.use_cases.keeping import privacy
from companion.use_cases.passport import lines as passport
from companion.use_cases.passport import wish
from companion.use_cases.relatives import share
from companion.use_cases.replies import written
from web.house import birth_date
from web.house.deps import Db, Fields, Now, Page, Posted, Seen, Who, go, new_router
from web.house.pages import OSLO
from web.house.security import access
from web.patient.words import PatientWords, Words

router = new_router()

# What the patient writes; the rest is the professionals'.
OWN_SECTIONS = ("matters", "talk")
_LINES = "/patient/passport/lines"
GRANT_LASTS = {"90": timedelta(days=90), "365": timedelta(days=365), "730": timedelta(days=730)}


@router.get("/patient/passport")
@access("patient", "passport", patient_data=True)
def show(page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """What matters first; every line with who wrote it and when it was last confirmed."""
    found = passport.read(db, who, _own(who.id), now=now)
    seen(found.patient.id, "passport.read")
    alone = any(spoke.role == "coordinator" and spoke.missing for spoke in found.wheel)
    return page(
        "patient/passport.html",
        passport=found,
        words=words,
        mine=True,
        own_sections=OWN_SECTIONS,
        without_coordinator=alone,
        wish=wish.coordinator_wish(db, who) if alone else None,
    )


@router.post("/patient/passport/coordinator")
@access("patient", "passport", patient_data=True)
def ask_for_coordinator(db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """The wish is put before the coordinating unit."""
    raised = wish.ask_for_coordinator(db, who, now=now)
    seen(_own(who.id), "wish.coordinator", f"flag:{raised.id}")
    return go("/patient/passport#people")


# --- writing ----------------------------------------------------------------------------------------------------------


@router.post("/patient/passport/lines/{line_id}/confirm")
@access("patient", "passport", patient_data=True)
def confirm(line_id: UUID, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """It is still right. A line somebody has changed meanwhile is shown as it is now."""
    try:
        passport.confirm_line(db, who, line_id, now=now)
    except Conflict:
        return go("/patient/passport")
    seen(_own(who.id), "passport.confirm", f"line:{line_id}")
    return go("/patient/passport")


@router.get("/patient/passport/write/{section}")
@access("patient", "passport")
def write_form(section: str, page: Page, words: Words, changed: bool = False) -> Response:
    """An empty line. `changed`: with what was written for one that is taken away."""
    _own_section(section)
    return page("patient/line.html", **_line_form(section, None, "", words, changed=changed))


@router.post("/patient/passport/write/{section}")
@access("patient", "passport", patient_data=True)
def write(
    section: str, page: Page, db: Db, who: Who, now: Now, seen: Seen, fields: Posted, words: Words
) -> Response:
    """A new line in the patient's own words."""
    _own_section(section)
    typed = fields.get("text", "")
    try:
        line = passport.write_line(db, who, _own(who.id), section, typed, now=now)
    except Invalid as wrong:
        form = _line_form(section, None, typed, words, wrong.problems)
        return page("patient/line.html", status=422, **form)
    seen(_own(who.id), "passport.write", f"line:{line.id}")
    return _afterwards(db, who)


@router.get("/patient/passport/lines/{line_id}")
@access("patient", "passport", patient_data=True)
def change_form(
    line_id: UUID,
    page: Page,
    db: Db,
    who: Who,
    now: Now,
    seen: Seen,
    words: Words,
    changed: bool = False,
) -> Response:
    """One of the patient's own lines, to change or take away; from an older one to what stands in its place now."""
    seen(_own(who.id), "passport.read", f"line:{line_id}")
    if (instead := _instead(passport.standing(db, who, line_id, now=now))) != f"{_LINES}/{line_id}":
        return go(instead)
    section, line = _own_line(passport.read(db, who, _own(who.id), now=now), line_id)
    return page("patient/line.html", **_line_form(section, line_id, line.text, words, changed=changed))


@router.post("/patient/passport/lines/{line_id}")
@access("patient", "passport", patient_data=True)
def change(
    line_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, fields: Posted, words: Words
) -> Response:
    """The line in other words. One that was changed meanwhile is shown as it is now, with what was typed to save or not."""
    typed = fields.get("text", "")
    try:
        passport.change_line(db, who, line_id, typed, now=now)
    except Conflict:
        instead = _instead(passport.standing(db, who, line_id, now=now))
        page.drafts.keep(instead)
        return go(f"{instead}?changed=true")
    except Invalid as wrong:
        section, _line = _own_line(passport.read(db, who, _own(who.id), now=now), line_id)
        seen(_own(who.id), "passport.read", f"line:{line_id}")
        form = _line_form(section, line_id, typed, words, wrong.problems)
        return page("patient/line.html", status=422, **form)
    seen(_own(who.id), "passport.write", f"line:{line_id}")
    return _afterwards(db, who)


def _afterwards(db: Db, who: Who) -> Response:
    """To the passport; after words of despair to whom to call now."""
    return go("/patient/write" if written.waiting(db, who).crisis else "/patient/passport")


@router.post("/patient/passport/lines/{line_id}/remove")
@access("patient", "passport", patient_data=True)
def remove(line_id: UUID, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """Takes one of the patient's own lines away; again changes nothing."""
    try:
        passport.end_line(db, who, line_id, now=now)
    except Conflict:
        return go("/patient/passport")
    seen(_own(who.id), "passport.write", f"line:{line_id}")
    return go("/patient/passport")


def _instead(line: PassportLine) -> str:
    """Where the patient goes on writing: in the line as it stands now, or in a new one when it is taken away."""
    gone = line.ended_at is not None or line.written_by_kind != "patient"
    return f"/patient/passport/write/{line.section}" if gone else f"{_LINES}/{line.id}"


def _own_section(section: str) -> None:
    if section not in OWN_SECTIONS:
        raise NotFound("section")


def _own_line(found: passport.Passport, line_id: UUID) -> tuple[str, passport.Line]:
    for section in found.sections:
        for line in section.lines:
            if line.id == line_id and line.written_by_patient:
                return section.key, line
    raise NotFound("line")


def _line_form(
    section: str,
    line_id: UUID | None,
    typed: str,
    words: PatientWords,
    problems: Mapping[str, str] | None = None,
    *,
    changed: bool = False,
) -> dict[str, Any]:
    return {
        "place": f"{_LINES}/{line_id}" if line_id else f"/patient/passport/write/{section}",
        "stands": typed,
        "changed": changed,
        "section": section,
        "title": words.section(section)[0],
        "line_id": line_id,
        "typed": typed,
        "longest": passport.LONGEST_LINE,
        "errors": words.problems(problems or {}),
    }


# --- showing it to others ---------------------------------------------------------------------------------------------


@router.get("/patient/passport/share")
@access("patient", "passport")
def share_form(page: Page, words: Words) -> Response:
    """How to show the passport, and the form that lets a relative in."""
    return page("patient/share.html", **_share_form(Fields(), ["passport", "meetings"], words))


@router.post("/patient/passport/share")
@access("patient", "passport", patient_data=True)
def give(page: Page, db: Db, who: Who, now: Now, seen: Seen, fields: Posted, words: Words) -> Response:
    """Lets the relative in and sends the invitation. Sent twice changes nothing."""
    scopes = fields.all_of("scopes")
    try:
        grant = _give(db, who, fields, scopes, now)
    except Invalid as wrong:
        form = _share_form(fields, scopes, words, wrong.problems)
        return page("patient/share.html", status=422, **form)
    seen(_own(who.id), "grant.given", f"grant:{grant.id}")
    return go("/patient/passport/who?given=true")


@router.get("/patient/passport/who")
@access("patient", "passport", patient_data=True)
def who_sees(
    page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words, given: bool = False
) -> Response:
    """Whom the patient has let in, and who has looked."""
    grants = share.grants_of(db, who, _own(who.id), now=now)
    log = privacy.access_log(db, who, _own(who.id), now=now)
    seen(_own(who.id), "grants.read")
    return page(
        "patient/who.html",
        standing=[
            (one, share.last_day(one)) for one in grants if _stands(one.withdrawn_at, one.valid_until, now)
        ],
        ended=[one for one in grants if not _stands(one.withdrawn_at, one.valid_until, now)],
        days=_by_day(log, words),
        given=given,
        words=words,
    )


@router.post("/patient/passport/grants/{grant_id}/withdraw")
@access("patient", "passport", patient_data=True)
def withdraw(grant_id: UUID, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """Shuts the door at once."""
    share.withdraw(db, who, grant_id, now=now)
    seen(_own(who.id), "grant.withdrawn", f"grant:{grant_id}")
    return go("/patient/passport/who")


def _give(db: Db, who: Who, fields: Fields, scopes: list[str], now: datetime) -> Grant:
    """The grant, or `Invalid` with every problem of what was typed."""
    typed, lasts = fields.get("birth_date", ""), GRANT_LASTS.get(fields.get("until", ""))
    born = birth_date.read(typed, "", "", today=local_day(now))
    problems: dict[str, str] = {}
    # Without it the relative's link could never be opened.
    if born is None:
        problems["birth_date"] = "not_a_date" if typed.strip() else "missing"
    if lasts is None:
        problems["until"] = "missing"
    draft = share.GrantDraft(
        name=fields.get("name", ""),
        phone=fields.get("phone", ""),
        birth_date=born,
        relation=fields.get("relation", ""),
        scopes=scopes,
        until=local_day(now) + (lasts or timedelta()),
    )
    try:
        share.check(draft, now=now)
    except Invalid as wrong:
        problems = wrong.problems | problems
    if problems:
        raise Invalid(problems)
    return share.give(db, who, _own(who.id), draft, now=now)


def _share_form(
    fields: Fields, scopes: list[str], words: PatientWords, problems: Mapping[str, str] | None = None
) -> dict[str, Any]:
    order = ("name", "relation", "phone", "birth_date", "scopes", "until")
    said = words.problems(problems or {})
    return {
        "fields": fields,
        "chosen": scopes,
        "scopes": words.scope_cards(),
        "errors": {name: said[name] for name in order if name in said},
    }


def _stands(withdrawn_at: datetime | None, valid_until: datetime, now: datetime) -> bool:
    return withdrawn_at is None and valid_until > now


def _by_day(log: list[privacy.Access], words: PatientWords) -> list[tuple[date, list[dict[str, Any]]]]:
    """Others' look-ups by day, each kind of look-up by the same person once."""
    others = [entry for entry in log if entry.kind in ("professional", "relative")]
    days = []
    for day, entries in groupby(others, key=lambda entry: entry.at.astimezone(OSLO).date()):
        told: dict[tuple[str | None, str | None, str], dict[str, Any]] = {}
        for entry in entries:
            what = words.access(entry.action)
            line = {"who": entry.who, "unit": entry.unit, "what": what, "at": entry.at}
            told.setdefault((entry.who, entry.unit, what), line)
        days.append((day, list(told.values())))
    return days


def _own(patient_id: UUID | None) -> UUID:
    return cast(UUID, patient_id)
