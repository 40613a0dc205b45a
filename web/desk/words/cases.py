"""Cases in words: why one is here, what helps, how it ended."""

from collections.abc import Mapping

from companion.models import Flag
from companion.rules.delivery_codes import explain
from companion.use_cases.messages.again import SENT_AGAIN
from web.desk.words.measures import inside
from web.desk.words.meetings import OUTCOME_EVENTS
from web.house.words import Words, _

# Why a case is on the list: in the person's own words where an answer has words.
FLAGS: Mapping[str, str] = {
    "crisis_words": _("Skriver noe alvorlig"),
    "grave_words": _("Skriver om noe som haster"),
    "wants_contact": _("Ønsker å bli kontaktet"),
    "clearly_worse": _("Klart verre enn før"),
    "low_mood": _("Nedstemt: %(score)s av 6 poeng på to spørsmål om humør"),
    "fall_with_injury": _("Har falt og skadet seg"),
    "feels_very_bad": _("Har det veldig dårlig"),
    "high_fatigue": _("Svært sliten: %(score)s av 10"),
    "high_pain": _("Mye vondt: %(score)s av 10"),
    "measure_unknown": _("«Vet ikke» om %(measure)s"),
    "nobody_contacted_overdue": _("«Ingen har kontaktet meg» om %(measure)s"),
    "not_started_nobody_contacted": _("«Ingen har kontaktet meg» om %(measure)s"),
    "not_started_waiting_list": _("«Jeg står på venteliste» til %(measure)s"),
    "not_started_too_ill": _("«Jeg er for sliten eller syk» til %(measure)s"),
    "not_started_no_transport": _("«Jeg kommer meg ikke dit» om %(measure)s"),
    "not_started_not_understood": _("«Jeg forstår ikke hva jeg skal gjøre» om %(measure)s"),
    "not_started_not_wanted": _("«Jeg vil ikke» om %(measure)s"),
    "not_started_other": _("Ikke startet: %(measure)s"),
    "not_started_unsaid": _("Ikke startet, uten å si hvorfor: %(measure)s"),
    "wants_coordinator": _("Ønsker seg en koordinator"),
    "wants_individual_plan": _("Ønsker en individuell plan"),
    "passport_wrong": _("Noe stemmer ikke i passet"),
    "no_answer": _("Ikke svart på melding og påminnelse"),
    "not_asked": _("Ble ikke spurt i tide"),
    "postponed_twice": _("Utsatt to ganger: «Ikke i dag»"),
    "call_due": _("Vil helst ringes: oppfølgingen er nå"),
    "rest_by_phone": _("Har svart på SMS. Resten spørres på telefon"),
    "wants_call": _("Vil bli oppringt"),
    "call_me": _("Ring %(who)s: videoen virker ikke"),
    "no_show": _("Kom ikke til videomøtet"),
    "not_let_in": _("Ventet i videomøtet, men ingen slapp inn"),
    "meeting_unsettled": _("Ingen kom til videomøtet"),
    "meeting_declined": _("Tiden for videomøtet passer ikke for %(who)s"),
    "tell_by_phone": _("Ring og fortell om videomøtet"),
    "undeliverable": _("Melding ikke levert"),
    "parked_message": _("Usikkert om meldingen kom fram"),
    "has_written": _("Har skrevet til oss"),
    "reply_not_understood": _("Svar på SMS som et menneske må lese"),
    "opted_out": _("Vil ikke ha flere SMS"),
}

# What to do about it, when it is not plain from the first line.
NEXT_STEP: Mapping[str, str] = {
    "crisis_words": _("Ring nå. Ved fare for liv: 113."),
    "grave_words": _("Ring nå og hør hva som har skjedd. Ved fare for liv: 113."),
    "no_answer": _("Ring og hør hvordan det går."),
    "not_asked": _("Ring og hør hvordan det går."),
    "postponed_twice": _("Ring når det passer."),
    "call_due": _("Ring og still de samme spørsmålene."),
    "rest_by_phone": _("Ring og still spørsmålene som er igjen."),
    "wants_call": _("Ring og hør hva det gjelder."),
    "parked_message": _("Ring hvis du ikke hører noe."),
    "feels_very_bad": _("Ring og hør hva som skjer."),
    "call_me": _("Ring med en gang. De venter."),
    "no_show": _("Ring, hør hvordan det går, og finn en ny tid."),
    "not_let_in": _("Ring med en gang og beklag. Finn en ny tid."),
    "meeting_unsettled": _("Skriv hvordan det gikk, under Møter. Ring hvis dere ikke har snakket sammen."),
    "meeting_declined": _("Ring og finn en ny tid, eller flytt møtet."),
    "has_written": _("Les det, og ring når det trengs."),
    "opted_out": _("Avtal om vi skal ringe i stedet."),
    "passport_wrong": _("Gå gjennom passet sammen."),
    "wants_coordinator": _("Meld behovet til koordinerende enhet."),
    "wants_individual_plan": _("Meld behovet til koordinerende enhet."),
}

# How a case came to a unit by itself, and how far it has climbed.
CAME_HERE: Mapping[str, str] = {
    "nobody": _("Kom hit fra %(unit)s: ingen er på jobb der."),
    "overdue": _("Kom hit fra %(unit)s: fristen gikk ut der."),
}

RUNGS: Mapping[str, str] = {
    "person": _("Fristen gikk ut. Saken er hos %(to)s"),
    "unit": _("Fristen gikk ut. Alle ved %(to)s kan ta saken"),
    "ward": _("Fristen gikk ut. Saken gikk videre til %(to)s"),
    "coordinating_unit": _("Fristen gikk ut. Saken gikk videre til %(to)s"),
    "leader": _("Fristen gikk ut. Saken er løftet til lederen, %(to)s"),
}

CONFLICTS: Mapping[str, str] = {
    "claimed": _("%(who)s har tatt saken."),
    "closed": _("Saken er avsluttet av %(who)s."),
    "not_claimed": _("Saken er ikke tatt av noen."),
    "died": _("Personen er registrert død. Ingenting er lagret."),
    "not_paused": _("Planen er ikke på pause."),
    "moved": _("Saken er flyttet til en annen enhet."),
    "open": _("Saken er ikke tatt av noen."),
    "changed": _("En kollega har endret linja. Les den nye først."),
    "ended": _("Møtet er allerede avsluttet."),
    "answered": _("Spørsmålene er allerede besvart."),
    "expired": _("Spørsmålene kan ikke besvares lenger."),
    "cancelled": _("Møtet er avlyst."),
}

CONFLICT_ELSE = _("En annen kom deg i forkjøpet. Se hvordan det står nå.")

OUTCOMES: Mapping[str, str] = {
    "helped": _("Fikk hjelp"),
    "measure_started": _("Tiltaket er i gang"),
    "advice": _("Fikk råd"),
    "referred": _("Henvist videre"),
    "no_contact": _("Fikk ikke kontakt"),
    "not_needed": _("Trengte ikke noe"),
}

CONTACTS: Mapping[str, tuple[str, str]] = {
    "phone": (_("Ringte – fikk svar"), _("Ringte – ikke svar")),
    "video": (_("Møttes på video"), _("Kom ikke på video")),
    "visit": (_("Var på besøk"), _("Var på besøk, ingen hjemme")),
    "letter": (_("Sendte brev"), _("Brevet kom i retur")),
    "other": (_("Fikk kontakt på annen måte"), _("Fikk ikke kontakt på annen måte")),
}


# Nobody said that they would rather be phoned: there is no other way.
ONLY_BY_PHONE = _("Oppfølgingen er nå, og må tas på telefon")


def _reason(code: str, params: Mapping[str, object]) -> str:
    if code == "call_due" and params.get("wish") == 0:
        return ONLY_BY_PHONE
    return FLAGS.get(code, code)


class CaseWords(Words):
    """What a case is about, and what was done."""

    def flag(self, flag: Flag, measure: str | None = None) -> str:
        """Why the case is here, in one sentence; the person's own words after it."""
        params = flag.params or {}
        said = self(
            _reason(flag.code, params),
            measure=inside(measure) if measure else self(_("et tiltak")),
            score=params.get("score", ""),
            who=params.get("who", ""),
        )
        if flag.code == "undeliverable":
            said = f"{said}: {self(explain(str(params.get('code', ''))).why)}"
        return f"{said}. «{flag.quote}»" if flag.quote else said

    def next_step(self, flag: Flag) -> str | None:
        """What helps, where the first line does not say it."""
        step = NEXT_STEP.get(flag.code)
        if flag.code == "undeliverable":
            step = explain(str((flag.params or {}).get("code", ""))).what_to_do
        return self(step) if step else None

    def came_here(self, flag: Flag) -> str | None:
        """How the case came to its unit, when nobody sent it there; at the top of the ladder, that it is the leader's."""
        if flag.rung == "leader":
            return self(_("Løftet til lederen ved %(unit)s."), unit=flag.unit.name)
        if flag.because and flag.from_unit:
            return self(CAME_HERE[flag.because], unit=flag.from_unit.name)
        return None

    def conflict(self, code: str, who: str | None) -> str:
        """Who was first, and what to do."""
        sentence = CONFLICTS.get(code, CONFLICT_ELSE)
        return self(sentence, who=who or self(_("En kollega")))

    def contact_event(self, outcome: str) -> str:
        """What an attempt to reach somebody came to: `phone:reached`; `meeting`: one was offered; `meeting:phone`: it was held
        so; `again`: a letter was sent again.
        """
        how, _sep, result = outcome.partition(":")
        if how == "meeting":
            return self(OUTCOME_EVENTS.get(result, _("Tilbød et videomøte")))
        if how == SENT_AGAIN:
            return self(_("Sendte meldingen på nytt"))
        reached, missed = CONTACTS.get(how, CONTACTS["other"])
        return self(reached if result == "reached" else missed)
