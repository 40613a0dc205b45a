"""What staff see of the post: what became of each letter, the days in numbers, and a letter sent again."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from fastapi.responses import HTMLResponse, Response

from companion import worklists
from companion.errors import Conflict, NotFound
from companion.rules.access import Level
from companion.rules.cadence import local_day
from companion.use_cases.messages import again
from companion.worklists.letters import DAYS, GROUPS, Letters
from notifications.ways import Ways
from web.desk import letters
from web.desk.words import Say, Sentences
from web.desk.words.letters import MESSAGE_KINDS
from web.house.deps import Db, Now, Page, Seen, TheHouse, Who, go, new_router
from web.house.security import access
from web.house.words import _

router = new_router()

# No larger than a database counts.
MessageId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/staff/patients/{patient_id}/messages")
@access("professional", Level.high, patient_data=True)
def of_patient(
    patient_id: UUID,
    db: Db,
    who: Who,
    now: Now,
    page: Page,
    say: Say,
    seen: Seen,
    house: TheHouse,
    before: str = "",
    sent: str = "",
) -> HTMLResponse:
    """Every letter to a patient, and to relatives about the patient, newest first. `sent`: the one just sent again."""
    found = worklists.letters(db, who, patient_id, before=_number(before), now=now)
    seen(patient_id, "messages.read", f"messages:{len(found.rows)}")
    return page(
        "desk/messages.html",
        **_shown(found, say, house.ways, first=not before, notice=_told(found, sent, say)),
    )


@router.post("/staff/patients/{patient_id}/messages/{message_id}/again")
@access("professional", Level.high, patient_data=True)
def send_again(
    patient_id: UUID,
    message_id: MessageId,
    db: Db,
    who: Who,
    now: Now,
    page: Page,
    say: Say,
    seen: Seen,
    house: TheHouse,
) -> Response:
    """Sends a letter again; pressed twice it goes once. Where it may not be, the page says why."""
    try:
        letter = again.send_again(db, who, patient_id, message_id, now=now)
    except Conflict as problem:
        found = worklists.letters(db, who, patient_id, now=now)
        seen(patient_id, "messages.read", f"messages:{len(found.rows)}")
        said = say(letters.WHY_NOT[problem.code]) or say(_("Den trenger ikke å sendes på nytt."))
        return page(
            "desk/messages.html",
            status=409,
            **_shown(found, say, house.ways, first=True, notice=said, refused=True),
        )
    seen(patient_id, "message.again", f"message:{message_id}")
    return go(f"/staff/patients/{patient_id}/messages?sent={letter.id}")


@router.get("/staff/messages")
@access("professional", Level.high)
def days(db: Db, who: Who, now: Now, page: Page, say: Say, house: TheHouse) -> HTMLResponse:
    """The letters of the person's units, today and the days before, in numbers."""
    today = local_day(now)
    units = worklists.units_of(db, who)
    found = worklists.report(db, units, last=today)
    whole = found[0].days[today] if len(found) == 1 else worklists.day_of(db, units, today)
    return page(
        "desk/days.html",
        post=letters.banner(worklists.standing(db, now, house.ways.by_receipt), say, house.ways),
        lead_words=letters.day_in_words(whole, say),
        units=found,
        groups=[(key, say(word)) for key, word in letters.GROUPS.items()],
        leads_on=("not_arrived", "uncertain"),
        today=today,
        number_of_days=DAYS,
    )


@router.get("/staff/messages/{unit_id}/{day}/{group}")
@access("professional", Level.high, patient_data=True)
def people(
    unit_id: UUID,
    day: date,
    group: str,
    db: Db,
    who: Who,
    now: Now,
    page: Page,
    say: Say,
    seen: Seen,
    house: TheHouse,
) -> HTMLResponse:
    """The people behind a number of the days."""
    if group not in GROUPS:
        raise NotFound("group")
    found = worklists.people(db, who, unit_id, day, group, now=now)
    whose = [(letter, letter.patient or letter.about) for letter in found]
    seen.each(
        (patient.id for _letter, patient in whose if patient), "messages.read", f"messages:{len(found)}"
    )
    rows = [
        {
            "patient": patient,
            "kind": say(MESSAGE_KINDS[letter.kind]),
            "about": letters.about(letter, say),
            "to": letter.relative.name if letter.relative else "",
            "became": letters.became(letter, say, house.ways),
        }
        for letter, patient in whose
        if patient
    ]
    return page("desk/day_people.html", rows=rows, word=say(letters.GROUPS[group]), day=day)


def _shown(
    found: Letters, say: Sentences, ways: Ways, *, first: bool, notice: str, refused: bool = False
) -> dict[str, Any]:
    return {
        "patient": found.patient,
        "lines": [letters.line(one, say, ways, may_send=found.follows) for one in found.rows],
        "first": first,
        "next": f"/staff/patients/{found.patient.id}/messages?before={found.next}" if found.next else None,
        "notice": notice,
        "refused": refused,
    }


def _told(found: Letters, sent: str, say: Sentences) -> str:
    """What was done a moment ago, and when it goes; nothing once it has gone."""
    for one in found.rows:
        letter = one.letter
        if str(letter.id) == sent and letter.state in ("queued", "sending"):
            if letter.next_attempt_at > say.now:
                when = say.when(letter.next_attempt_at)
                return say(_("Meldingen er lagt i køen. Den går %(when)s."), when=when)
            return say(_("Meldingen sendes på nytt nå."))
    return ""


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 19 else None
