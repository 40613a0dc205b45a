"""What professionals read: one table from each code of the domain to a sentence, with its values put in."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any

from fastapi import Depends, Request

from companion import library
from companion.models import Flag, Measure, Patient
from companion.rules.cadence import local_day
from companion.rules.delivery_codes import explain
from companion.rules.texts import Text
from companion.use_cases.messages.again import SENT_AGAIN
from web.house import pages
from web.house.deps import MaybeSigned, Now, language_of, visitor_of


# Only marks a sentence for the catalogue; `Sentences` looks it up in the reader's language.
def _(text: str) -> str:
    return text


# Why a case is on the list: in the person's own words where an answer has words.
FLAGS: Mapping[str, str] = {
    "crisis_words": _("Skriver noe alvorlig"),
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
    "tell_by_phone": _("Ring og fortell om videomøtet"),
    "undeliverable": _("Melding ikke levert"),
    "parked_message": _("Usikkert om meldingen kom fram"),
    "reply_not_understood": _("Svar på SMS som et menneske må lese"),
    "opted_out": _("Vil ikke ha flere SMS"),
}

# What to do about it, when it is not plain from the first line.
NEXT_STEP: Mapping[str, str] = {
    "crisis_words": _("Ring nå. Ved fare for liv: 113."),
    "no_answer": _("Ring og hør hvordan det går."),
    "not_asked": _("Ring og hør hvordan det går."),
    "postponed_twice": _("Ring når det passer."),
    "call_due": _("Ring og still de samme spørsmålene."),
    "rest_by_phone": _("Ring og still spørsmålene som er igjen."),
    "wants_call": _("Ring og hør hva det gjelder."),
    "parked_message": _("Ring hvis du ikke hører noe."),
    "feels_very_bad": _("Ring og hør hva som skjer."),
    "call_me": _("Ring med en gang. De venter."),
    "opted_out": _("Avtal om vi skal ringe i stedet."),
    "passport_wrong": _("Gå gjennom passet sammen."),
    "wants_coordinator": _("Meld behovet til koordinerende enhet."),
    "wants_individual_plan": _("Meld behovet til koordinerende enhet."),
}

# What was typed and does not do. `Sentences.problem` may have a sentence of a field's own.
PROBLEMS: Mapping[str, str] = {
    "missing": _("Fyll ut dette feltet."),
    "too_long": _("Dette er for langt. Skriv kortere."),
    "not_a_name": _("Skriv navnet med bokstaver."),
    "not_a_number": _("Skriv et tall, for eksempel 14."),
    "not_a_national_id": _("Dette er ikke et gyldig fødselsnummer. Det har 11 siffer."),
    "synthetic_not_allowed": _("Dette er et testnummer. Det kan ikke brukes her."),
    "not_a_phone": _("Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
    "landline": _("Dette er en fasttelefon. Den tar ikke imot SMS."),
    "unknown_municipality": _("Vi kjenner ikke kommunen. Velg en fra lista."),
    "unknown_ward": _("Du hører ikke til en slik post. Velg en fra lista."),
    "unknown_template": _("Velg en mal fra lista."),
    "unknown_owner": _("Velg hvem som har ansvaret."),
    "unknown": _("Velg et av svarene."),
    "not_a_date": _("Skriv en dato som finnes."),
    "too_far": _("Datoen er for langt unna."),
    "not_a_time": _("Skriv et klokkeslett, for eksempel 10:00."),
    "not_a_language": _("Velg et språk fra lista."),
    "not_a_measure": _("Skriv tiltaket på nytt."),
    "too_many": _("Det er for mange. Ta bort noen."),
    "past": _("Tidspunktet er passert. Velg et senere."),
    "in_the_past": _("Datoen er passert. Velg en senere."),
    "characters": _("Dette kan ikke ha mellomrom eller skilletegn."),
    "in_the_future": _("Datoen har ikke vært ennå."),
    "clash": _("Du har et annet møte da. Velg et annet tidspunkt."),
    "not_a_length": _("Velg hvor lenge møtet varer."),
    "no_grant": _("Den pårørende har ikke samtykke til møter på det tidspunktet."),
    "not_following": _("Enheten følger ikke opp denne personen. Velg en fra lista."),
    "not_a_way": _("Velg hvordan vi tar kontakt."),
    "said_stop": _("Personen har svart STOPP på dette nummeret. START på SMS åpner det igjen."),
    "before_birth": _("Datoen er før personen ble født."),
    "required": _("Svar på dette spørsmålet."),
    "not_an_option": _("Velg et av svarene."),
    "too_small": _("Tallet er for lite."),
    "too_large": _("Tallet er for stort."),
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

OWNERS: Mapping[str, str] = {
    "municipality": _("Kommunen"),
    "hospital": _("Sykehuset"),
    "art": _("ART (ambulant team)"),
    "gp": _("Fastlegen"),
    "nav": _("NAV"),
    "patient": _("Personen selv"),
}

MEASURE_STATES: Mapping[str, tuple[str, str]] = {
    "recommended": (_("Anbefalt"), ""),
    "not_started": (_("Ikke startet"), "wait"),
    "unknown": (_("Vet ikke"), "wait"),
    "started": (_("Startet"), "ok"),
    "done": (_("Ferdig"), "ok"),
    "declined": (_("Vil ikke"), ""),
    "cancelled": (_("Avlyst"), ""),
}

REASONS: Mapping[str, str] = {
    "nobody_contacted": _("ingen har kontaktet meg"),
    "waiting_list": _("står på venteliste"),
    "too_ill": _("for sliten eller syk"),
    "no_transport": _("kommer seg ikke dit"),
    "not_understood": _("forstår ikke hva som skal gjøres"),
    "not_wanted": _("vil ikke"),
    "other": _("noe annet"),
}

PLAN_STATES: Mapping[str, tuple[str, str]] = {
    "active": (_("I gang"), "ok"),
    "paused": (_("På pause"), "wait"),
    "stopped": (_("Stoppet"), ""),
    "done": (_("Ferdig"), ""),
}

PLAN_EVENTS: Mapping[str, str] = {
    "made": _("Oppfølgingsplanen ble laget"),
    "moved": _("Planen ble flyttet"),
    "paused": _("Planen ble satt på pause"),
    "resumed": _("Planen ble startet igjen"),
    "stopped": _("Planen ble stoppet"),
}

PLAN_REASONS: Mapping[str, str] = {
    "readmitted": _("Innlagt på nytt"),
    "died": _("Registrert død"),
    "opted_out": _("Vil ikke ha oppfølging"),
    "new_stay": _("Et nytt opphold tok over"),
    "wish": _("Etter eget ønske"),
    "other": _("Annen grunn"),
}

MESSAGE_KINDS: Mapping[str, str] = {
    "welcome": _("Velkomst"),
    "check_in": _("Spørsmål"),
    "reminder": _("Påminnelse"),
    "question": _("Første spørsmål på SMS"),
    "question_again": _("Spørsmålet én gang til på SMS"),
    "next_question": _("Neste spørsmål på SMS"),
    "rest_by_phone": _("Takk, og beskjed om at vi ringer"),
    "all_answered": _("Takk for svarene"),
    "meeting": _("Møteinvitasjon"),
    "meeting_moved": _("Beskjed om flyttet møte"),
    "meeting_cancelled": _("Beskjed om avlyst møte"),
    "sign_in_code": _("Kode for å logge inn"),
    "new_link": _("Ny lenke"),
    "relative_invited": _("Invitasjon til pårørende"),
    "reply": _("Svar på SMS"),
}

MESSAGE_STATES: Mapping[str, tuple[str, str]] = {
    "queued": (_("venter på å bli sendt"), ""),
    "sending": (_("sendes nå"), ""),
    "held_back": (_("venter: nok meldinger denne uka"), ""),
    "accepted": (_("sendt"), ""),
    "sent": (_("sendt"), ""),
    "delivered": (_("kom fram"), "ok"),
    "undelivered": (_("kom ikke fram"), "wait"),
    "failed": (_("kunne ikke sendes"), "wait"),
    "unknown": (_("usikkert om den kom fram"), "wait"),
    "delivery_unknown": (_("sendt, uten kvittering"), ""),
    "expired": (_("ble ikke sendt i tide"), "wait"),
    "cancelled": (_("ble ikke sendt, den trengtes ikke"), ""),
}

CHECK_IN_STATES: Mapping[str, tuple[str, str]] = {
    "planned": (_("Planlagt"), ""),
    "asked": (_("Spurt"), "info"),
    "answered": (_("Svart"), "ok"),
    "expired": (_("Ikke svart"), "wait"),
    "skipped": (_("Hoppet over"), ""),
    "postponed": (_("Utsatt"), ""),
}

CONTACT_WAYS: Mapping[str, str] = {
    "sms": _("SMS"),
    "push": _("Varsel på telefonen"),
    "call": _("Vi ringer"),
}

# The agreement, and what it means.
ANSWERS_BY_SMS: tuple[str, str] = (
    _("Svarer på spørsmålene med SMS"),
    _(
        "For den som ikke har smarttelefon. Ett spørsmål i hver melding, svar med ett tall. Tiltakene heter punkt 1, punkt 2 "
        "som på hjemreisearket. Det som ikke kan spørres på SMS, ringer vi om. Kryss av bare når personen har sagt ja."
    ),
)

PHONE_STATES: Mapping[str, tuple[str, str]] = {
    "ok": (_("i bruk"), ""),
    "dead": (_("nummeret virker ikke"), "wait"),
    "landline": (_("fasttelefon, tar ikke SMS"), ""),
    "opted_out": (_("har svart STOPP på SMS"), "wait"),
}

SCOPES: Mapping[str, tuple[str, str]] = {
    "passport": (_("Passet"), _("Det som er viktig å vite, og hvem man kan ringe")),
    "measures": (_("Tiltakene"), _("Hva som er avtalt, og hvor langt det er kommet")),
    "meetings": (_("Møtene"), _("Kan bli invitert til videomøter")),
}

SECTIONS: Mapping[str, str] = {
    "matters": _("Hva er viktig for meg"),
    "talk": _("Slik snakker du best med meg"),
    "important": _("Viktig å vite"),
    "function": _("Slik fungerer jeg i hverdagen"),
    "aids": _("Hjelpemidlene mine"),
    "medication": _("Medisiner"),
}

WHEEL: Mapping[str, str] = {
    "gp": _("Fastlege"),
    "ward": _("Post på sykehuset"),
    "art": _("ART (ambulant team)"),
    "physio": _("Fysioterapi i kommunen"),
    "occupational": _("Ergoterapi i kommunen"),
    "home_service": _("Hjemmetjeneste"),
    "coordinating_unit": _("Koordinerende enhet"),
    "coordinator": _("Koordinator"),
    "speech": _("Logoped"),
    "nav": _("NAV"),
    "employer": _("Arbeidsgiver"),
    "school": _("Skole"),
    "private_rehab": _("Privat rehabilitering"),
    "aids_centre": _("Hjelpemiddelsentral"),
    "healthy_life": _("Frisklivssentral"),
    "relative": _("Pårørende"),
    "user_organisation": _("Brukerorganisasjon"),
}

MEETING_KINDS: Mapping[str, str] = {
    "follow_up": _("Oppfølging"),
    "mid_stay": _("Midt i oppholdet"),
    "discharge": _("Før utskriving"),
    "guidance": _("Veiledning"),
}

_FIELDS: Mapping[tuple[str, str], str] = {
    ("national_id", "missing"): _("Skriv fødselsnummeret."),
    ("name", "missing"): _("Skriv navnet."),
    ("name", "too_long"): _("Navnet er for langt. Det kan ha 100 tegn."),
    ("phone", "missing"): _("Skriv telefonnummeret."),
    ("discharged_on", "missing"): _("Velg dagen personen skrives ut."),
    ("discharged_on", "too_far"): _("Utskrivingsdagen er mer enn et år unna."),
    ("municipality_number", "missing"): _("Velg kommunen personen skal hjem til."),
    ("template", "missing"): _("Velg en mal for oppfølgingen."),
    ("ward", "missing"): _("Velg posten personen skrives ut fra."),
    ("language", "missing"): _("Velg språket på meldingene."),
    ("title", "missing"): _("Skriv hva som anbefales."),
    ("title", "too_long"): _("Tiltaket er for langt. Det kan ha 200 tegn."),
    ("owner", "missing"): _("Velg hvem som har ansvaret for tiltaket."),
    ("due", "missing"): _("Skriv hvor mange dager etter utskriving tiltaket skal være i gang."),
    ("due", "not_a_number"): _("Skriv antall dager som et tall, for eksempel 14."),
    ("due", "too_far"): _("Fristen kan være fra 0 til 730 dager etter utskriving."),
    ("birth_date", "missing"): _("Skriv fødselsdatoen."),
    ("text", "missing"): _("Skriv noe før du lagrer."),
    ("text", "too_long"): _("Teksten er for lang. Del den i to."),
    ("outcome", "missing"): _("Velg hvordan saken endte."),
    ("starts_at", "too_far"): _("Møtet er mer enn et år unna."),
    ("relation", "missing"): _("Skriv hvem det er, for eksempel datter."),
    ("scopes", "missing"): _("Velg minst én ting den pårørende kan se."),
    ("until", "missing"): _("Velg hvor lenge samtykket varer."),
    ("until", "in_the_past"): _("Datoen er passert. Velg en senere."),
    ("until", "too_far"): _("Samtykket kan vare i to år. Velg en tidligere dato."),
    ("relation", "too_long"): _("Skriv kortere, for eksempel datter."),
    ("birth_date", "not_a_date"): _("Skriv fødselsdatoen slik den er, for eksempel 09.10.1986."),
    ("phone", "landline"): _("Dette er en fasttelefon. Den tar ikke imot SMS."),
    ("role", "unknown"): _("Velg en rolle fra lista."),
    ("section", "unknown"): _("Velg en del av passet."),
    ("reason", "missing"): _("Velg hvorfor."),
    ("died_on", "missing"): _("Velg dagen personen døde."),
    ("unit", "missing"): _("Velg en enhet."),
    ("starts_at", "missing"): _("Velg dag og klokkeslett."),
    ("starts_at", "past"): _("Tidspunktet er passert. Velg et senere."),
    ("starts_at", "clash"): _("Du har et annet møte da. Velg et annet tidspunkt."),
}


class Sentences:
    """The tables in one reader's language. Templates get it as `say`."""

    def __init__(self, lang: str, now: datetime) -> None:
        self.lang, self.now = lang, now
        self._words = pages.translations(lang)

    def __call__(self, sentence: str, /, **values: object) -> str:
        """A sentence of the catalogue, with its values."""
        # gettext("") is the catalogue's head.
        said = self._words.gettext(sentence) if sentence else ""
        return said % values if values else said

    def text(self, said: Text | Mapping[str, str]) -> str:
        """A sentence of the content, in the reader's language."""
        return (said if isinstance(said, Text) else Text(said)).in_(self.lang)

    def template(self, key: str) -> str:
        """The name of a plan template."""
        known = library.plan_templates().get(key)
        return self.text(known.name) if known else key

    def group(self, key: str) -> str:
        """The same in the middle of a line."""
        return _inside(self.template(key))

    def check_in(self, template: str, day: int) -> str:
        """`Dag 90 · trimånederskontroll`."""
        label = library.check_in_label(template, day) if template in library.plan_templates() else None
        said = self(_("Dag %(day)s"), day=day)
        return f"{said} · {self.text(label)}" if label else said

    def flag(self, flag: Flag, measure: str | None = None) -> str:
        """Why the case is here, in one sentence; the person's own words after it."""
        params = flag.params or {}
        said = self(
            FLAGS.get(flag.code, flag.code),
            measure=_inside(measure) if measure else self(_("et tiltak")),
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

    def due(self, measure: Measure) -> str:
        """`Fristen var 22. november.` or `Frist 22. november.`"""
        day = pages.say_day(measure.due_on, lang=self.lang, now=self.now)
        today = local_day(self.now)
        return self(_("Fristen var %(day)s") if measure.due_on < today else _("Frist %(day)s"), day=day)

    def owner(self, measure: Measure) -> str:
        """The unit whose task it is, or the kind of owner."""
        return measure.owner_unit.name if measure.owner_unit else self(OWNERS[measure.owner])

    def pair(self, table: Mapping[str, tuple[str, str]], code: str) -> tuple[str, str]:
        """A word with its tone."""
        word, tone = table.get(code, (code, ""))
        return self(word), tone

    def scope(self, code: str) -> str:
        """What a relative may see, in a word."""
        return self(SCOPES[code][0])

    def problem(self, field: str, code: str) -> str:
        """What is wrong with a field; in `measures.2.title` the last word is the field and the number is said."""
        parts = field.split(".")
        said = self(_FIELDS.get((parts[-1], code)) or PROBLEMS.get(code, PROBLEMS["unknown"]))
        if parts[0] == "measures" and len(parts) == 3:
            return self(_("Tiltak %(number)s: %(sentence)s"), number=parts[1], sentence=said)
        if parts[0] == "relative" and len(parts) == 2:
            return self(_("Pårørende: %(sentence)s"), sentence=said)
        return said

    def problems(self, found: Mapping[str, str]) -> dict[str, str]:
        """A sentence for every field that does not do."""
        return {field: self.problem(field, code) for field, code in found.items()}

    def conflict(self, code: str, who: str | None) -> str:
        """Who was first, and what to do."""
        sentence = CONFLICTS.get(code, CONFLICT_ELSE)
        return self(sentence, who=who or self(_("En kollega")))

    def when(self, value: datetime | date) -> str:
        """A moment or a day, as people say it."""
        if isinstance(value, datetime):
            return pages.say_moment(value, lang=self.lang, now=self.now)
        return pages.say_day(value, lang=self.lang, now=self.now)

    def hour(self, value: time) -> str:
        """A wall-clock time."""
        return value.strftime("%H:%M" if self.lang == "en" else "%H.%M")

    def contact_event(self, outcome: str) -> str:
        """What an attempt to reach somebody came to: `phone:reached`; `meeting`: one was offered; `again`: a letter was."""
        how, _sep, result = outcome.partition(":")
        if how == "meeting":
            return self(_("Tilbød et videomøte"))
        if how == SENT_AGAIN:
            return self(_("Sendte meldingen på nytt"))
        reached, missed = CONTACTS.get(how, CONTACTS["other"])
        return self(reached if result == "reached" else missed)

    def age(self, patient: Patient) -> int:
        """Whole years."""
        return pages.say_age(patient.born, now=self.now)


def _inside(title: str) -> str:
    """A title in the middle of a sentence: `Fysioterapi` loses its capital, `NAV` keeps it."""
    first = title.split(" ")[0]
    if len(first) > 1 and first[1:] != first[1:].lower():
        return title
    return title[:1].lower() + title[1:]


def choices(table: Mapping[str, Any], say: Sentences) -> list[tuple[str, str]]:
    """A table as the options of a select."""
    return [(code, say(word if isinstance(word, str) else word[0])) for code, word in table.items()]


def _sentences(request: Request, now: Now, _signed: MaybeSigned) -> Sentences:
    visitor = visitor_of(request)
    return Sentences(visitor.lang if visitor else language_of(request), now)


Say = Annotated[Sentences, Depends(_sentences)]
