"""One patient's case: what is known, what happened, and what the desk does about it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from companion import worklists
from companion.errors import Conflict, Invalid, NotFound
from companion.models import Flag, Grant, PatientUnit, Unit
from companion.rules.access import Actor, Level
from companion.rules.cadence import local_day
from companion.use_cases.cases import flag
from companion.use_cases.check_in import coming, may_be_phoned, speaks
from companion.use_cases.going_home import plan
from companion.use_cases.messages import contact
from companion.use_cases.people.reach import patient_of
from companion.use_cases.relatives import share
from companion.worklists.patient_case import Case
from notifications.ways import Ways
from web.desk import letters
from web.desk.grants import read_date, read_grant
from web.desk.timeline import timeline
from web.desk.words import Say, Sentences, choices
from web.desk.words.cases import OUTCOMES
from web.desk.words.letters import ANSWERS_BY_SMS, CONTACT_WAYS, MESSAGE_KINDS, PHONE_STATES
from web.desk.words.measures import MEASURE_STATES, REASONS
from web.desk.words.passport import SCOPES
from web.desk.words.plans import CHECK_IN_STATES, PLAN_REASONS, PLAN_STATES
from web.house.deps import Db, Now, Page, Posted, Seen, TheHouse, Who, go, new_router
from web.house.posted import read_uuid
from web.house.security import access
from web.house.words import _

router = new_router()

FlagVerb = Literal["claim", "release", "note", "contact", "close", "move", "renew"]
Doing = Callable[[], object]
_A_DAY = timedelta(days=1)
SHOWN_LETTERS = 3


class Desk:
    """What every route of a case needs: does something, then goes back to the case, or shows it again with what was wrong."""

    def __init__(
        self, db: Db, who: Who, now: Now, page: Page, say: Say, seen: Seen, posted: Posted, house: TheHouse
    ) -> None:
        self.db, self.who, self.now = db, who, now
        self.page, self.say, self.seen, self.posted = page, say, seen, posted
        self.ways = house.ways

    def show(
        self,
        patient_id: UUID,
        *,
        status: int = 200,
        panel: str = "",
        errors: Mapping[str, str] | None = None,
        notice: str = "",
    ) -> HTMLResponse:
        """The case. `panel` names the form that `errors` are about."""
        case = worklists.case(self.db, self.who, patient_id, now=self.now)
        self.seen(patient_id, "case.read")
        context = _context(self.db, self.who, case, self.say, self.now, self.ways)
        errors = {f"{panel}.{field}": said for field, said in (errors or {}).items()}
        return self.page(
            "desk/case.html",
            status=status,
            panel=panel,
            errors=errors,
            typed=self.posted,
            notice=notice,
            say=self.say,
            **context,
        )

    def do(
        self, patient_id: UUID, panel: str, action: str, doing: Doing, to: str, thing: str = ""
    ) -> Response:
        """Does it, writes it down, and goes on to `to`."""
        try:
            with self.db.begin_nested():
                doing()
        except Invalid as problem:
            errors = self.say.problems(problem.problems)
            return self.show(patient_id, status=422, panel=panel, errors=errors)
        except Conflict as problem:
            said = self.say.conflict(problem.code, problem.who)
            return self.show(patient_id, status=409, notice=said)
        self.seen(patient_id, action, thing)
        return go(to)


At = Annotated[Desk, Depends(Desk)]


@router.get("/staff/patients/{patient_id}")
@access("professional", Level.high, patient_data=True)
def case(patient_id: UUID, desk: At) -> HTMLResponse:
    """Everything about one patient."""
    return desk.show(patient_id)


# --- flags ------------------------------------------------------------------------------------------------------------


@router.post("/staff/flags/{flag_id}/{verb}")
@access("professional", Level.high, patient_data=True)
def handle_flag(flag_id: UUID, verb: FlagVerb, desk: At) -> Response:
    """Takes, puts back, notes, records a call, closes, moves or gives more time to a flag."""
    found = flag.find(desk.db, desk.who, flag_id, now=desk.now)
    patient_id = found.patient_id
    back = "/staff" if verb in ("close", "move") else f"/staff/patients/{patient_id}#flag-{flag_id}"
    return desk.do(
        patient_id,
        f"flag-{flag_id}-{verb}",
        f"flag.{verb}",
        lambda: _do_flag(desk, flag_id, verb),
        back,
        thing=f"flag:{flag_id}",
    )


def _do_flag(desk: Desk, flag_id: UUID, verb: FlagVerb) -> None:
    db, who, now, posted = desk.db, desk.who, desk.now, desk.posted
    text = posted.get("text", "")
    if verb == "claim":
        flag.claim(db, who, flag_id, now=now)
    elif verb == "release":
        flag.release(db, who, flag_id, now=now)
    elif verb == "note":
        flag.note(db, who, flag_id, text, now=now)
    elif verb == "contact":
        how = posted.get("how", "phone")
        flag.contact(db, who, flag_id, how, posted.get("reached") == "yes", text, now=now)
    elif verb == "close":
        flag.close(db, who, flag_id, posted.get("outcome", ""), text, now=now)
    elif verb == "renew":
        day = read_date(posted.get("until", ""))
        flag.renew(db, who, flag_id, day, posted.get("reason", ""), now=now)
    else:
        unit = read_uuid(posted.get("unit", ""))
        if unit is None:
            raise Invalid({"unit": "missing"})
        flag.move(db, who, flag_id, unit, posted.get("reason", ""), now=now)


# --- the plan ---------------------------------------------------------------------------------------------------------


@router.post("/staff/patients/{patient_id}/plan")
@access("professional", Level.high, patient_data=True)
def change_plan(patient_id: UUID, desk: At) -> Response:
    """Readmitted, paused, resumed."""
    db, who, now, posted = desk.db, desk.who, desk.now, desk.posted
    verbs: dict[str, Doing] = {
        "readmit": lambda: plan.readmit(db, who, patient_id, now=now),
        "pause": lambda: plan.pause(db, who, patient_id, posted.get("reason", ""), now=now),
        "resume": lambda: plan.resume(db, who, patient_id, now=now),
    }
    verb = posted.get("do", "")
    if verb not in verbs:
        raise NotFound("plan")
    return desk.do(
        patient_id, f"plan-{verb}", f"plan.{verb}", verbs[verb], f"/staff/patients/{patient_id}#plan"
    )


@router.post("/staff/patients/{patient_id}/death")
@access("professional", Level.high, patient_data=True)
def register_death(patient_id: UUID, desk: At) -> Response:
    """The patient has died: everything towards them stops."""

    def doing() -> None:
        typed = desk.posted.get("died_on", "")
        day = read_date(typed)
        if day is None:
            raise Invalid({"died_on": "not_a_date" if typed.strip() else "missing"})
        plan.register_death(desk.db, desk.who, patient_id, day, now=desk.now)

    return desk.do(patient_id, "death", "plan.died", doing, f"/staff/patients/{patient_id}#plan")


@router.post("/staff/patients/{patient_id}/contact")
@access("professional", Level.high, patient_data=True)
def change_contact(patient_id: UUID, desk: At) -> Response:
    """Another number, another way to be reached, or whether the person answers by SMS itself."""
    phone, way = desk.posted.get("phone", ""), desk.posted.get("contact.contact_by", "")
    by_sms = desk.posted.get("contact.answers_by_sms") == "yes"

    def doing() -> None:
        before = patient_of(desk.db, desk.who, patient_id, now=desk.now).sms_agreed_at
        after = contact.change_contact(
            desk.db, desk.who, patient_id, phone, way, answers_by_sms=by_sms, now=desk.now
        ).sms_agreed_at
        if (before is None) != (after is None):
            desk.seen(patient_id, "contact.sms_agreed" if after else "contact.sms_ended")

    return desk.do(patient_id, "contact", "contact.changed", doing, f"/staff/patients/{patient_id}#contact")


# --- relatives --------------------------------------------------------------------------------------------------------


@router.post("/staff/patients/{patient_id}/relatives")
@access("professional", Level.high, patient_data=True)
def add_relative(patient_id: UUID, desk: At) -> Response:
    """Consent on paper, registered by the person asking."""

    def doing() -> None:
        draft, problems = read_grant(desk.posted, desk.posted.all_of("relative.scopes"), desk.now)
        if problems:
            raise Invalid(problems)
        share.give(desk.db, desk.who, patient_id, draft, now=desk.now)

    return desk.do(patient_id, "relative", "grant.given", doing, f"/staff/patients/{patient_id}#relatives")


@router.post("/staff/patients/{patient_id}/relatives/{grant_id}/withdraw")
@access("professional", Level.high, patient_data=True)
def withdraw_grant(patient_id: UUID, grant_id: UUID, desk: At) -> Response:
    """The patient does not want it any more."""
    return desk.do(
        patient_id,
        "withdraw",
        "grant.withdrawn",
        lambda: share.withdraw(desk.db, desk.who, grant_id, now=desk.now),
        f"/staff/patients/{patient_id}#relatives",
        thing=f"grant:{grant_id}",
    )


# --- what the page shows ----------------------------------------------------------------------------------------------


def _context(
    db: Session, who: Actor, case: Case, say: Sentences, now: datetime, ways: Ways
) -> dict[str, Any]:
    today = local_day(now)
    titles = {measure.id: measure.title for measure in case.measures}
    units = _units(db, case.patient.id, now)
    return {
        "case": case,
        "patient": case.patient,
        "flags": [_case_of(raised, case.open_flags, titles, who, say) for raised in _leads(case.open_flags)],
        "coming": [
            *((one, one.asked_at) for one in case.check_ins if one.state == "asked"),
            *((one.check_in, one.at) for one in coming(db, case.check_ins, now)),
        ],
        "items": timeline(case, say),
        "letters": [
            (one, say(MESSAGE_KINDS[one.kind]), letters.became(one, say, ways))
            for one in case.letters[:SHOWN_LETTERS]
        ],
        "grants": [
            {
                "grant": grant,
                "last_day": share.last_day(grant),
                "holds": grant.withdrawn_at is None and now < grant.valid_until,
            }
            for grant in _grants(db, case.patient.id)
        ],
        "units": units,
        "follows": any(unit.id in who.unit_ids for unit in units),
        "meetings": [one for one in case.meetings if one.state == "offered" and one.starts_at > now - _A_DAY],
        "outcomes": [("", say(_("Velg …"))), *choices(OUTCOMES, say)],
        "reasons": [(key, say(PLAN_REASONS[key])) for key in plan.PAUSE_REASONS if key != "readmitted"],
        "answers_by_sms": speaks(case.patient),
        "asked_by_sms": contact.asked_by_sms(case.patient),
        "sms_choice": [{"value": "yes", "word": say(ANSWERS_BY_SMS[0]), "by": say(ANSWERS_BY_SMS[1])}],
        "contact_ways": [{"value": way, "word": say(CONTACT_WAYS[way])} for way in contact.WAYS],
        "scopes": [{"value": key, "word": say(word), "by": say(by)} for key, (word, by) in SCOPES.items()],
        "plan_word": say.pair(PLAN_STATES, case.plan.state),
        "phone_word": say.pair(PHONE_STATES, case.patient.phone_state),
        "way_word": say(CONTACT_WAYS[case.patient.contact_by]),
        "states": MEASURE_STATES,
        "check_in_states": CHECK_IN_STATES,
        "reason_words": REASONS,
        "measure_states": {one.id: say.pair(MEASURE_STATES, one.status) for one in case.measures},
        "today": today,
        "may_ask": {one.id for one in case.check_ins if may_be_phoned(one, now)},
    }


def _leads(flags: Sequence[Flag]) -> list[Flag]:
    """The gravest flag of each case, in the order they came."""
    first: dict[object, Flag] = {}
    for raised in flags:
        first.setdefault(_same_case(raised), raised)
    return list(first.values())


def _same_case(raised: Flag) -> object:
    return (raised.check_in_id, raised.unit_id) if raised.check_in_id else raised.id


def _case_of(
    lead: Flag, flags: Sequence[Flag], titles: Mapping[UUID, str], who: Actor, say: Sentences
) -> dict[str, Any]:
    """A case: its gravest flag, and what else the same answers said."""

    def words(raised: Flag) -> str:
        return say.flag(raised, titles.get(raised.measure_id) if raised.measure_id else None)

    rest = [one for one in flags if one is not lead and _same_case(one) == _same_case(lead)]
    events = (event for one in (lead, *rest) for event in one.events if event.kind in ("note", "contact"))
    own = (event for event in lead.events if event.kind in ("moved", "released", "renewed"))
    return {
        "flag": lead,
        "what": words(lead),
        "also": [words(one) for one in rest],
        "step": say.next_step(lead),
        "came_here": say.came_here(lead),
        "overdue": min(one.respond_by for one in (lead, *rest)) <= say.now,
        "mine": lead.claimed_by_id == who.id,
        "ours": lead.unit_id in who.unit_ids,
        "done": sorted((*events, *own), key=lambda event: event.at),
    }


def _grants(db: Session, patient_id: UUID) -> list[Grant]:
    return list(
        db.scalars(
            select(Grant)
            .where(Grant.patient_id == patient_id)
            .options(joinedload(Grant.relative, innerjoin=True))
            .order_by(Grant.given_at.desc(), Grant.id)
        )
    )


def _units(db: Session, patient_id: UUID, now: datetime) -> list[Unit]:
    """The units that follow the patient today."""
    today = local_day(now)
    return list(
        db.scalars(
            select(Unit)
            .join(PatientUnit, PatientUnit.unit_id == Unit.id)
            .where(
                PatientUnit.patient_id == patient_id,
                PatientUnit.since <= today,
                or_(PatientUnit.until.is_(None), PatientUnit.until >= today),
            )
            .order_by(Unit.name)
        )
    )
