"""The questions of a check-in asked by staff on the telephone: one page with all of them, and what the answers led to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion.errors import Conflict, Invalid
from companion.models import CheckIn, Flag
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.rules.questionnaire import LONGEST_TEXT, Item, address
from companion.use_cases import check_in
from web.desk.words import Say, Sentences
from web.house.deps import Db, Fields, Now, Page, Pages, Posted, Seen, Who, go, new_router
from web.house.security import access
from web.house.words import _

router = new_router()

_PROBLEMS: Mapping[str, str] = {
    "new": _("Nytt spørsmål etter det som ble svart. Still det også."),
    "required": _("Dette må ha et svar."),
    "too_long": _("Teksten er for lang. Det er plass til %(longest)s tegn."),
}


@dataclass(frozen=True)
class Question:
    """A question as it is read aloud. `kind`: choice, select, number or text; `steers`: its answer may bring other questions."""

    name: str
    text: str
    lang: str
    hint: str | None
    notices: tuple[str, ...]
    kind: str
    options: tuple[tuple[str, str], ...]
    value: str
    required: bool
    steers: bool


@dataclass(frozen=True)
class Section:
    """Questions that belong together."""

    title: str
    questions: tuple[Question, ...]


@router.get("/staff/check-ins/{check_in_id}")
@access("professional", Level.high, patient_data=True)
def ask(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, say: Say) -> Response:
    """All questions, with what has been answered already, or typed and not saved."""
    kept = page.drafts(f"/staff/check-ins/{check_in_id}")
    try:
        form = check_in.phone_form(db, who, check_in_id, _typed(kept) if kept else None, now=now)
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, db, who, now, seen, say)
    seen(form.check_in.patient_id, "check_in.phone", f"check_in:{check_in_id}")
    return _form(form, page, say, {})


@router.post("/staff/check-ins/{check_in_id}")
@access("professional", Level.high, patient_data=True)
def answer(
    check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, say: Say, fields: Posted
) -> Response:
    """Keeps the answers of the call; or, with `do=show`, only shows the questions that come with them."""
    typed = _typed(fields)
    problems: Mapping[str, str] = {}
    try:
        if fields.get("do") != "show":
            with db.begin_nested():
                found = check_in.answer_by_phone(db, who, check_in_id, typed, now=now)
            seen(found.check_in.patient_id, "check_in.phone", f"check_in:{check_in_id}")
            return go(f"/staff/check-ins/{check_in_id}/ending")
    except Invalid as invalid:
        problems = invalid.problems
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, db, who, now, seen, say, lost=True)
    try:
        form = check_in.phone_form(db, who, check_in_id, typed, now=now)
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, db, who, now, seen, say, lost=True)
    seen(form.check_in.patient_id, "check_in.phone", f"check_in:{check_in_id}")
    return _form(form, page, say, problems)


@router.get("/staff/check-ins/{check_in_id}/ending")
@access("professional", Level.high, patient_data=True)
def ending(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, say: Say) -> Response:
    """What the answers led to, as it stands: which cases, and whose."""
    try:
        found = check_in.ending(db, who, check_in_id, now=now)
    except Conflict as conflict:
        if conflict.code == "not_answered":
            return go(f"/staff/check-ins/{check_in_id}")
        return _closed(conflict, check_in_id, page, db, who, now, seen, say)
    return _ending(found, page, db, seen, say)


def _typed(fields: Fields) -> dict[str, str]:
    """What was typed at every question the page showed; a choice nobody made is not posted by browsers."""
    return {name: fields.get(name, "") for name in fields.get("shown", "").split()}


def _form(form: check_in.PhoneForm, page: Pages, say: Sentences, problems: Mapping[str, str]) -> Response:
    items = {address(item.link_id): item for item, _value in form.lines}
    return page(
        "desk/phone_check_in.html",
        status=422 if problems else 200,
        form=form,
        patient=form.check_in.patient,
        label=say.check_in(form.check_in.plan.template, form.check_in.day),
        sections=_sections(form, say),
        shown=" ".join(items),
        errors={name: _problem(items[name], code, say) for name, code in problems.items()},
    )


def _problem(item: Item, code: str, say: Sentences) -> str:
    if code not in _PROBLEMS:
        return say.problem("answer", code)
    sentence = _PROBLEMS[code]
    return say(sentence, longest=item.max_length or LONGEST_TEXT) if "%" in sentence else say(sentence)


def _sections(form: check_in.PhoneForm, say: Sentences) -> list[Section]:
    """How the person is, each measure, and the rest, in the order they are asked."""
    titles = {str(measure_id): title for measure_id, title in form.titles.items()}
    parts = groupby(form.lines, key=lambda line: _measure(line[0]))
    sections: list[Section] = []
    for measure, lines in parts:
        title = titles.get(measure) if measure else None
        first = say(_("Mer om hvordan det går")) if sections else say(_("Hvordan det går"))
        questions = tuple(_question(item, value, form.steering, say) for item, value in lines)
        sections.append(Section(title or first, questions))
    return sections


def _measure(item: Item) -> str:
    parts = item.link_id.split(".")
    return parts[1] if parts[0] == "measure" and len(parts) > 2 else ""


def _question(item: Item, value: str, steering: frozenset[str], say: Sentences) -> Question:
    kind, options = _kind(item, say)
    if options and not item.required:
        options = (*options, ("", say(_("Ikke svart"))))
    return Question(
        name=address(item.link_id),
        text=say.text(item.text),
        lang=item.text.language_for(say.lang),
        hint=say.text(item.hint) if item.hint else None,
        notices=tuple(say.text(notice) for notice in item.notices),
        kind=kind,
        options=options,
        value=value,
        required=item.required,
        steers=item.link_id in steering,
    )


def _kind(item: Item, say: Sentences) -> tuple[str, tuple[tuple[str, str], ...]]:
    if item.type == "boolean":
        return "choice", (("true", say(_("Ja"))), ("false", say(_("Nei"))))
    if item.options:
        return "choice", tuple((one.code, say.text(one.text)) for one in item.options)
    if item.type != "integer":
        return "text", ()
    if item.minimum is None or item.maximum is None:
        return "number", ()
    numbers = range(item.minimum, item.maximum + 1)
    unmade = (("", say(_("Velg …"))),) if item.required else ()
    return "select", (*unmade, *((str(number), str(number)) for number in numbers))


def _ending(
    found: check_in.Ending, page: Pages, db: Session, seen: Seen, say: Sentences, *, status: int = 200
) -> Response:
    one = found.check_in
    seen(one.patient_id, "check_in.read", f"check_in:{one.id}")
    return page(
        "desk/phone_ending.html",
        status=status,
        ending=found,
        patient=one.patient,
        label=say.check_in(one.plan.template, one.day),
        steps=[(step, _reasons(step.flags, found.titles, say)) for step in found.steps],
        still_open=[(raised, say.flag(raised)) for raised in _still_open(db, one)],
        next_at=say.when(local_day(found.next.at)) if found.next else None,
        lost=status != 200,
    )


def _reasons(flags: Sequence[Flag], titles: Mapping[UUID, str], say: Sentences) -> list[tuple[Flag, str]]:
    return [
        (raised, say.flag(raised, titles.get(raised.measure_id) if raised.measure_id else None))
        for raised in flags
    ]


def _still_open(db: Session, one: CheckIn) -> Sequence[Flag]:
    """What was raised about the asking and is for a human to end."""
    return db.scalars(
        select(Flag)
        .where(
            Flag.check_in_id == one.id,
            Flag.code.in_(check_in.BEFORE_ANSWER),
            Flag.state.in_(("open", "claimed")),
        )
        .order_by(Flag.rank, Flag.opened_at, Flag.id)
        .options(joinedload(Flag.unit, innerjoin=True), joinedload(Flag.claimed_by))
    ).all()


def _closed(
    conflict: Conflict,
    check_in_id: UUID,
    page: Pages,
    db: Session,
    who: Actor,
    now: datetime,
    seen: Seen,
    say: Sentences,
    *,
    lost: bool = False,
) -> Response:
    """Answered already: what it led to, and whether what was typed now is lost. Else why it cannot be asked."""
    if conflict.code == "answered":
        found = check_in.ending(db, who, check_in_id, now=now)
        # The same form sent twice is no news to whoever sent it.
        mine = found.written_by is not None and found.written_by.id == who.id
        return _ending(found, page, db, seen, say, status=409 if lost and not mine else 200)
    one = db.get_one(CheckIn, check_in_id)
    seen(one.patient_id, "check_in.phone", f"check_in:{check_in_id}")
    return page(
        "desk/phone_closed.html",
        status=409,
        patient=one.patient,
        label=say.check_in(one.plan.template, one.day),
        why=say.conflict(conflict.code, None),
    )
