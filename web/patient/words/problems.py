"""What the patient typed and does not do."""

from collections.abc import Mapping

from web.house.words import Words, _

_PROBLEMS: Mapping[tuple[str, str], str] = {
    ("text", "missing"): _("Skriv noe først."),
    ("text", "too_long"): _("Det ble for langt. Skriv høyst 500 tegn."),
    ("text", "too_many"): _("Passet er fullt. Ta bort noe først."),
    ("name", "missing"): _("Skriv navnet."),
    ("name", "too_long"): _("Navnet er for langt."),
    ("phone", "missing"): _("Skriv mobilnummeret."),
    ("phone", "not_a_phone"): _("Dette er ikke et telefonnummer. Se etter om alle sifrene er med."),
    ("phone", "landline"): _("Dette nummeret tar ikke imot SMS. Skriv et mobilnummer, for vi sender en SMS."),
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


class ProblemWords(Words):
    """A sentence for every field that does not do."""

    def problems(self, found: Mapping[str, str]) -> dict[str, str]:
        """A sentence for every field that does not do."""
        return {name: self(_PROBLEMS.get((name, code), _PROBLEM_ELSE)) for name, code in found.items()}
