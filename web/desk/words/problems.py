"""What was typed and does not do."""

from collections.abc import Mapping

from web.house.words import Words, _

# What was typed and does not do. `Sentences.problem` may have a sentence of a field's own.
PROBLEMS: Mapping[str, str] = {
    "missing": _("Fyll ut dette feltet."),
    "too_long": _("Dette er for langt. Skriv kortere."),
    "not_a_name": _("Skriv navnet med bokstaver."),
    "garbled": _("Noen bokstaver er ødelagt. Skriv dem på nytt."),
    "name_order": _("Vi vet ikke hva som er fornavn. Skriv Ola Nordmann, eller Nordmann, Ola."),
    "two_municipalities": _("Flere kommuner heter det. Velg en fra lista."),
    "not_a_number": _("Skriv et tall, for eksempel 14."),
    "not_a_national_id": _("Dette er ikke et gyldig fødselsnummer. Det har 11 siffer."),
    "synthetic_not_allowed": _("Dette er et testnummer. Det kan ikke brukes her."),
    "not_a_phone": _("Dette er ikke et telefonnummer. Skriv for eksempel 400 00 000."),
    "landline": _("Dette nummeret tar ikke imot SMS. Skriv et mobilnummer."),
    "unknown_municipality": _("Vi kjenner ikke kommunen. Velg en fra lista."),
    "old_municipality": _("Det er et gammelt kommunenummer. Nå er det %(hint)s."),
    "unknown_ward": _("Du hører ikke til en slik post. Velg en fra lista."),
    "unknown_template": _("Velg en mal fra lista."),
    "unknown_owner": _("Velg hvem som har ansvaret."),
    "unknown": _("Velg et av svarene."),
    "not_a_date": _("Skriv en dato som finnes."),
    "too_far": _("Datoen er for langt unna."),
    "not_a_time": _("Skriv et klokkeslett, for eksempel 10:00."),
    "quiet_hour": _("Da sender vi ingen meldinger. Velg et klokkeslett fra 06.00 til 21.30."),
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
    "nobody_there": _("Ingen er på jobb i den enheten nå. Velg en annen."),
    "not_a_time_limit": _("Velg en virkedag innen 30 dager."),
    "not_a_way": _("Velg hvordan vi tar kontakt."),
    "said_stop": _("Personen har svart STOPP på dette nummeret. START på SMS åpner det igjen."),
    "before_birth": _("Datoen er før personen ble født."),
    "required": _("Svar på dette spørsmålet."),
    "not_an_option": _("Velg et av svarene."),
    "too_small": _("Tallet er for lite."),
    "too_large": _("Tallet er for stort."),
}

# A sentence of a field's own.
FIELDS: Mapping[tuple[str, str], str] = {
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
    ("email", "missing"): _("Skriv e-postadressen."),
    ("email", "wrong"): _("Dette er ikke en e-postadresse. Skriv for eksempel kari@unn.no."),
    ("phone", "landline"): _("Dette nummeret tar ikke imot SMS. Skriv et mobilnummer."),
    ("role", "unknown"): _("Velg en rolle fra lista."),
    ("section", "unknown"): _("Velg en del av passet."),
    ("reason", "missing"): _("Velg hvorfor."),
    ("died_on", "missing"): _("Velg dagen personen døde."),
    ("unit", "missing"): _("Velg en enhet."),
    ("starts_at", "missing"): _("Velg dag og klokkeslett."),
    ("starts_at", "past"): _("Tidspunktet er passert. Velg et senere."),
    ("starts_at", "clash"): _("Du har et annet møte da. Velg et annet tidspunkt."),
}


class ProblemWords(Words):
    """A sentence for every field that does not do."""

    def problem(self, field: str, code: str) -> str:
        """What is wrong with a field; in `measures.2.title` the last word is the field and the number is said."""
        parts = field.split(".")
        code, _colon, hint = code.partition(":")
        said = self(FIELDS.get((parts[-1], code)) or PROBLEMS.get(code, PROBLEMS["unknown"]))
        said = said % {"hint": hint} if hint else said
        if parts[0] == "measures" and len(parts) == 3:
            return self(_("Tiltak %(number)s: %(sentence)s"), number=parts[1], sentence=said)
        if parts[0] == "relative" and len(parts) == 2:
            return self(_("Pårørende: %(sentence)s"), sentence=said)
        return said

    def problems(self, found: Mapping[str, str]) -> dict[str, str]:
        """A sentence for every field that does not do."""
        return {field: self.problem(field, code) for field, code in found.items()}
