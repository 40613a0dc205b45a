"""What became of a letter, in sentences a nurse understands, and what to do; how the post stands, for the desk's banner."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from companion.models import Message
from companion.rules.delivery_codes import CODES, OPERATOR, explain
from companion.use_cases.messages.again import Sent, why_not
from companion.worklists.letters import Tally, why_not_wanted
from companion.worklists.post import Alarm, PostStanding
from notifications.ways import Ways
from web.desk.words import Sentences
from web.desk.words.letters import MESSAGE_KINDS
from web.house.words import _


@dataclass(frozen=True)
class Became:
    """What became of it, and what helps. `tone`: `ok` it arrived, `wait` somebody had better look, else empty."""

    said: str
    todo: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Line:
    """A letter as a line. `why_not`: why it cannot be sent again, where one might want to; `again`: it can."""

    letter: Message
    kind: str
    about: str
    to: str
    to_relative: bool
    how: str
    became: Became
    again: bool
    why_not: str


@dataclass(frozen=True)
class Banner:
    """That the post does not get away as it should."""

    title: str
    text: str
    tone: str


# Why it waits, or why nobody knows: our own codes, beside the provider's in `companion.rules.delivery_codes`.
OWN_CODES: Mapping[str, str] = {
    "no_connection": _("vi når ikke leverandøren"),
    "not_begun": _("det var for mange foran i køen"),
    "401": _("kontoen vår hos leverandøren er avvist"),
    "403": _("kontoen vår hos leverandøren er avvist"),
    "404": _("adressen til leverandøren er feil"),
    "read_timeout": _("leverandøren svarte ikke i tide"),
    "broken_off": _("forbindelsen ble brutt midt i sendingen"),
    "lease": _("vi ble avbrutt midt i sendingen"),
    "our_fault": _("noe gikk galt hos oss midt i sendingen"),
}
_NO_PLAIN_ANSWER = _("leverandøren ga ikke noe klart svar")

NOT_WANTED: Mapping[str, str] = {
    "answered": _("spørsmålene var besvart"),
    "postponed": _("personen svarte «Ikke i dag»"),
    "plan_paused": _("planen er på pause"),
    "plan_stopped": _("planen er stoppet"),
    "check_in_over": _("spørsmålene var ikke åpne lenger"),
    "meeting_cancelled": _("møtet er avlyst"),
    "meeting_moved": _("møtet er flyttet"),
    "meeting_over": _("møtet har vært"),
    "died": _("personen er død"),
    "opted_out": _("personen har svart STOPP"),
    "dead": _("nummeret virker ikke"),
    "landline": _("nummeret er en fasttelefon"),
    "call": _("personen vil helst ringes"),
    "not_needed": _("den trengtes ikke lenger"),
}

# Why it cannot be sent again, and what to do instead.
WHY_NOT: Mapping[str, str] = {
    "code": _("Koder sendes ikke på nytt. Personen kan be om en ny selv."),
    "underway": "",
    "again": _("Den er sendt på nytt."),
    "overtaken": _("En nyere melding om det samme er sendt."),
    "died": _("Personen er registrert død. Ingenting sendes."),
    "answered": _("Spørsmålene er besvart. Det trengs ingen ny melding."),
    "not_asked": _("Spørsmålene er ikke åpne lenger. Ring og hør hvordan det går."),
    "not_by_sms": _("Personen svarer ikke på SMS lenger. Ring og hør hvordan det går."),
    "plan": _("Planen er ikke i gang. Start den igjen, eller ring."),
    "meeting_changed": _("Møtet er flyttet eller avlyst siden."),
    "meeting_over": _("Møtet har vært."),
    "too_late": _("En ny melding rekker ikke fram før møtet. Ring."),
    "no_grant": _("Samtykket til den pårørende gjelder ikke lenger."),
    "no_phone": _("Telefonnummeret mangler. Skriv det inn først, eller ring."),
    "opted_out": _("Personen har svart STOPP. Avtal om vi skal ringe."),
    "dead": _("Nummeret virker ikke. Rett nummeret først, eller ring."),
    "landline": _("Nummeret er en fasttelefon. Skriv inn et mobilnummer, eller ring."),
    "call": _("Personen vil helst ringes. Ring."),
}

GROUPS: Mapping[str, str] = {
    "arrived": _("Kom fram"),
    "on_the_way": _("Uten svar ennå"),
    "not_arrived": _("Kom ikke fram"),
    "uncertain": _("Uvisse"),
    "waiting": _("Venter"),
    "not_sent": _("Ikke sendt"),
}


def line(one: Sent, say: Sentences, ways: Ways, *, may_send: bool) -> Line:
    """A letter of a patient's list. `may_send`: the reader's unit follows the patient."""
    letter = one.letter
    reason = why_not(one, say.now)
    again = reason is None and may_send
    found = became(letter, say, ways)
    if again:
        found = replace(found, todo=_with_a_button(letter, found, say))
    elif reason in ("again", "overtaken"):
        # Somebody has seen to it.
        found = replace(found, tone="")
    return Line(
        letter=letter,
        kind=say(MESSAGE_KINDS[letter.kind]),
        about=about(letter, say),
        to=one.person.name if one.person else "",
        to_relative=letter.relative_id is not None,
        how=how(letter, say, ways),
        became=found,
        again=again,
        why_not=say(WHY_NOT[reason]) if reason else "",
    )


def about(letter: Message, say: Sentences) -> str:
    """Which check-in, or which meeting."""
    if letter.check_in:
        return say.check_in(letter.check_in.plan.template, letter.check_in.day)
    if letter.meeting:
        told = letter.params.get("when")
        starts_at = datetime.fromisoformat(told) if told else letter.meeting.starts_at
        return say(_("Møtet %(when)s"), when=say.when(starts_at))
    return ""


def how(letter: Message, say: Sentences, ways: Ways) -> str:
    """Which way it goes; nothing while that is not chosen yet."""
    chosen = letter.channel or (ways.last[0] if letter.attempt else "")
    way = ways.get(chosen)
    return say(way.said.called) if way else chosen


def became(letter: Message, say: Sentences, ways: Ways) -> Became:
    """What became of it, for every state, code and channel."""
    state, code = letter.state, letter.error_code or ""
    if state == "queued":
        return _waits(letter, code, say, ways)
    if state == "sending":
        return Became(say(_("Sendes nå.")))
    if state in ("accepted", "sent"):
        return _on_the_way(letter, say, ways)
    if state == "delivered":
        return Became(say(_("Kom fram %(when)s."), when=say.when(_since(letter))), tone="ok")
    if state in ("undelivered", "failed"):
        found = explain(code or "unspecified")
        return Became(
            say(_("Kom ikke fram: %(why)s."), why=say(found.why)), say(found.what_to_do), tone="wait"
        )
    if state == "unknown":
        return Became(
            say(_("Uviss: %(why)s. Vi ser etter om den kom fram."), why=_why(code, say, _NO_PLAIN_ANSWER)),
            say(_("Ring hvis det haster.")),
            tone="wait",
        )
    if state == "delivery_unknown":
        return Became(
            say(_("Uviss: sendt, men ingen har sagt om den kom fram.")),
            say(_("Ring hvis du ikke hører noe.")),
            tone="wait",
        )
    if state == "expired":
        found = explain("expired")
        return Became(say(_("Ikke sendt: %(why)s."), why=say(found.why)), say(found.what_to_do), tone="wait")
    return Became(say(_("Ikke sendt: %(why)s."), why=say(NOT_WANTED[why_not_wanted(letter)])))


def banner(post: PostStanding, say: Sentences, ways: Ways) -> Banner | None:
    """That letters do not get away, or that the provider does not answer; None while all is well."""
    if post.alarm:
        return Banner(
            say(
                _("%(due)s skulle vært sendt. Ingen er sendt på %(how_long)s."),
                due=post.alarm.due,
                how_long=_how_long(post.alarm, say),
            ),
            say(_("Ring dem det haster for. Si fra til den som drifter løsningen.")),
            "red",
        )
    if post.circuit != "closed":
        return Banner(
            say(_("Leverandøren svarer ikke.")),
            say(
                _("Meldinger venter, og går av seg selv når leverandøren svarer igjen. Ring hvis det haster.")
            ),
            "warn",
        )
    if post.slow:
        return Banner(
            say(_("%(n)s SMS er sendt, men ser ikke ut til å komme fram."), n=post.slow),
            say(_("Ring hvis det haster. Si fra til den som drifter løsningen.")),
            "warn",
        )
    for way in filter(None, map(ways.get, post.resting)):
        return Banner(
            say(way.said.stopped),
            say(_("Alt går som SMS i mellomtiden. Si fra til den som drifter løsningen.")),
            "warn",
        )
    return None


def day_in_words(tally: Tally, say: Sentences) -> str:
    """A day in one sentence: `12 sendt: 9 kom fram, 1 kom ikke fram. 2 venter.` What there is none of is not said."""
    if not tally.all:
        return say(_("Ingen meldinger i dag ennå."))
    became = [
        say(word, n=number)
        for word, number in (
            (_("%(n)s kom fram"), tally.arrived),
            (_("%(n)s uten svar ennå"), tally.on_the_way),
            (_("%(n)s kom ikke fram"), tally.not_arrived),
            (_("%(n)s uvisse"), tally.uncertain),
        )
        if number
    ]
    said = say(_("I dag: %(n)s sendt"), n=tally.sent) + (f" ({', '.join(became)})" if became else "")
    rest = [
        say(word, n=number)
        for word, number in ((_("%(n)s venter"), tally.waiting), (_("%(n)s ikke sendt"), tally.not_sent))
        if number
    ]
    return ", ".join((said, *rest)) + "."


def _with_a_button(letter: Message, found: Became, say: Sentences) -> str:
    """What to do beside the button; an operator is still to be told."""
    reason = explain(letter.error_code or "expired")
    if reason.what_to_do == OPERATOR:
        return found.todo
    fixed = say(_("Nummeret er i orden nå.")) + " " if reason.phone_state else ""
    return fixed + say(_("Send på nytt, eller ring."))


def _waits(letter: Message, code: str, say: Sentences, ways: Ways) -> Became:
    later = letter.next_attempt_at > say.now
    when = say.when(letter.next_attempt_at) if later else say(_("straks"))
    if code == "weekly_cap" and later:
        return Became(
            say(_("Venter: personen har fått nok meldinger denne uka. Går tidligst %(when)s."), when=when)
        )
    if letter.waiting_since:
        return Became(
            say(
                _("Venter: %(why)s. Vi prøver igjen %(when)s."),
                why=_why(code, say, _NO_PLAIN_ANSWER),
                when=when,
            )
        )
    if explain(code).resend:
        return Became(
            say(
                _("Kom ikke fram første gang: %(why)s. Vi prøver igjen %(when)s."),
                why=say(explain(code).why),
                when=when,
            )
        )
    if letter.channel in ways.last and letter.attempt:
        return Became(say(_("Kom ikke fram første gang. Sendes som SMS %(when)s."), when=when))
    return Became(say(_("Venter til %(when)s."), when=when) if later else say(_("Venter på å bli sendt.")))


def _on_the_way(letter: Message, say: Sentences, ways: Ways) -> Became:
    when = say.when(_since(letter))
    way = ways.get(letter.channel)
    return Became(
        say(_("Sendt %(when)s. Vi vet ikke ennå om den kom fram."), when=when),
        say(way.said.unheard) if way and way.said.unheard else "",
    )


def _why(code: str, say: Sentences, otherwise: str) -> str:
    if code in CODES:
        return say(explain(code).why)
    return say(OWN_CODES.get(code, otherwise))


def _since(letter: Message) -> datetime:
    return letter.settled_at or letter.next_attempt_at


def _how_long(alarm: Alarm, say: Sentences) -> str:
    if alarm.minutes < 120:
        return say(_("%(n)s minutter"), n=alarm.minutes)
    if alarm.minutes < 48 * 60:
        return say(_("%(n)s timer"), n=alarm.minutes // 60)
    return say(_("%(n)s dager"), n=alarm.minutes // (24 * 60))
