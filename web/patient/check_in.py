"""A check-in on the patient's phone: one question at a time, a look over the answers, and what happens now."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from fastapi.responses import Response

from companion.errors import Conflict, Invalid
from companion.rules.questionnaire import LONGEST_TEXT, Item, Value, address
from companion.use_cases import check_in
from web.house.deps import Db, Now, Page, Pages, Posted, Seen, Who, go, new_router
from web.house.security import access
from web.patient.words import PatientWords, Words

router = new_router()

# A page left open keeps the session awake; after this it has to be opened again.
WATCHED_FOR = timedelta(minutes=30)


@dataclass(frozen=True)
class Question:
    """A question in the reader's language. `lang` is the language it is really in; `kind` choice, number or text."""

    text: str
    lang: str
    hint: str | None
    notices: tuple[str, ...]
    kind: str
    options: tuple[Mapping[str, str | None], ...]
    numbers: range
    longest: int
    required: bool


@router.get("/patient/check-in/{check_in_id}")
@access("patient", "check_in", patient_data=True)
def go_on(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """To the question to go on with; when all are answered, to the look over them."""
    try:
        review = check_in.review(db, who, check_in_id, now=now)
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, seen, who.id)
    if review.unanswered:
        return go(f"/patient/check-in/{check_in_id}/{address(review.unanswered)}")
    return go(f"/patient/check-in/{check_in_id}/review")


@router.get("/patient/check-in/{check_in_id}/review")
@access("patient", "check_in", patient_data=True)
def review(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """All answers, to change or to send."""
    try:
        found = check_in.review(db, who, check_in_id, now=now)
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, seen, who.id)
    if found.unanswered:
        return go(f"/patient/check-in/{check_in_id}/{address(found.unanswered)}")
    seen(found.check_in.patient_id, "check_in.read", f"check_in:{check_in_id}")
    return _look_over(page, found, words)


@router.get("/patient/check-in/{check_in_id}/ending")
@access("patient", "check_in", patient_data=True)
def ending(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """What happens now, as it really stands."""
    try:
        found = check_in.ending(db, who, check_in_id, now=now)
    except Conflict as conflict:
        if conflict.code == "not_answered":
            return go(f"/patient/check-in/{check_in_id}")
        return _closed(conflict, check_in_id, page, seen, who.id)
    seen(found.check_in.patient_id, "check_in.read", f"check_in:{check_in_id}")
    return _end(page, found, words, now)


@router.get("/patient/check-in/{check_in_id}/ending/now")
@access("patient", "check_in", patient_data=True)
def ending_now(
    check_in_id: UUID,
    page: Page,
    db: Db,
    who: Who,
    now: Now,
    seen: Seen,
    words: Words,
    known: str = "",
    opened: int = 0,
) -> Response:
    """The changing part of the ending, for a page that stays open: nothing while nothing has changed."""
    found = check_in.ending(db, who, check_in_id, now=now)
    since = datetime.fromtimestamp(min(max(opened, 0), int(now.timestamp())), tz=now.tzinfo)
    if known == _version(found) and now - since < WATCHED_FOR:
        return Response(status_code=204)
    seen(found.check_in.patient_id, "check_in.read", f"check_in:{check_in_id}")
    watched = now - since < WATCHED_FOR
    return page("patient/_ending_now.html", words=words, **_ending(found, opened=since, watched=watched))


@router.get("/patient/check-in/{check_in_id}/{question}")
@access("patient", "check_in", patient_data=True)
def ask(
    check_in_id: UUID,
    question: str,
    page: Page,
    db: Db,
    who: Who,
    now: Now,
    seen: Seen,
    words: Words,
    to: str = "",
) -> Response:
    """One question, with the answer already given, if any."""
    try:
        found = check_in.page(db, who, check_in_id, question, now=now)
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, seen, who.id)
    seen(found.check_in.patient_id, "check_in.read", f"check_in:{check_in_id}")
    return _ask(page, found, words, to)


@router.post("/patient/check-in/{check_in_id}/send")
@access("patient", "check_in", patient_data=True)
def send(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen, words: Words) -> Response:
    """The answers are done. Sent twice is sent once. A script is answered with the ending itself."""
    try:
        found = check_in.finish(db, who, check_in_id, now=now)
    except Invalid:
        return go(f"/patient/check-in/{check_in_id}")
    except Conflict as conflict:
        return _closed(conflict, check_in_id, page, seen, who.id)
    seen(_own(who.id), "check_in.sent", f"check_in:{check_in_id}")
    if page.in_place:
        seen(_own(who.id), "check_in.read", f"check_in:{check_in_id}")
        return _end(page, found, words, now)
    return go(f"/patient/check-in/{check_in_id}/ending")


@router.post("/patient/check-in/{check_in_id}/postpone")
@access("patient", "check_in", patient_data=True)
def postpone(check_in_id: UUID, page: Page, db: Db, who: Who, now: Now, seen: Seen) -> Response:
    """Not today. The first page then says when we ask again."""
    try:
        check_in.postpone(db, who, check_in_id, now=now)
    except Conflict as conflict:
        if conflict.code == "postponed":
            return go("/patient")
        return _closed(conflict, check_in_id, page, seen, who.id)
    seen(_own(who.id), "check_in.postponed", f"check_in:{check_in_id}")
    return go("/patient")


@router.post("/patient/check-in/{check_in_id}/{question}")
@access("patient", "check_in", patient_data=True)
def answer(
    check_in_id: UUID,
    question: str,
    page: Page,
    db: Db,
    who: Who,
    now: Now,
    seen: Seen,
    fields: Posted,
    words: Words,
) -> Response:
    """Keeps the answer as given and goes on; when it does not do, the question again with what was typed.

    Whoever takes a pause finds what they had begun when they come back. A script is answered with what comes next itself.
    """
    if fields.get("pause"):
        page.drafts.keep()
        return go("/patient")
    given = [""] if fields.get("skip") else fields.all_of("answer")
    to = fields.get("to", "")
    try:
        kept = check_in.answer(db, who, check_in_id, question, given, now=now)
    except Conflict as conflict:
        page.drafts.keep(
            f"/patient/check-in/{check_in_id}{'/ending' if conflict.code == 'answered' else ''}#late"
        )
        return _closed(conflict, check_in_id, page, seen, who.id)
    except Invalid as wrong:
        found = check_in.page(db, who, check_in_id, question, now=now)
        seen(found.check_in.patient_id, "check_in.read", f"check_in:{check_in_id}")
        typed = given[-1] if given else ""
        return _ask(page, found, words, to, typed=typed, problem=wrong.problems["answer"])
    seen(_own(who.id), "check_in.answered", f"check_in:{check_in_id}")
    following = None if to == "review" else kept.following
    if page.in_place:
        seen(_own(who.id), "check_in.read", f"check_in:{check_in_id}")
        return _next(page, kept.sheet, following, words)
    return go(f"/patient/check-in/{check_in_id}" + (f"/{address(following)}" if following else ""))


def _next(page: Pages, sheet: check_in.Sheet, following: str | None, words: PatientWords) -> Response:
    """The question that follows; after the last, one that was left open, else the look over the answers."""
    review = sheet.review()
    if going_on := following or review.unanswered:
        return _ask(page, sheet.page(going_on), words)
    return _look_over(page, review, words)


def _ask(
    page: Pages,
    found: check_in.QuestionPage,
    words: PatientWords,
    to: str = "",
    *,
    typed: str = "",
    problem: str | None = None,
) -> Response:
    """A question; with a `problem` once more, with what was `typed`."""
    shown = _question(found, words, to)
    if problem is None:
        return page("patient/question.html", path=shown["action"], **shown)
    shown["value"] = typed
    shown["errors"] = {"answer": words.answer_problem(shown["question"], problem, typed)}
    return page("patient/question.html", status=422, **shown)


def _look_over(page: Pages, found: check_in.Review, words: PatientWords) -> Response:
    here = f"/patient/check-in/{found.check_in.id}"
    lines = [
        {
            "question": item.text.in_(words.lang),
            "answer": _said(item, value, words),
            "lang": item.text.language_for(words.lang),
            "href": f"{here}/{address(item.link_id)}?to=review",
        }
        for item, value in found.lines
    ]
    return page(
        "patient/review.html",
        path=f"{here}/review",
        id=found.check_in.id,
        lines=lines,
        urgency=found.urgency,
        crisis=found.crisis,
    )


def _end(page: Pages, found: check_in.Ending, words: PatientWords, now: datetime) -> Response:
    path = f"/patient/check-in/{found.check_in.id}/ending"
    page.drafts.under = f"/patient/check-in/{found.check_in.id}/"
    return page("patient/ending.html", path=path, words=words, **_ending(found, opened=now))


def _own(patient_id: UUID | None) -> UUID:
    return cast(UUID, patient_id)


def _closed(
    conflict: Conflict, check_in_id: UUID, page: Pages, seen: Seen, patient_id: UUID | None
) -> Response:
    """Answered already: what happens now. Too late: said kindly, with whom to call."""
    if conflict.code == "answered":
        return go(f"/patient/check-in/{check_in_id}/ending")
    seen(_own(patient_id), "check_in.read", f"check_in:{check_in_id}")
    return page("patient/too_late.html", path=f"/patient/check-in/{check_in_id}")


def _question(found: check_in.QuestionPage, words: PatientWords, to: str) -> dict[str, Any]:
    here = f"/patient/check-in/{found.check_in.id}"
    back = f"{here}/{address(found.previous_link_id)}" if found.previous_link_id else "/patient"
    return {
        "question": _shown(found.item, words),
        "action": f"{here}/{address(found.item.link_id)}",
        "at": found.number,
        "of": found.total,
        "back": f"{here}/review" if to == "review" else back,
        "to": "review" if to == "review" else "",
        "value": _as_typed(found.value),
        "urgency": found.urgency,
        "crisis": found.crisis,
        "saved": found.number > 1 or found.value is not None,
        "errors": {},
    }


def _shown(item: Item, words: PatientWords) -> Question:
    lang = words.lang
    if item.type == "boolean":
        options = words.yes_and_no()
    else:
        options = tuple(
            {"value": one.code, "word": one.text.in_(lang), "icon": one.icon} for one in item.options
        )
    numbers = item.type == "integer" and item.minimum is not None and item.maximum is not None
    return Question(
        text=item.text.in_(lang),
        lang=item.text.language_for(lang),
        hint=item.hint.in_(lang) if item.hint else None,
        notices=tuple(notice.in_(lang) for notice in item.notices),
        kind="choice" if options else "scale" if numbers else "number" if item.type == "integer" else "text",
        options=options,
        numbers=range(item.minimum or 0, (item.maximum or 0) + 1) if numbers else range(0),
        longest=item.max_length or LONGEST_TEXT,
        required=item.required,
    )


def _as_typed(value: Value | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _said(item: Item, value: Value | None, words: PatientWords) -> str | None:
    """The answer in the words of its card; None for a question passed by."""
    if value is None:
        return None
    typed = _as_typed(value)
    card = next((one for one in _shown(item, words).options if one["value"] == typed), None)
    return card["word"] if card else typed


def _ending(found: check_in.Ending, *, opened: datetime, watched: bool = True) -> dict[str, Any]:
    waiting = any(step.state != "closed" for step in found.steps)
    watch = f"known={_version(found)}&opened={int(opened.timestamp())}" if waiting and watched else None
    return {"ending": found, "watch": watch}


def _version(found: check_in.Ending) -> str:
    """Changes when somebody has seen or closed something."""
    told = "|".join(
        f"{step.unit.id}{step.state}{step.who.id if step.who else ''}{step.respond_by}{step.late}{step.outcome}"
        for step in found.steps
    )
    return hashlib.sha256(told.encode()).hexdigest()[:12]
