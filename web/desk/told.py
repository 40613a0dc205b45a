"""How somebody of ours wants to hear of what waits: their own page, with a trial."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

from fastapi.responses import HTMLResponse, JSONResponse, Response

from companion.errors import Invalid
from companion.models import Message
from companion.rules.access import Level
from companion.rules.delivery_codes import explain
from companion.use_cases.cases.duty import send_test
from companion.use_cases.people import duty
from notifications.channels.push import devices, work
from web.desk.words import Say, Sentences
from web.desk.words.duty import DUTY_HOURS, DUTY_WAYS
from web.desk.words.letters import MESSAGE_STATES
from web.house.deps import Db, House, Now, Page, Pages, Posted, TheHouse, Who, go, new_router
from web.house.security import access

router = new_router()


@router.get("/staff/told")
@access("professional", Level.high)
def settings(db: Db, who: Who, page: Page, say: Say, house: TheHouse, done: str = "") -> HTMLResponse:
    """What is chosen, and how the latest trial went."""
    return _settings(duty.chosen(db, who), page, say, house, done=done)


@router.post("/staff/told")
@access("professional", Level.high)
def save(db: Db, who: Who, now: Now, page: Page, say: Say, house: TheHouse, fields: Posted) -> Response:
    """Keeps the choice; what does not do stays typed."""
    typed = {name: fields.get(name, "") for name in ("way", "phone", "email", "hours")}
    try:
        duty.choose(db, who, **typed, now=now)
    except Invalid as invalid:
        errors = {name: say.problem(name, code) for name, code in invalid.problems.items()}
        return _settings(duty.chosen(db, who), page, say, house, typed=typed, errors=errors)
    return go("/staff/told?done=saved")


@router.post("/staff/told/test")
@access("professional", Level.high)
def test(db: Db, who: Who, now: Now) -> Response:
    """Sends a trial, the way that is chosen."""
    sent = send_test(db, cast(UUID, who.id), now=now)
    return go("/staff/told?done=test" if sent else "/staff/told")


@router.post("/staff/told/device")
@access("professional", Level.high)
def phone(db: Db, who: Who, now: Now, house: TheHouse, fields: Posted) -> Response:
    """This phone takes push from now on, or still does."""
    sent = devices.read(
        fields.get("endpoint", ""),
        fields.get("p256dh", ""),
        fields.get("auth", ""),
        loopback=house.settings.allow_loopback,
    )
    work.add(db, cast(UUID, who.id), sent, now=now)
    return JSONResponse({})


@router.delete("/staff/told/device")
@access("professional", Level.high)
def no_phone(db: Db, who: Who, fields: Posted) -> Response:
    """This phone takes push no more."""
    if endpoint := fields.get("endpoint", ""):
        work.remove(db, cast(UUID, who.id), endpoint)
    return JSONResponse({})


@router.post("/staff/told/off")
@access("professional", Level.high)
def no_phones(db: Db, who: Who) -> Response:
    """None of the person's phones takes push any more: for one that is lost."""
    work.remove(db, cast(UUID, who.id))
    return go("/staff/told")


def _settings(
    chosen: duty.Choice,
    page: Pages,
    say: Sentences,
    house: House,
    *,
    done: str = "",
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> HTMLResponse:
    offered = {"none", "sms", chosen.way} | ({"mail"} if house.mails else set())
    offered |= {"push"} if house.push_key else set()
    return page(
        "desk/told.html",
        status=422 if errors else 200,
        done=done,
        errors=errors or {},
        chosen=chosen,
        typed=typed or {name: getattr(chosen, name) for name in ("way", "phone", "email", "hours")},
        ways=[
            {"value": key, "word": say(word), "by": say(by)}
            for key, (word, by) in DUTY_WAYS.items()
            if key in offered
        ],
        hours=[{"value": key, "word": say(word), "by": say(by)} for key, (word, by) in DUTY_HOURS.items()],
        mails="mail" in offered,
        trial=_became(chosen.test, say) if chosen.test else None,
    )


def _became(trial: Message, say: Sentences) -> tuple[str, str, str]:
    """When it was asked for, what came of it, and how good that is."""
    word, tone = say.pair(MESSAGE_STATES, trial.state)
    failed = trial.error_code if trial.state in ("failed", "undelivered") else None
    return say.when(trial.created_at), f"{word}: {say(explain(failed).why)}" if failed else word, tone
