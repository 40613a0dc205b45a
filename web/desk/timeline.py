"""The timeline of a case in plain words: asked, answered, seen, rung, met, and what became of each message."""

from dataclasses import dataclass, replace
from datetime import datetime

from companion.models import Message
from companion.rules.questionnaire import Item, Value
from companion.use_cases.messages.again import SENT_AGAIN
from companion.worklists.patient_case import Case, Entry
from web.desk.words import Sentences
from web.desk.words.cases import OUTCOMES, RUNGS
from web.desk.words.letters import MESSAGE_KINDS, MESSAGE_STATES
from web.desk.words.meetings import ANSWERS, MEETING_OUTCOMES
from web.desk.words.plans import PLAN_EVENTS, PLAN_REASONS
from web.house.words import _

_CHECK_INS = {
    "asked": (_("Spurt hvordan det går"), "check-in", ""),
    "reminded": (_("Påminnet"), "check-in", ""),
    "added": (_("Invitert til videomøtet"), "meetings"),
    "removed": (_("Tatt av videomøtet"), "close"),
    "answered": (_("Svarte"), "ok", "ok"),
    "expired": (_("Svarte ikke"), "wait", "wait"),
    "skipped": (_("Ble ikke spurt likevel"), "pause", ""),
    "postponed": (_("Utsatte: «Ikke i dag»"), "pause", ""),
}
_FLAGS = {
    "opened": (_("Sak: %(what)s"), "worklist"),
    "claimed": (_("Tok saken"), "eye"),
    "released": (_("La saken tilbake"), "back"),
    "note": (_("Skrev et notat"), "note"),
    "moved": (_("Flyttet saken til %(text)s"), "forward"),
    "renewed": (_("Ga saken ny frist"), "calendar"),
    "closed": (_("Avsluttet saken: %(outcome)s"), "ok"),
}
# What happened by itself: nobody's name stands beside it.
_BY_ITSELF = {
    ("opened", "nobody"): _("Ingen er på jobb ved %(to)s. Saken gikk videre"),
    ("moved", "nobody"): _("Ingen er på jobb lenger. Saken gikk videre til %(to)s"),
    ("released", "away"): _("Den som hadde saken, er ikke på jobb. Saken er lagt tilbake"),
}
_SOON = _("Fristen går snart ut. %(to)s har saken")
_MEETINGS = {
    "offered": (_("Videomøte tilbudt: %(when)s"), "meetings"),
    "moved": (_("Videomøtet ble flyttet"), "meetings"),
    "cancelled": (_("Videomøtet ble avlyst"), "close"),
    "waiting": (_("Kom til videomøtet"), "waiting-room"),
    "admitted": (_("Ble med i videomøtet"), "meetings"),
    "left": (_("Forlot videomøtet"), "door"),
    "call_me": (_("Ba om å bli ringt i stedet for video"), "phone"),
    "ended": (_("Videomøtet er slutt"), "ok"),
    "answered": (_("Videomøtet: %(how)s"), "calendar"),
    "outcome": (_("Videomøtet: %(how)s"), "ok"),
}


@dataclass(frozen=True)
class Happening:
    """One line of the timeline; `said` are questions with their answers."""

    at: datetime
    icon: str
    what: str
    by: str = ""
    tone: str = ""
    tag: str = ""
    tag_tone: str = ""
    quote: str = ""
    said: tuple[tuple[str, str], ...] = ()


def timeline(case: Case, say: Sentences) -> list[Happening]:
    """Everything, newest first."""
    return [_happening(case, entry, say) for entry in case.timeline]


def answer(item: Item, value: Value, say: Sentences) -> str:
    """An answer as it was given: the words of the card, yes or no, a number of the scale, or the person's own text."""
    if isinstance(value, bool):
        return say(_("Ja")) if value else say(_("Nei"))
    if isinstance(value, int):
        return say(_("%(value)s av %(of)s"), value=value, of=item.maximum) if item.maximum else str(value)
    if option := item.option(value):
        return say.text(option.text)
    return f"«{value}»"


def _happening(case: Case, entry: Entry, say: Sentences) -> Happening:
    kind, _sep, rest = entry.kind.partition("_")
    by = entry.by.name if entry.by else ""
    if kind == "plan":
        reason = say(PLAN_REASONS.get(entry.reason or "", entry.reason or ""))
        return Happening(entry.at, "plan", say(PLAN_EVENTS.get(rest, rest)), by=reason)
    if kind == "flag" and entry.flag:
        return _flag(case, entry, rest, by, say)
    if kind == "meeting" and entry.meeting:
        said, icon = _MEETINGS.get(rest, (rest, "meetings"))
        who = entry.participant.name if entry.participant else by
        how = say.pair(ANSWERS if rest == "answered" else MEETING_OUTCOMES, entry.reason or "")[0]
        what = say(said, when=say.when(entry.meeting.starts_at), how=how.lower())
        return Happening(entry.at, icon, what, by=who, quote=entry.text or "")
    if entry.message:
        word, tone = say.pair(MESSAGE_STATES, _state(entry.message))
        return Happening(
            entry.at,
            "message",
            f"{say(MESSAGE_KINDS[entry.message.kind])}: {word}",
            by=entry.message.relative.name if entry.message.relative else "",
            tone="wait" if tone == "wait" else "",
        )
    return _check_in(case, entry, say)


def _check_in(case: Case, entry: Entry, say: Sentences) -> Happening:
    said, icon, tone = _CHECK_INS[entry.kind]
    one = entry.check_in
    assert one is not None
    happening = Happening(entry.at, icon, say(said), by=say.check_in(one.plan.template, one.day), tone=tone)
    if entry.kind == "answered" and entry.reason == "sms":
        happening = replace(happening, icon="message", what=say(_("Svarte på SMS")))
    if entry.kind == "answered" and entry.by:
        by_phone = say(_("Svarte på telefon, skrevet av %(who)s"), who=entry.by.name)
        happening = replace(happening, icon="phone", what=by_phone)
    # What expired and was then answered on the telephone shows its answers once.
    if entry.kind not in ("answered", "expired") or entry.kind != one.state:
        return happening
    answers = case.answers.get(one.id, [])
    return replace(
        happening, said=tuple((say.text(item.text), answer(item, value, say)) for item, value in answers)
    )


def _flag(case: Case, entry: Entry, kind: str, by: str, say: Sentences) -> Happening:
    flag = entry.flag
    assert flag is not None
    titles = {measure.id: measure.title for measure in case.measures}
    what = say.flag(flag, titles.get(flag.measure_id) if flag.measure_id else None)
    if by_itself := _by_itself(entry, kind, say):
        return Happening(entry.at, "wait", by_itself, by=what, tone="wait")
    if kind == "opened":
        tone = "red" if flag.level == "red" else "wait"
        return Happening(entry.at, "worklist", what, by=flag.unit.name, tone=tone)
    if kind == "contact":
        icon = "send" if entry.reason == SENT_AGAIN else "phone"
        return Happening(entry.at, icon, say.contact_event(entry.reason or ""), by=by, quote=entry.text or "")
    said, icon = _FLAGS.get(kind, (kind, "note"))
    outcome = say(OUTCOMES.get(entry.reason or "", ""))
    moved = kind == "moved"
    return Happening(
        entry.at,
        icon,
        say(said, text=entry.text or "", outcome=outcome.lower(), what=what),
        by=f"{by} · {what}" if by else what,
        tone="ok" if kind == "closed" else "",
        quote="" if moved else entry.text or "",
    )


def _by_itself(entry: Entry, kind: str, say: Sentences) -> str | None:
    """The sentence for what nobody did; None for what somebody did, and for a case that came as it should."""
    why = entry.reason or ""
    said = RUNGS.get(why) if kind == "overdue" else _SOON if kind == "soon" else _BY_ITSELF.get((kind, why))
    return say(said, to=entry.text or "") if said else None


def _state(message: Message) -> str:
    held_back = message.state == "queued" and message.error_code == "weekly_cap"
    return "held_back" if held_back else message.state
