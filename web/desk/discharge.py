"""A person goes home: the form with what they will get beside it, and the sheet they take with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi.responses import HTMLResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from companion import library
from companion.errors import Conflict, Invalid, NotFound
from companion.models import Message, Patient, Stay, Unit
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.rules.texts import LANGUAGES
from companion.settings import Settings
from companion.use_cases.check_in import coming, sample, speaks
from companion.use_cases.going_home import discharge
from companion.use_cases.messages import contact
from companion.use_cases.passport import lines as passport
from companion.use_cases.people.reach import patient_of
from companion.use_cases.people.typed import clean, clean_lines, phone_number
from companion.use_cases.relatives import share
from companion.use_cases.sign_in import Words
from notifications.channels.sms.words import segments, word
from notifications.settings import Settings as PostSettings
from web.desk import discharge_form as forms
from web.desk.discharge_form import DischargeForm
from web.desk.grants import read_grant
from web.desk.words import Say, Sentences, choices
from web.desk.words.letters import ANSWERS_BY_SMS, CONTACT_WAYS
from web.desk.words.measures import OWNERS
from web.desk.words.passport import SCOPES
from web.house import pages
from web.house.deps import Db, Now, Page, Posted, Seen, TheHouse, Who, go, new_router
from web.house.security import access
from web.house.words import _

router = new_router()

FORM = "/staff/discharge"
# As long as a real one, so that the number of SMS parts is true; shown shortened.
_TOKEN = "x7Kq" + "x" * 18
_SAMPLE = Words(token=_TOKEN, code="481226")


@router.get("/staff/discharge")
@access("professional", Level.high)
def new(db: Db, who: Who, now: Now, page: Page, say: Say, house: TheHouse) -> HTMLResponse:
    """An empty form, or the one that was begun and not saved."""
    wards, kept = _wards(db, who), page.drafts(FORM)
    form = forms.read_form(kept) if kept else forms.empty_form(wards[0].key if wards else "", local_day(now))
    return page("desk/discharge.html", **_whole(form, wards, {}, say, now, house.settings))


@router.post("/staff/discharge")
@access("professional", Level.high, patient_data=True)
def save(
    db: Db, who: Who, now: Now, posted: Posted, page: Page, say: Say, seen: Seen, house: TheHouse
) -> Response:
    """Saves it all at once; or, for the form's other buttons, shows the form as it would now look."""
    wards, form = _wards(db, who), forms.read_form(posted)
    errors: dict[str, str] = {}
    status = 200
    if "remove" in posted:
        form = form.without_row(posted["remove"])
    elif posted.get("do") == "add":
        form = form.with_row()
    elif posted.get("do") == "fill" and house.demo and wards:
        form = forms.kari_form(wards[0].key, local_day(now))
    elif posted.get("do") != "preview":
        form = form.tidy()
        try:
            stay = _record(db, who, form, house.settings, now)
        except Invalid as problem:
            errors, status = _in_order(say.problems(problem.problems)), 422
        except Conflict as problem:
            errors, status = {"national_id": say.conflict(problem.code, problem.who)}, 409
        else:
            seen(stay.patient_id, "discharged", f"stay:{stay.id}")
            if contact.agree_to_sms(db, who, stay.patient_id, form.agreed_to_sms, now=now):
                seen(stay.patient_id, "contact.sms_agreed" if form.agreed_to_sms else "contact.sms_ended")
            return go(f"/staff/stays/{stay.id}/sheet")
    return page("desk/discharge.html", status=status, **_whole(form, wards, errors, say, now, house.settings))


@router.post("/staff/discharge/preview")
@access("professional", Level.high)
def preview(now: Now, posted: Posted, page: Page, say: Say, house: TheHouse) -> HTMLResponse:
    """The right column alone, while the form is being filled in; what is typed is kept by its own script, not by this."""
    page.drafts.settled = True
    return page("desk/_discharge_gets.html", **_gets(forms.read_form(posted), say, now, house.settings))


@router.get("/staff/stays/{stay_id}/sheet")
@access("professional", Level.high, patient_data=True)
def sheet(
    stay_id: UUID, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, house: TheHouse
) -> HTMLResponse:
    """What the person takes home on paper: the measures by number, whom to call, what a genuine message looks like."""
    stay = (
        db.scalars(
            select(Stay).where(Stay.id == stay_id).options(joinedload(Stay.ward), joinedload(Stay.measures))
        )
        .unique()
        .one_or_none()
    )
    if stay is None:
        raise NotFound("stay")
    patient = patient_of(db, who, stay.patient_id, now=now)
    shown = passport.read(db, who, patient.id, now=now)
    seen(patient.id, "printed", f"stay:{stay.id}")
    mine = Sentences(patient.language if patient.language != "se" else "nb", now)
    return page(
        "desk/sheet.html",
        stay=stay,
        patient=patient,
        call=shown.whom_to_call,
        coming=coming(db, stay.plan.check_ins, now),
        by_sms=speaks(patient),
        sms=_text("check_in", patient.name, patient.language, mine, house.settings),
        sms_questions=_questions(
            patient.name, patient.language, [one.number for one in stay.measures], mine, house.settings
        ),
        say=mine,
        paper_lang=mine.lang,
        by_call=patient.contact_by == "call",
    )


def _record(db: Session, who: Actor, form: DischargeForm, settings: Settings, now: datetime) -> Stay:
    """The discharge, the consent and the first lines, or nothing of it and `Invalid` with every problem."""
    today = local_day(now)
    problems: dict[str, str] = {}
    new: discharge.Discharge | None = None
    try:
        new = discharge.check(db, form.fields, form.drafts(), settings=settings, today=today)
    except Invalid as problem:
        problems |= problem.problems
    if form.fields["contact_by"] not in contact.WAYS:
        problems["contact_by"] = "not_a_way"
    draft, faults = read_grant(form.relative, form.scopes, now) if form.has_relative else (None, {})
    problems |= {f"relative.{field}": code for field, code in faults.items()}
    lines = {
        section: written for section in forms.FIRST_LINES if (written := clean_lines(form.lines[section]))
    }
    problems |= {
        section: "too_long" for section, written in lines.items() if len(written) > passport.LONGEST_LINE
    }
    if problems or new is None:
        raise Invalid(problems)
    with db.begin_nested():
        stay = discharge.discharge(db, who, new, now=now).stay
        if form.fields["contact_by"] == "call":
            contact.change_contact(db, who, stay.patient_id, new.phone, "call", now=now)
        if draft:
            share.give(db, who, stay.patient_id, draft, now=now)
        for section, written in lines.items():
            passport.write_line(db, who, stay.patient_id, section, written, False, now=now)
    return stay


def _wards(db: Session, who: Actor) -> list[Unit]:
    """The wards one may discharge from, the one chosen at sign-in first."""
    found = db.scalars(
        select(Unit)
        .where(Unit.id.in_(who.unit_ids), Unit.kind.in_(("ward", "private_rehab")))
        .order_by(Unit.name)
    )
    return sorted(found, key=lambda unit: unit.id != who.unit_id)


def _whole(
    form: DischargeForm,
    wards: list[Unit],
    errors: dict[str, str],
    say: Sentences,
    now: datetime,
    settings: Settings,
) -> dict[str, Any]:
    nothing = ("", say(_("Velg …")))
    places = sorted(library.municipalities().values(), key=lambda one: one.name)
    return _gets(form, say, now, settings) | {
        "errors": errors,
        "place": FORM,
        "row_errors": forms.row_errors,
        "wards": [(unit.key, unit.name) for unit in wards],
        "municipalities": [nothing, *((one.number, f"{one.name} ({one.number})") for one in places)],
        "templates": [nothing, *((key, say.template(key)) for key in library.plan_templates())],
        "owners": choices(OWNERS, say),
        "contact_ways": [{"value": way, "word": say(CONTACT_WAYS[way])} for way in contact.WAYS],
        "sms_choice": [{"value": "yes", "word": say(ANSWERS_BY_SMS[0]), "by": say(ANSWERS_BY_SMS[1])}],
        "scopes": [{"value": key, "word": say(word), "by": say(by)} for key, (word, by) in SCOPES.items()],
    }


def _gets(form: DischargeForm, say: Sentences, now: datetime, settings: Settings) -> dict[str, Any]:
    """The right column: real dates, and the real words in the person's own language."""
    number = phone_number(form.fields["phone"])
    by_call = form.fields["contact_by"] == "call" or bool(number and number.landline)
    template = form.fields["template"]
    tag = say(_("Telefon")) if by_call else "SMS"
    lines = [
        line for line in discharge.preview(form.fields, now=now) if not (by_call and line.kind == "welcome")
    ]
    hours = {pages.say_hhmm(line.at, lang=say.lang) for line in lines}
    hour = hours.pop() if len(hours) == 1 else ""
    gets = [
        {
            "on": line.at,
            "clock": "" if hour else line.at,
            "what": say(_("Velkommen hjem")) if line.kind == "welcome" else say.check_in(template, line.day),
            "tag": tag,
        }
        for line in lines
    ]
    language = form.fields["language"] if form.fields["language"] in LANGUAGES else "nb"
    name = form.fields["name"]
    texts = [_text("welcome", name, language, say, settings)]
    if form.agreed_to_sms:
        points = range(1, 1 + sum(not row.blank for row in form.rows))
        texts += _questions(name, language, points, say, settings)
    else:
        texts.append(_text("check_in", name, language, say, settings))
    return {"form": form, "coming": gets, "texts": texts, "by_call": by_call, "hour": hour}


def _questions(
    name: str, language: str, points: Sequence[int], say: Sentences, settings: Settings
) -> list[dict[str, Any]]:
    """The first questions of a check-in by SMS: how things are, then the first point of the sheet."""
    total = len(points) + 3
    asked = [_text("question", name, language, say, settings, sample("how", number=1, total=total))]
    if points:
        point = sample("started", point=points[0], number=2, total=total)
        asked.append(_text("next_question", name, language, say, settings, point))
    return asked


def _text(
    kind: str,
    name: str,
    language: str,
    say: Sentences,
    settings: Settings,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A message as it will be worded, its link shortened for the eye."""
    person = Patient(name=clean(name), language=language) if clean(name) else None
    letter = Message(kind=kind, language=language, params=dict(params or {}), patient=person)
    text = word(
        letter,
        _SAMPLE,
        public_url=settings.public_url,
        product=settings.product_name,
        institution=PostSettings().institution,
    )
    what = {
        "welcome": say(_("Første dag")),
        "check_in": say(_("Hver oppfølging")),
        "question": say(_("Hver oppfølging")),
        "next_question": say(_("Så kommer neste spørsmål")),
    }[kind]
    return {
        "lang": language,
        "text": text.replace(_TOKEN, "x7Kq…"),
        "parts": segments(text),
        "what": what,
    }


def _in_order(errors: dict[str, str]) -> dict[str, str]:
    """As the form has them, from the top."""
    order = [
        "name",
        "national_id",
        "phone",
        "municipality_number",
        "language",
        "contact_by",
        "discharged_on",
        "template",
        "ward",
        "hour",
    ]
    last = len(order)

    def place(field: str) -> tuple[int, str]:
        if field in order:
            return order.index(field), ""
        return last + ("measures", "relative").index(field.split(".")[0]) if "." in field else last + 9, field

    return dict(sorted(errors.items(), key=lambda error: place(error[0])))
