"""The header of a list: our columns under the names hospitals give them, in any order, any case."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from companion.exchange.hospital_list.told import Said, Unreadable, file_is
from companion.rules.names import folded, looks_garbled

COLUMNS = (
    "national_id",
    "name",
    "phone",
    "language",
    "municipality_number",
    "ward",
    "discharged_on",
    "template",
    "hour",
    "measures",
)
GIVEN, FAMILY = "given_name", "family_name"
# May be left out of a list: the template's hour counts, letters are in bokmål, and measures may be written later.
_OPTIONAL = ("hour", "measures", "language", "phone")
_ALSO_CALLED = {
    "national_id": "fødselsnummer fødselsnr fnr f.nr pnr personnummer personnr fødselsnummer/d-nummer d-nummer "
    "fødsels-_og_personnummer fødselsnummer_(11_siffer) id-nummer pasient-id_(fnr) nasjonal_id nin ssn",
    "name": "navn pasient pasientnavn fullt_navn etternavn,_fornavn navn_(etternavn,_fornavn) patient_name full_name",
    GIVEN: "fornavn fornavn_og_mellomnavn fornavn/mellomnavn first_name given_name",
    FAMILY: "etternavn slektsnavn last_name surname family_name",
    "phone": "mobil mobilnr mobilnummer mobiltelefon telefon telefonnr telefonnummer tlf tlf.nr tlf_mobil telefon_mobil "
    "mobil_tlf mobile phone_number",
    "language": "språk målform pasientens_språk språkkode",
    "municipality_number": "kommunenr kommunenummer kommune bostedskommune hjemkommune kommune_nr komm.nr knr "
    "bosted_kommunenr municipality",
    "ward": "avdeling avd post sengepost seksjon enhet avdelingskode utskrevet_fra utskrivende_enhet ward_key",
    "discharged_on": "utskrevet utskrivingsdato utskrivningsdato utskriving utskrivning utskrevet_dato dato_utskrevet "
    "utskrivelsesdato utdato ut-dato utskrives utskr.dato utskrivingsdag hjemreise hjemreisedato discharge_date discharged",
    "template": "mal plan oppfølgingsmal oppfølgingsplan planmal forløp pasientgruppe plan_template",
    "hour": "klokkeslett kl klokka tid tidspunkt time",
    "measures": "tiltak anbefalte_tiltak tiltaksliste anbefalinger measure",
}
_KNOWN = {
    folded(name.replace("_", " ")).replace(" ", ""): column
    for column, names in _ALSO_CALLED.items()
    for name in (*names.split(), column)
}
# Fewer names that we know make no header.
_FEWEST = 3


@dataclass(frozen=True)
class Header:
    """Which column each place of a row is; None for places without a name."""

    places: tuple[str | None, ...]

    def cells(self, row: Sequence[str]) -> dict[str, str] | None:
        """The row's cells by column; None when it has more or fewer than the header, or something where no name stands."""
        if len(row) < len(self.places) or any(cell.strip() for cell in row[len(self.places) :]):
            return None
        found = dict.fromkeys(COLUMNS, "")
        for column, cell in zip(self.places, row, strict=False):
            if column:
                found[column] = cell
            elif cell.strip():
                return None
        return found


def is_header(row: Sequence[str]) -> bool:
    """Whether these are names of columns, and not a title above them or a person."""
    return sum(_column(name) is not None for name in row) >= _FEWEST


def header_of(row: Sequence[str], line: int) -> Header:
    """The header. Raises `Unreadable` with every fault at once."""
    if any(looks_garbled(name) for name in row):
        raise file_is("is_garbled", line)
    if not is_header(row):
        raise file_is("no_header", line, columns=", ".join(COLUMNS))
    named = tuple(_trimmed(row))
    places = tuple(_column(name) if name.strip() else None for name in named)
    if faults := [*_faults(named, places, line)]:
        raise Unreadable(*faults)
    return Header(places)


def _trimmed(row: Sequence[str]) -> Sequence[str]:
    """Without the empty names that Excel leaves at the end."""
    last = max((at for at, name in enumerate(row) if name.strip()), default=-1)
    return row[: last + 1]


def _column(name: str) -> str | None:
    return _KNOWN.get(folded(name.replace("_", " ")).replace(" ", ""))


def _faults(named: Sequence[str], places: Sequence[str | None], line: int) -> Iterator[Said]:
    there = set(places)
    for column in COLUMNS:
        together = column == "name" and {GIVEN, FAMILY} <= there
        if column not in there and column not in _OPTIONAL and not together:
            yield Said(line, column, "column_missing")
    for name, place in zip(named, places, strict=True):
        if name.strip() and place is None:
            yield Said(line, name.strip()[:40], "column_unknown", {"columns": ", ".join(COLUMNS)})
    for known in (*COLUMNS, GIVEN, FAMILY):
        if places.count(known) > 1:
            names = [name.strip()[:40] for name, one in zip(named, places, strict=True) if one == known]
            yield Said(line, known, "column_twice", {"names": " / ".join(names)})
    if "name" in there and there & {GIVEN, FAMILY}:
        yield Said(line, "name", "column_twice", {"names": "name / given_name / family_name"})
