"""What patients and relatives read: a plain sentence for each code of the domain."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request

from companion.models import CheckIn, Flag, Measure
from companion.rules.cadence import local_day
from companion.use_cases.passport.lines import MeasureLine, Spoke, WhomToCall
from web.house import pages
from web.house.deps import MaybeSigned, Now, language_of, visitor_of


# Only marks a sentence for the catalogue; `PatientWords` looks it up in the reader's language.
def _(text: str) -> str:
    return text


# Why somebody looks at the answers, said to the one who gave them.
REASONS: Mapping[str, str] = {
    "crisis_words": _("Du skrev noe som et menneske må lese."),
    "wants_contact": _("Du vil at noen skal kontakte deg."),
    "clearly_worse": _("Du svarte at noe er blitt klart verre."),
    "low_mood": _("Du svarte at du har det tungt."),
    "fall_with_injury": _("Du svarte at du har falt og skadet deg."),
    "feels_very_bad": _("Du svarte at du har det veldig dårlig."),
    "high_fatigue": _("Du svarte at du er veldig sliten."),
    "high_pain": _("Du svarte at du har mye vondt."),
    "measure_unknown": _("Du svarte «vet ikke» om «%(title)s»."),
    "nobody_contacted_overdue": _("Du svarte at ingen har kontaktet deg om «%(title)s»."),
    "not_started_nobody_contacted": _("Du svarte at ingen har kontaktet deg om «%(title)s»."),
    "not_started_waiting_list": _("Du står på venteliste til «%(title)s»."),
    "not_started_too_ill": _("Du er for sliten eller syk til «%(title)s»."),
    "not_started_no_transport": _("Du kommer deg ikke til «%(title)s»."),
    "not_started_not_understood": _("Du er usikker på hva du skal gjøre med «%(title)s»."),
    "not_started_not_wanted": _("Du vil ikke ha «%(title)s»."),
    "not_started_other": _("Du er ikke i gang med «%(title)s»."),
    "not_started_unsaid": _("Du er ikke i gang med «%(title)s»."),
    "wants_coordinator": _("Du vil ha en koordinator."),
    "wants_individual_plan": _("Du vil ha en individuell plan."),
    "passport_wrong": _("Du svarte at noe er feil i passet."),
}
REASON_ELSE = _("Noe du svarte.")

OUTCOMES: Mapping[str, str] = {
    "helped": _("Du har fått hjelp."),
    "measure_started": _("Tiltaket er i gang."),
    "referred": _("Saken er sendt videre til noen som kan hjelpe."),
    "advice": _("Du har fått råd."),
    "no_contact": _("De prøvde å nå deg, men fikk ikke svar."),
    "not_needed": _("Det trengtes ikke noe mer."),
}

MEASURE_STATES: Mapping[str, tuple[str, str, str | None]] = {
    "recommended": (_("Venter"), "wait", None),
    "not_started": (_("Ikke i gang"), "wait", None),
    "unknown": (_("Usikkert"), "wait", None),
    "started": (_("I gang"), "ok", "ok"),
    "done": (_("Ferdig"), "ok", "ok"),
    "declined": (_("Du vil ikke"), "", None),
    "cancelled": (_("Avlyst"), "", None),
}
# What somebody said about a measure, as a line of its history.
HISTORY: Mapping[str, str] = {
    "not_started": _("Ikke i gang"),
    "unknown": _("Usikker på om det er i gang"),
    "started": _("I gang"),
    "done": _("Ferdig"),
    "declined": _("Ikke ønsket"),
    "cancelled": _("Avlyst"),
}
WHY_NOT: Mapping[str, str] = {
    "nobody_contacted": _("Ingen har tatt kontakt"),
    "waiting_list": _("Står på venteliste"),
    "too_ill": _("For sliten eller syk"),
    "no_transport": _("Kommer seg ikke dit"),
    "not_understood": _("Usikker på hva som skal gjøres"),
    "not_wanted": _("Vil ikke"),
    "other": _("Noe annet"),
}
OWNERS: Mapping[str, str] = {
    "hospital": _("sykehuset"),
    "art": _("ambulant rehabiliteringsteam (ART)"),
    "municipality": _("kommunen"),
    "gp": _("fastlegen"),
    "nav": _("Nav"),
    "patient": _("du selv"),
}

SECTIONS: Mapping[str, tuple[str, str]] = {
    "matters": (_("Hva er viktig for meg"), "passport"),
    "talk": (_("Slik snakker du best med meg"), "communication"),
    "important": (_("Viktig å vite"), "important"),
    "function": (_("Slik fungerer jeg i hverdagen"), "walk"),
    "aids": (_("Hjelpemidlene mine"), "settings"),
    "medication": (_("Medisiner"), "medicine"),
}
# Short enough for a circle of the wheel.
WHEEL: Mapping[str, str] = {
    "gp": _("Fastlege"),
    "ward": _("Sykehuset"),
    "art": _("ART"),
    "physio": _("Fysioterapi"),
    "occupational": _("Ergoterapi"),
    "home_service": _("Hjemmetjeneste"),
    "coordinating_unit": _("Koordinerende enhet"),
    "coordinator": _("Koordinator"),
    "speech": _("Logoped"),
    "nav": _("Nav"),
    "employer": _("Arbeidsgiver"),
    "school": _("Skole"),
    "private_rehab": _("Privat rehab"),
    "aids_centre": _("Hjelpemidler"),
    "healthy_life": _("Friskliv"),
    "relative": _("Pårørende"),
    "user_organisation": _("Brukerforening"),
}
SCOPES: Mapping[str, tuple[str, str]] = {
    "passport": (_("Lese passet"), _("Det som er viktig å vite, og hvem de kan ringe.")),
    "measures": (_("Se tiltakene"), _("Hva som er anbefalt, og hvor langt det er kommet.")),
    "meetings": (_("Være med på møter"), _("De kan bli invitert til videomøter.")),
}
# The access log: the beginning of an action and what was done. The longest beginning counts.
ACCESS: Mapping[str, str] = {
    "passport": _("Leste passet"),
    "passport.write": _("Skrev i passet"),
    "passport.confirm": _("Bekreftet noe i passet"),
    "case": _("Leste saken din"),
    "worklist": _("Så navnet ditt på arbeidslista"),
    "patients": _("Så navnet ditt på en liste"),
    "coming_home": _("Så navnet ditt på en liste"),
    "call_list": _("Så navnet ditt på ringelista"),
    "flag": _("Fulgte opp svarene dine"),
    "meeting": _("Åpnet et videomøte med deg"),
    "meetings": _("Så på møtene dine"),
    "measures": _("Så på tiltakene dine"),
    "check_in": _("Leste svarene dine"),
    "check_in.phone": _("Stilte deg spørsmålene på telefon"),
    "grant": _("Registrerte hvem som får se"),
    "relative": _("Så navnet ditt på siden sin"),
    "discharged": _("Registrerte hjemreisen din"),
    "printed": _("Skrev ut arket du fikk med hjem"),
    "plan": _("Endret oppfølgingen din"),
    "contact": _("Endret hvordan vi når deg"),
    "contact.sms_agreed": _("Skrev ned at du vil svare på SMS"),
    "contact.sms_ended": _("Skrev ned at du ikke vil svare på SMS"),
    "messages": _("Så hva som ble av meldingene til deg"),
    "message.again": _("Sendte deg en melding på nytt"),
    "export": _("Tok ut en kopi av opplysningene dine"),
    "erase": _("Slettet opplysninger om deg"),
}
ACCESS_ELSE = _("Så på opplysninger om deg")

_PROBLEMS: Mapping[tuple[str, str], str] = {
    ("text", "missing"): _("Skriv noe først."),
    ("text", "too_long"): _("Det ble for langt. Skriv høyst 500 tegn."),
    ("text", "too_many"): _("Passet er fullt. Ta bort noe først."),
    ("name", "missing"): _("Skriv navnet."),
    ("name", "too_long"): _("Navnet er for langt."),
    ("phone", "missing"): _("Skriv mobilnummeret."),
    ("phone", "not_a_phone"): _("Dette er ikke et telefonnummer. Se etter om alle sifrene er med."),
    ("phone", "landline"): _("Dette er en fasttelefon. Skriv et mobilnummer, for vi sender en SMS."),
    ("birth_date", "missing"): _("Skriv fødselsdatoen. Den åpner lenken i meldingen."),
    ("birth_date", "not_a_date"): _("Skriv fødselsdatoen slik den er, for eksempel 09.10.1986."),
    ("relation", "missing"): _("Skriv hvem det er for deg, for eksempel datter."),
    ("relation", "too_long"): _("Skriv kortere, for eksempel datter."),
    ("scopes", "missing"): _("Velg minst én ting."),
    ("until", "missing"): _("Velg hvor lenge det skal vare."),
    ("until", "in_the_past"): _("Datoen er passert. Velg en senere."),
    ("until", "too_far"): _("Det kan vare i to år. Velg en tidligere dato."),
}
_PROBLEM_ELSE = _("Dette ble ikke riktig. Prøv en gang til.")


class PatientWords:
    """The tables in one reader's language. Templates get it as `words`."""

    def __init__(self, lang: str, now: datetime) -> None:
        self.lang, self.now = lang, now
        self._words = pages.translations(lang)

    def __call__(self, sentence: str, **values: object) -> str:
        """A sentence of the catalogue, with its values."""
        said = self._words.gettext(sentence)
        return said % values if values else said

    def yes_and_no(self) -> tuple[Mapping[str, str | None], ...]:
        """The cards of a question with two answers."""
        return (
            {"value": "true", "word": self(_("Ja")), "icon": "ok"},
            {"value": "false", "word": self(_("Nei")), "icon": "no"},
        )

    def answer_problem(self, question: Any, code: str, typed: str) -> str:
        """What is wrong with an answer, and what to do."""
        if code == "too_long":
            over = len(typed) - question.longest
            return self(
                _("Teksten er for lang. Det er plass til %(longest)s tegn. Ta bort %(over)s."),
                longest=question.longest,
                over=max(over, 1),
            )
        if question.kind == "text":
            return self(_("Skriv et svar."))
        return self(_("Velg et svar før du går videre."))

    def reason(self, flag: Flag, titles: Mapping[UUID, str]) -> str:
        """Why a human looks at it."""
        title = titles.get(flag.measure_id) if flag.measure_id else None
        sentence = REASONS.get(flag.code, REASON_ELSE)
        if "%(title)s" in sentence and not title:
            sentence = REASON_ELSE
        return self(sentence, title=title) if title else self(sentence)

    def reasons(self, flags: tuple[Flag, ...], titles: Mapping[UUID, str]) -> list[str]:
        """Each reason once, the gravest first."""
        return list(dict.fromkeys(self.reason(flag, titles) for flag in flags))

    def outcome(self, code: str | None) -> str | None:
        """What it came to."""
        return self(OUTCOMES[code]) if code and code in OUTCOMES else None

    def hour(self, value: time) -> str:
        """A wall-clock time: `kl. 10`, `kl. 10.30`."""
        shown = value.strftime("%H:%M" if self.lang == "en" else "%H.%M")
        return self(_("kl. %(time)s"), time=shown)

    def weekday(self, value: datetime) -> str:
        """`Tirsdag 24. november`: today said in full."""
        return pages.sentence(pages.say_weekday(value, lang=self.lang))

    def then(self, asked: CheckIn) -> str:
        """When a planned check-in comes: `i morgen kl. 10.00`."""
        day = pages.say_day(asked.local_date, lang=self.lang, now=self.now)
        return f"{day} {self.hour(asked.local_time)}"

    def by_when(self, measure: Any) -> str:
        """`Innen 8. desember`."""
        return self(_("Innen %(day)s"), day=self._date(measure.due_on))

    def task(self, measure: Measure, municipality: str) -> str:
        """Whose task it is, and by when while that is news."""
        return self._task(measure, self.owner(measure, municipality))

    def _task(self, measure: Measure | MeasureLine, owner: str) -> str:
        said = self(_("Ansvar: %(owner)s"), owner=owner)
        if self.overdue(measure):
            late = self(_("skulle vært i gang %(day)s"), day=self._date(measure.due_on))
            return f"{said} · {late}"
        return f"{said} · {_small(self.by_when(measure))}" if measure.open else said

    def owner(self, measure: Measure, municipality: str) -> str:
        """Whose task it is, as the person knows them."""
        if measure.owner == "municipality":
            return self(_("%(name)s kommune"), name=municipality)
        if measure.owner_unit:
            return measure.owner_unit.name
        return self(OWNERS[measure.owner])

    def state(self, status: str) -> tuple[str, str, str | None]:
        """How far a measure is: word, tone, icon."""
        word, tone, icon = MEASURE_STATES[status]
        return self(word), tone, icon

    def overdue(self, measure: Any) -> bool:
        """Whether it should have begun by now."""
        return bool(measure.open and measure.due_on < local_day(self.now))

    def history(self, status: str, reason: str | None) -> str:
        """One line of a measure's history."""
        said = self(HISTORY.get(status, MEASURE_STATES["recommended"][0]))
        return f"{said}: {_small(self(WHY_NOT[reason]))}" if reason and reason in WHY_NOT else said

    def section(self, key: str) -> tuple[str, str]:
        """Title and icon of a part of the passport."""
        title, icon = SECTIONS[key]
        return self(title), icon

    def spoke(self, role: str, relation: str | None = None) -> str:
        """Somebody's place in the wheel."""
        return pages.sentence(relation) if relation else self(WHEEL[role])

    def scope(self, key: str) -> str:
        """What a relative may do, in a few words."""
        return self(SCOPES[key][0])

    def scope_cards(self) -> list[dict[str, str]]:
        """What a relative may be let in to, as cards to tick."""
        return [{"value": key, "word": self(word), "by": self(by)} for key, (word, by) in SCOPES.items()]

    def wheel(self, spokes: Iterable[Spoke]) -> list[dict[str, str | None]]:
        """The people of the wheel, the missing ones kept when there is no room for all."""
        shown = sorted(spokes, key=lambda spoke: not spoke.missing)[:8]
        return [
            {"role": role, "name": _beside(role, one.name), "phone": one.phone}
            for one in spokes
            if one in shown and (role := self.spoke(one.role, one.relation))
        ]

    def callers(self, people: Iterable[WhomToCall]) -> list[dict[str, str | None]]:
        """Whom to call; the emergency numbers stand at the foot of every page."""
        return [
            {"name": one.name, "line": one.hours, "phone": one.phone}
            for one in people
            if one.role not in ("urgent", "emergency")
        ]

    def passport_task(self, measure: MeasureLine, municipality: str, mine: bool) -> str:
        """Whose task a measure is, and by when while that is news."""
        if measure.owner == "municipality":
            owner = self(_("%(name)s kommune"), name=municipality)
        else:
            owner = measure.unit or self(
                OWNERS[measure.owner] if mine or measure.owner != "patient" else _("pasienten selv")
            )
        return self._task(measure, owner)

    def relative_tabs(self) -> list[dict[str, str]]:
        """The relative's two tabs."""
        return [
            {"key": "home", "href": "/relative", "icon": "today", "word": self(_("Hjem"))},
            {"key": "meetings", "href": "/relative/meetings", "icon": "meetings", "word": self(_("Møter"))},
        ]

    def access(self, action: str) -> str:
        """What somebody did with the person's data."""
        parts = action.split(".")
        for length in range(len(parts), 0, -1):
            if known := ACCESS.get(".".join(parts[:length])):
                return self(known)
        return self(ACCESS_ELSE)

    def day(self, value: datetime) -> str:
        """`20. november`, with the year when it is another one."""
        return self._date(value.astimezone(pages.OSLO).date())

    def _date(self, value: date) -> str:
        this_year = value.year == local_day(self.now).year
        return (
            pages.say_day_of_month(value, lang=self.lang)
            if this_year
            else pages.say_date(value, lang=self.lang)
        )

    def problems(self, found: Mapping[str, str]) -> dict[str, str]:
        """A sentence for every field that does not do."""
        return {name: self(_PROBLEMS.get((name, code), _PROBLEM_ELSE)) for name, code in found.items()}


def _small(text: str) -> str:
    """For the middle of a line: only the first letter is lowered."""
    return text[:1].lower() + text[1:]


def _beside(role: str, name: str | None) -> str | None:
    """The name without the role it stands beside: `Koordinerende enhet, Tromsø` is `Tromsø`."""
    if name and name.casefold().startswith(role.casefold()):
        return name[len(role) :].strip(" ,–-") or name
    return name


def _patient_words(request: Request, now: Now, _signed: MaybeSigned) -> PatientWords:
    visitor = visitor_of(request)
    return PatientWords(visitor.lang if visitor and visitor.name else language_of(request), now)


Words = Annotated[PatientWords, Depends(_patient_words)]
