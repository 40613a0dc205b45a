"""What is said of a list, in plain words for whoever exported it: the line, what happened to it, and how to export instead."""

from collections.abc import Mapping

from companion import library
from companion.catalogues import translations
from companion.exchange.hospital_list.told import FILE, Said
from companion.rules.texts import SOURCE_LANGUAGE


# Only marks a sentence for the catalogue.
def _(text: str) -> str:
    return text


_EXPORT = _(
    "Hent lista på nytt fra fagsystemet, og lagre den som Excel-arbeidsbok (.xlsx) eller «CSV UTF-8»."
)
_AS_TEXT = _(
    "Formater kolonnen som «Tekst» før lista limes inn i Excel, eller hent den på nytt og send den uten å åpne den i Excel."
)

_FILE_IS: Mapping[str, tuple[str, ...]] = {
    "is_empty": (_("Fila er tom."), _EXPORT),
    "is_damaged": (_("Fila er skadet eller ikke ferdig lagret; den lar seg ikke åpne."), _EXPORT),
    "is_too_large": (
        _("Arbeidsboka pakkes ut til mye mer enn en liste kan være; vi åpner den ikke."),
        _EXPORT,
    ),
    "is_old_excel": (
        _("Dette er en eldre Excel-fil (.xls), eller en arbeidsbok med passord."),
        _("Åpne den i Excel, ta bort passordet, og velg «Lagre som», «Excel-arbeidsbok (.xlsx)»."),
    ),
    "is_other_workbook": (
        _("Dette er et regneark av et annet slag enn .xlsx."),
        _("Åpne det, og velg «Lagre som», «Excel-arbeidsbok (.xlsx)»."),
    ),
    "has_macros": (
        _("Arbeidsboka har makroer; slike åpner vi ikke."),
        _("Lagre den som «Excel-arbeidsbok (.xlsx)», uten makroer."),
    ),
    "is_zip": (_("Dette er en pakket fil (zip)."), _("Pakk den ut, og send selve lista.")),
    "is_pdf": (_("Dette er en PDF. Den kan vi ikke lese en liste fra."), _EXPORT),
    "is_document": (_("Dette er et tekstdokument (Word), ikke en liste."), _EXPORT),
    "is_picture": (_("Dette er et bilde, ikke en liste."), _EXPORT),
    "is_html": (_("Dette er en nettside (HTML), også om fila heter .xls eller .csv."), _EXPORT),
    "is_mail": (_("Dette er en e-post, ikke lista som lå ved."), _("Lagre vedlegget, og send det.")),
    "is_hl7": (
        _("Dette er en HL7 v2-melding (%(what)s), ikke en liste."),
        _("Følge leser ikke slike meldinger her."),
        _EXPORT,
    ),
    "is_fhir": (
        _("Dette er FHIR (%(what)s), ikke en liste."),
        _("Følge leser ikke FHIR her."),
        _EXPORT,
    ),
    "is_edifact": (_("Dette er en EDIFACT-melding, ikke en liste."), _EXPORT),
    "is_xml_message": (_("Dette er en XML-melding, for eksempel en epikrise, ikke en liste."), _EXPORT),
    "is_xml": (_("Dette er XML, ikke en liste."), _EXPORT),
    "is_json": (
        _("Dette er JSON, ikke en liste."),
        _("Programmer leverer JSON til POST /api/v1/discharges."),
        _EXPORT,
    ),
    "is_something_else": (_("Dette er ikke en liste."), _EXPORT),
    "is_garbled": (
        _("Æ, ø og å er ødelagt: fila er lagret som UTF-8, men åpnet som noe annet."),
        _EXPORT,
    ),
    "letters_unknown": (
        _(
            "Vi vet ikke hvordan bokstavene er skrevet: fila er hverken UTF-8 eller Windows-1252, eller den er begge deler."
        ),
        _EXPORT,
    ),
    "has_nul": (_("Fila har tomme tegn (NUL) midt i teksten; den er skadet."), _EXPORT),
    "line_too_long": (_("Linja er lengre enn %(most)s tegn; slik ser ingen rad ut."), _EXPORT),
    "quote_open": (
        _("Et anførselstegn åpnes og lukkes ikke, eller står for seg selv."),
        _("Ta det bort, eller skriv det dobbelt."),
    ),
    "no_header": (
        _("Vi finner ingen linje med kolonnenavn. Lista må begynne med en slik: %(columns)s."),
        _("Norske navn går også, som «Fødselsnummer», «Navn», «Mobil», «Utskrevet»."),
    ),
    "other_count": (
        _("Raden har ikke like mange felter som overskriften."),
        _("Står det skilletegn i en tekst, må teksten ha anførselstegn rundt seg."),
    ),
}
_COLUMN: Mapping[str, str] = {
    "column_missing": _("Kolonnen mangler."),
    "column_unknown": _(
        "Denne kolonnen kjenner vi ikke. Ta den bort, eller gi den et av navnene: %(columns)s."
    ),
    "column_twice": _("Kolonnen er der to ganger: %(names)s. Ta bort den ene."),
}
_CELL: Mapping[str, tuple[str, ...]] = {
    "missing": (_("mangler."),),
    "too_long": (_("er for langt."),),
    "too_many": (_("har mer enn 30 tiltak."),),
    "scientific": (
        _(
            "er skrevet som et regnestykke (5,9E+09): Excel har tatt det for et tall, og de siste sifrene er borte."
        ),
        _AS_TEXT,
    ),
    "a_digit_missing": (
        _(
            "har 10 siffer, og kontrollsifrene stemmer ikke når vi setter en null foran. Noe mer enn nullen er borte."
        ),
        _AS_TEXT,
    ),
    "excel_day_number": (
        _("er et tall: slik teller Excel dager."),
        _("Formater kolonnen som dato (ÅÅÅÅ-MM-DD), og lagre på nytt."),
    ),
    "hashes": (
        _("er bare ####: kolonnen var for smal da Excel skrev ut lista."),
        _("Gjør den bredere, og lagre på nytt."),
    ),
    "formula_error": (
        _("er en feil i en Excel-formel, som #NAVN? eller #REF!."),
        _("Lim inn lista som verdier, og lagre på nytt."),
    ),
    "two_days": (
        _("kan leses som to ulike dager."),
        _("Skriv ÅÅÅÅ-MM-DD eller dd.mm.åååå."),
    ),
    "not_a_national_id": (_("er ikke et gyldig fødselsnummer eller D-nummer."), _("Det har 11 siffer.")),
    "synthetic_not_allowed": (_("er et testnummer. Slike tas ikke imot her."),),
    "not_a_name": (_("har ingen bokstaver."),),
    "garbled": (
        _("har tegn som ikke hører hjemme der: æ, ø, å eller samiske bokstaver er ødelagt på veien."),
        _EXPORT,
    ),
    "name_order": (
        _("kan leses begge veier: vi vet ikke hva som er fornavn og hva som er etternavn."),
        _("Skriv «Nordmann, Ola», eller del i kolonnene «Fornavn» og «Etternavn»."),
        _("Med --accept-names tas navnet som det står, og vi hilser uten navn."),
    ),
    "not_a_phone": (_("er ikke et telefonnummer. La feltet stå tomt når personen ikke har noe."),),
    "not_a_language": (_("må være nb, nn, se eller en."),),
    "unknown_municipality": (_("er ingen kommune vi kjenner. Skriv de fire sifrene."),),
    "two_municipalities": (_("er navnet på flere kommuner. Skriv de fire sifrene."),),
    "old_municipality": (_("er et gammelt kommunenummer. Nå er det %(hint)s."),),
    "unknown_ward": (
        _("er ikke nøkkelen til en post du kan skrive ut fra."),
        _("Se «python -m companion unit list»."),
    ),
    "not_a_date": (_("er ikke en dato."), _("Skriv ÅÅÅÅ-MM-DD eller dd.mm.åååå.")),
    "too_far": (_("er for langt unna."),),
    "unknown_template": (_("er ikke en oppfølgingsmal vi kjenner. Malene heter %(templates)s."),),
    "not_a_time": (_("er ikke et klokkeslett. Skriv TT:MM, eller la feltet stå tomt."),),
    "quiet_hour": (
        _(
            "er et klokkeslett da ingen meldinger sendes. Skriv et fra 06:00 til 21:30, eller la feltet stå tomt."
        ),
    ),
    "not_a_measure": (_("må skrives «tiltak|ansvarlig|dager», med « & » mellom tiltakene."),),
    "unknown_owner": (_("må være hospital, art, municipality, gp, nav eller patient."),),
    "not_a_number": (_("må være et helt antall dager."),),
    "not_a_field": (_("er ikke et felt vi kjenner."),),
    "not_text": (_("er ikke tekst."),),
    "not_an_object": (_("er ikke et objekt."),),
    "row_count": (_("må være fra 1 til %(most)s."),),
    "died": (_("hører til en person som er registrert død."),),
    "other_name": (
        _("hører til en person som heter noe annet hos oss. Sjekk både nummeret og navnet."),
        _("Har personen fått nytt navn, bruk skjemaet for utskriving i Følge."),
    ),
    "from_when": (
        _("er mer enn 7 dager siden. Fra hvilken dag skal vi skrive til personen?"),
        _("Gi dagen med --from ÅÅÅÅ-MM-DD. Programmer gir den som write_from."),
    ),
    # Of rows that do.
    "zero_restored": (
        _(
            "hadde 10 siffer: Excel har tatt bort nullen foran. Vi satte den tilbake, for begge kontrollsifrene stemmer da."
        ),
    ),
    "no_sms": (_("tar ikke imot SMS. Personen står på ringelista."),),
    "no_phone": (_("mangler. Personen står på ringelista, og må nås gjennom pårørende eller med brev."),),
    "greeted_without_name": (_("er tatt som det står. Vi hilser uten navn."),),
    "measure_retitled": (
        _("ligner et tiltak personen har fra før, med et annet navn. Vi la ikke til et nytt."),
        _("Er det et nytt tiltak, importer igjen med --new-measures."),
    ),
}
_FIELDS: Mapping[str, str] = {
    "file": _("fila"),
    "national_id": _("fødselsnummer"),
    "name": _("navn"),
    "phone": _("telefon"),
    "language": _("språk"),
    "municipality_number": _("kommunenummer"),
    "ward": _("post"),
    "discharged_on": _("utskrivingsdag"),
    "template": _("oppfølgingsmal"),
    "hour": _("klokkeslett"),
    "measures": _("tiltak"),
    "write_from": _("første dag vi skriver"),
    "title": _("tittel"),
    "owner": _("ansvarlig"),
    "due": _("frist"),
    "why": _("begrunnelse"),
}


class ListWords:
    """The sentences in one reader's language."""

    def __init__(self, lang: str = SOURCE_LANGUAGE) -> None:
        self._words = translations(lang)

    def line(self, said: Said) -> str:
        """All of it, as it stands on a line of its own."""
        return self._say(
            _("Linje %(line)s, %(field)s: %(reason)s"),
            line=said.line,
            field=self.field(said),
            reason=self.reason(said),
        )

    def field(self, said: Said) -> str:
        """Which column, in words; a measure with its number and what of it."""
        column, _rest, place = said.field.partition(".")
        number, _rest, part = place.partition(".")
        named = self._named(column)
        if number:
            named = self._say(_("%(column)s nr. %(number)s"), column=named, number=number)
        return f"{named}, {self._named(part)}" if part else named

    def reason(self, said: Said) -> str:
        """What is wrong and what to do about it."""
        code, _colon, hint = said.code.partition(":")
        if code in _COLUMN:
            return self._say(_COLUMN[code], **said.values)
        sentences = _FILE_IS[code] if said.field == FILE else _CELL[code]
        values = {"hint": hint, "templates": ", ".join(library.TEMPLATE_KEYS), **said.values}
        return " ".join(self._say(one, **values) for one in sentences)

    def _named(self, column: str) -> str:
        return self._say(_FIELDS[column]) if column in _FIELDS else f"«{column}»"

    def _say(self, sentence: str, /, **values: object) -> str:
        return self._words.gettext(sentence) % _Known(values)


class _Known(dict[str, object]):
    """Values of a sentence; what nobody gave is left out."""

    def __missing__(self, key: str) -> str:
        return "?"
