"""Lists as hospitals really export them: read as they were meant, or refused in a sentence somebody can act on."""

import io
import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from companion.exchange.hospital_list.told import Said
from companion.models import CheckIn, Measure, Message, Patient, Stay
from companion.rules.national_id import make_synthetic
from companion.rules.quiet_hours import is_message_day
from companion.use_cases.going_home import import_
from companion.use_cases.going_home.import_ import COLUMNS, Report
from companion.use_cases.going_home.list_words import ListWords
from companion.use_cases.going_home.listed import Answers
from companion.use_cases.messages import letter as letters
from tests import cast

# Born on the fourth: its number begins with a zero.
KARI = {
    "national_id": cast.KARI_ID,
    "name": "Kåre Ærø",
    "phone": "400 00 001",
    "language": "nb",
    "municipality_number": "5501",
    "ward": "unn-post3",
    "discharged_on": "2026-11-10",
    "template": "stroke",
    "hour": "10:00",
    "measures": "Fysioterapi|municipality|14",
}
NORWEGIAN = "Fødselsnummer;Navn;Mobil;Språk;Kommunenr;Avdeling;Utskrevet;Mal;Klokkeslett;Tiltak"


@pytest.fixture(autouse=True)
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


def listed(*rows: dict[str, str], delimiter: str = ";", end: str = "\r\n") -> str:
    lines = [delimiter.join(COLUMNS), *(delimiter.join(row.values()) for row in rows)]
    return "".join(f"{line}{end}" for line in lines)


def load(db: Session, file: bytes | str, now: datetime, *, answers: Answers | None = None) -> Report:
    raw = file.encode() if isinstance(file, str) else file
    return import_.import_discharges(db, cast.IMPORT, [raw], answers=answers, settings=cast.SETTINGS, now=now)


def said(report: Report) -> list[str]:
    return [ListWords().line(one) for one in (*report.problems, *report.notes)]


def the_patient(db: Session) -> Patient:
    return db.scalars(select(Patient)).one()


READ_AS_THEY_WERE_MEANT = {
    "lines of an old Mac": listed(KARI, end="\r").encode(),
    "no last line end": listed(KARI).rstrip().encode(),
    "tabs": listed(KARI, delimiter="\t").encode(),
    "commas": listed(KARI, delimiter=",").encode(),
    "sep=": f"sep=;\r\n{listed(KARI)}".encode(),
    "sep= of another kind": f"sep=,\r\n{listed(KARI, delimiter=',')}".encode(),
    "UTF-8 with its mark": listed(KARI).encode("utf-8-sig"),
    "UTF-16 with its mark": listed(KARI).encode("utf-16"),
    "UTF-16 without": listed(KARI).encode("utf-16-le"),
    "UTF-16, the other way round": listed(KARI).encode("utf-16-be"),
    "Windows-1252": listed(KARI).encode("cp1252"),
    "a quoted header": listed(KARI).replace("national_id;name", '"national_id";"name"').encode(),
    '="…"': listed(KARI | {"national_id": f'="{cast.KARI_ID}"', "phone": '="40000001"'}).encode(),
    '"=""…"""': listed(KARI | {"national_id": f'"=""{cast.KARI_ID}"""'}).encode(),
    "an apostrophe against counting": listed(KARI | {"national_id": f"'{cast.KARI_ID}"}).encode(),
    "a number in two parts": listed(
        KARI | {"national_id": f"{cast.KARI_ID[:6]} {cast.KARI_ID[6:]}"}
    ).encode(),
    "empty columns at the end": listed(KARI).replace("\r\n", ";;;\r\n").encode(),
    "empty columns in the header alone": listed(KARI).replace("measures\r", "measures;;;\r").encode(),
    "Norwegian names": listed(KARI).replace(";".join(COLUMNS), NORWEGIAN).encode(),
    "Norwegian names in capitals": listed(KARI).replace(";".join(COLUMNS), NORWEGIAN.upper()).encode(),
    "a title above": f"Utskrivinger uke 46\r\n\r\n{listed(KARI)}".encode(),
    "a break within a cell": listed(KARI | {"name": "Kåre\rÆrø"}).encode(),
    "a quoted break": listed(KARI | {"name": '"Kåre\r\nÆrø"'}).encode(),
    "dd.mm.yyyy": listed(KARI | {"discharged_on": "10.11.2026"}).encode(),
    "d.m.yy": listed(KARI | {"discharged_on": "10.11.26"}).encode(),
    "a day with a time": listed(KARI | {"discharged_on": "2026-11-10 00:00:00"}).encode(),
    "a Norwegian day with a time": listed(KARI | {"discharged_on": "10.11.2026 13:45"}).encode(),
    "a moment": listed(KARI | {"discharged_on": "2026-11-10T13:45:00+01:00"}).encode(),
    "a moment of another day in Greenwich": listed(KARI | {"discharged_on": "2026-11-09T23:30:00Z"}).encode(),
    "a day in words": listed(KARI | {"discharged_on": "10. november 2026"}).encode(),
    "a day of a program": listed(KARI | {"discharged_on": "20261110"}).encode(),
    "words for codes": listed(
        KARI
        | {"language": "Bokmål", "template": "Hjerneslag", "hour": "kl. 10", "municipality_number": "Tromsø"}
    ).encode(),
    "Norwegian owners": listed(KARI | {"measures": "Fysioterapi|Kommune|14 dager"}).encode(),
    "the ward by its name": listed(KARI | {"ward": '"Post 3, UNN Tromsø"'}).encode(),
    "capitals and a comma": listed(KARI | {"name": "ÆRØ, KÅRE"}).encode(),
    "a telephone by its kind": listed(KARI | {"phone": "Tlf. 400 00 001"}).encode(),
    "a number that was a decimal": listed(
        KARI | {"phone": "40000001.0", "municipality_number": "5501.0"}
    ).encode(),
    "a municipality by number and name": listed(KARI | {"municipality_number": "5501 Tromsø"}).encode(),
    "a municipality as it calls itself": listed(KARI | {"municipality_number": "TROMSØ KOMMUNE"}).encode(),
    "a moment of an old program": listed(KARI | {"discharged_on": "20261110134500"}).encode(),
    "no language, no hour": listed(KARI | {"language": "", "hour": ""}).encode(),
    "a surname in capitals": listed(KARI | {"name": "ÆRØ Kåre"}).encode(),
    "a zero that callers at home dial": listed(KARI | {"phone": "+47 (0)400 00 001"}).encode(),
}


@pytest.mark.parametrize("how", READ_AS_THEY_WERE_MEANT)
def test_a_list_is_read_as_it_was_meant(db: Session, now: datetime, how: str) -> None:
    report = load(db, READ_AS_THEY_WERE_MEANT[how], now)

    assert (said(report), report.created) == ([], 1)
    kari, stay = the_patient(db), db.scalars(select(Stay)).one()
    assert (kari.national_id, kari.name, kari.phone) == (cast.KARI_ID, "Kåre Ærø", cast.KARI_PHONE)
    assert (kari.given_name, kari.family_name) == ("Kåre", "Ærø")
    assert (kari.municipality_number, stay.discharged_on) == ("5501", date(2026, 11, 10))
    assert [(one.title, one.owner) for one in stay.measures] == [("Fysioterapi", "municipality")]


def test_given_and_family_name_in_columns_of_their_own(db: Session, now: datetime) -> None:
    header = NORWEGIAN.replace("Navn", "Etternavn;Fornavn")
    row = ";".join(KARI.values()).replace("Kåre Ærø", "NORDMANN;OLA")
    assert load(db, f"{header}\n{row}\n", now).created == 1
    assert (the_patient(db).given_name, the_patient(db).name) == ("Ola", "Ola Nordmann")


def test_a_lost_zero_is_put_back_where_both_control_digits_agree_and_that_is_said(
    db: Session, now: datetime
) -> None:
    report = load(db, listed(KARI | {"national_id": cast.KARI_ID.removeprefix("0")}), now)
    assert (report.created, the_patient(db).national_id) == (1, cast.KARI_ID)
    assert said(report) == [
        "Linje 2, fødselsnummer: hadde 10 siffer: Excel har tatt bort nullen foran. "
        "Vi satte den tilbake, for begge kontrollsifrene stemmer da."
    ]


def test_a_number_of_somebody_called_otherwise_changes_nobody(db: Session, now: datetime) -> None:
    load(db, listed(KARI), now)
    report = load(db, listed(KARI | {"name": "Ola Hansen", "phone": "400 00 009"}), now)
    assert [(one.field, one.code) for one in report.problems] == [("national_id", "other_name")]
    assert (the_patient(db).name, the_patient(db).phone) == ("Kåre Ærø", cast.KARI_PHONE)
    married = load(db, listed(KARI | {"name": "HANSEN, KÅRE"}), now)
    assert (married.problems, the_patient(db).name) == ([], "Kåre Hansen")


def test_a_number_that_lost_more_than_its_zero_is_nobody(db: Session, now: datetime) -> None:
    lost = cast.KARI_ID[1:9] + cast.KARI_ID[10] + cast.KARI_ID[9]
    assert [one.code for one in load(db, listed(KARI | {"national_id": lost}), now).problems] == [
        "a_digit_missing"
    ]


def test_the_zero_of_oslo_is_known(db: Session, now: datetime) -> None:
    assert load(db, listed(KARI | {"municipality_number": "301"}), now).problems == []
    assert the_patient(db).municipality_number == "0301"


@pytest.mark.parametrize(
    ("column", "cell", "told"),
    [
        ("national_id", "4,05858E+09", "fødselsnummer: er skrevet som et regnestykke"),
        ("national_id", "4.05858E+9", "de siste sifrene er borte"),
        ("phone", "4E+07", "telefon: er skrevet som et regnestykke"),
        ("discharged_on", "46336", "slik teller Excel dager"),
        ("discharged_on", "########", "kolonnen var for smal"),
        ("phone", "#NAVN?", "er en feil i en Excel-formel"),
        ("national_id", "###########", "kolonnen var for smal"),
        ("municipality_number", "Herøy", "er navnet på flere kommuner"),
        ("discharged_on", "05/11/2026", "kan leses som to ulike dager"),
        ("discharged_on", "31.11.2026", "er ikke en dato"),
        ("name", "Ã…se BjÃ¸rk", "er ødelagt på veien"),
        ("name", "K?re Bj\ufffdrk", "er ødelagt på veien"),
        ("name", "NORDMANN OLA", "vi vet ikke hva som er fornavn"),
        ("measures", "GÃ¥ tur|patient|3", "tiltak nr. 1, tittel: har tegn"),
        ("municipality_number", "5401", "er et gammelt kommunenummer. Nå er det 5501 Tromsø."),
        ("ward", "post 99", "er ikke nøkkelen til en post"),
    ],
)
def test_what_cannot_be_known_is_named_by_line(
    db: Session, now: datetime, column: str, cell: str, told: str
) -> None:
    report = load(db, listed(KARI | {column: cell}), now)
    assert [sentence for sentence in said(report) if sentence.startswith("Linje 2, ") and told in sentence]
    assert (report.rejected, db.scalar(select(func.count()).select_from(Patient))) == (1, 0)


def test_a_name_nobody_can_read_is_taken_when_somebody_says_so_and_greeted_without(
    db: Session, now: datetime
) -> None:
    report = load(db, listed(KARI | {"name": "NORDMANN OLA"}), now, answers=Answers(accept_names=True))
    kari = the_patient(db)
    assert (report.created, kari.name, kari.greeted_as, kari.given_name) == (1, "NORDMANN OLA", "", None)
    assert said(report) == ["Linje 2, navn: er tatt som det står. Vi hilser uten navn."]
    letter = letters.load(db, db.scalars(select(Message.id)).all())[0]
    assert letter.patient
    assert letter.patient.greeted_as == ""


@pytest.mark.parametrize("phone", ["815 00 000", "02800", "800 30 061", "77 00 00 10", ""])
def test_who_cannot_get_an_sms_is_on_the_call_list(db: Session, now: datetime, phone: str) -> None:
    report = load(db, listed(KARI | {"phone": phone}), now)
    assert (report.created, the_patient(db).contact_by) == (1, "call")
    assert "Personen står på ringelista" in said(report)[0]
    assert db.scalars(select(Message)).all() == []


def book(*rows: list[Any]) -> bytes:
    workbook = Workbook()
    sheet: Any = workbook.active
    for row in ([*COLUMNS], *rows):
        sheet.append(row)
    workbook.create_sheet("Notater").append(["ikke her"])
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def test_a_workbook_is_read_cell_by_cell_as_numbers_days_and_times(db: Session, now: datetime) -> None:
    cells = [
        int(cast.KARI_ID),
        "Kåre Ærø",
        40000001,
        "nb",
        5501,
        "unn-post3",
        date(2026, 11, 10),
        "stroke",
        time(10),
    ]
    report = load(db, book([*cells, "Fysioterapi|municipality|14"], [None] * 10), now)
    assert (report.created, [one.code for one in report.notes]) == (1, ["zero_restored"])
    assert (the_patient(db).national_id, the_patient(db).phone) == (cast.KARI_ID, cast.KARI_PHONE)
    assert db.scalars(select(Stay.discharged_on)).one() == date(2026, 11, 10)


def test_a_workbook_whose_looks_are_unknown_says_nothing_on_the_console(
    db: Session, now: datetime, recwarn: pytest.WarningsRecorder
) -> None:
    whole = zipfile.ZipFile(io.BytesIO(book(list(KARI.values()))))
    bare = io.BytesIO()
    with zipfile.ZipFile(bare, "w") as packed:
        for name in whole.namelist():
            plain = whole.read(name).replace(b"cellStyle ", b"x ").replace(b"cellStyles", b"xs")
            packed.writestr(name, plain if name.endswith("styles.xml") else whole.read(name))
    load(db, bare.getvalue(), now)
    assert [str(one.message) for one in recwarn] == []


def zipped(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts.items():
            packed.writestr(name.replace("__", "/").replace("_xml", ".xml").replace("_bin", ".bin"), data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (zipped(xl__workbook_xml=b"", xl__sheet_xml=b"0" * 50_000_000), "is_too_large"),
        (zipped(xl__workbook_xml=b"", xl__vbaProject_bin=b""), "has_macros"),
        (zipped(xl__workbook_bin=b""), "is_other_workbook"),
        (zipped(content_xml=b""), "is_other_workbook"),
        (zipped(word__document_xml=b""), "is_document"),
        (zipped(liste=b"national_id;name"), "is_zip"),
        (zipped(xl__workbook_xml=b"<not a workbook"), "is_damaged"),
        (book()[:-400], "is_damaged"),
        (zipped(xl__workbook_xml=b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'), "is_damaged"),
    ],
)
def test_a_workbook_that_could_hurt_us_is_refused(db: Session, now: datetime, file: bytes, code: str) -> None:
    assert [one.code for one in load(db, file, now).problems] == [code]


def test_an_empty_workbook_is_an_empty_file(db: Session, now: datetime) -> None:
    file = io.BytesIO()
    Workbook().save(file)
    assert [one.code for one in load(db, file.getvalue(), now).problems] == ["is_empty"]


def old_ones(count: int) -> str:
    return listed(
        *(
            KARI
            | {
                "national_id": make_synthetic(date(1950, 1, 1 + at), 0),
                "phone": f"4000100{at}",
                "discharged_on": f"2026-10-{10 + at}",
            }
            for at in range(count)
        )
    )


def test_old_discharges_are_asked_about_before_anybody_is_written_to(db: Session, now: datetime) -> None:
    report = load(db, old_ones(3), now)
    assert (report.rejected, report.created) == (3, 0)
    assert "Fra hvilken dag skal vi skrive til personen? Gi dagen med --from" in said(report)[0]


def test_old_discharges_come_in_without_a_burst_and_nobody_is_asked_before_that_day(
    db: Session, now: datetime
) -> None:
    first = date(2026, 11, 20)
    report = load(db, old_ones(6), now, answers=Answers(write_from=first))
    assert (report.created, report.problems) == (6, [])
    welcomes = [one.not_before.date() for one in db.scalars(select(Message))]
    planned = db.scalars(select(CheckIn.local_date).where(CheckIn.state == "planned"))
    assert min(welcomes) >= first
    # Of a weekend's and a Monday's, all three are greeted on the Friday before.
    assert max(welcomes.count(day) for day in welcomes) <= 3
    assert all(is_message_day(day) for day in welcomes)
    assert min(planned) >= first
    again = load(db, old_ones(6), now)
    assert (again.unchanged, again.problems) == (6, [])


@pytest.mark.parametrize("title", ["Fysioterapi 2 ganger i uka", "Fysioterapeut hjemme"])
def test_a_measure_under_a_new_title_is_no_second_one_until_somebody_says_so(
    db: Session, now: datetime, title: str
) -> None:
    load(db, listed(KARI), now)
    changed = listed(KARI | {"measures": f"{title}|municipality|14"})

    asked = load(db, changed, now)
    assert [(one.field, one.code) for one in asked.notes] == [("measures.1", "measure_retitled")]
    assert db.scalars(select(Measure.title)).all() == ["Fysioterapi"]
    load(db, changed, now, answers=Answers(new_measures=True))
    assert db.scalars(select(Measure.title).order_by(Measure.number)).all() == ["Fysioterapi", title]


def test_a_measure_beside_the_known_one_is_new(db: Session, now: datetime) -> None:
    load(db, listed(KARI), now)
    both = "Fysioterapi|municipality|14 & Ergoterapi|municipality|14"
    assert load(db, listed(KARI | {"measures": both}), now).notes == []
    assert len(db.scalars(select(Measure)).all()) == 2


def test_an_hour_at_which_nothing_is_sent_is_refused_by_name(db: Session, now: datetime) -> None:
    (problem,) = load(db, listed(KARI | {"hour": "23:00"}), now).problems
    assert "Skriv et fra 06:00 til 21:30" in ListWords().line(problem)


def test_every_code_has_a_sentence() -> None:
    """Whatever a list may be told is written in the sources as a word of its own."""
    house = Path(import_.__file__).parents[2]
    written = ""
    for file in (
        "use_cases/going_home/checked.py",
        "use_cases/going_home/arrival.py",
        "exchange/hospital_list/cells.py",
    ):
        written += (house / file).read_text(encoding="utf-8")
    given = re.findall(r'(?:problems|notes)\[[^]]+\] = "(\w+)"|Conflict\("(\w+)"\)', written)
    codes = {code for pair in given for code in pair if code}
    assert {"quiet_hour", "other_name", "zero_restored", "scientific"} <= codes
    assert [code for code in codes if not ListWords().reason(Said(1, "hour", code))] == []


def test_messages_are_in_the_readers_language(db: Session, now: datetime) -> None:
    found = load(db, listed(KARI | {"phone": "x"}), now).problems[0]
    assert ListWords("en").line(found).startswith("Line 2, telephone: is not a telephone number.")
    assert ListWords("nn").line(found).startswith("Linje 2, telefon: er ikkje eit telefonnummer.")
