"""A hospital's list: every notation it may come in, every way it may be wrong, and nothing half-done."""

import gc
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from companion.models import AuditEvent, CheckIn, Patient, Stay
from companion.rules.national_id import make_synthetic
from companion.use_cases.going_home import import_, plan
from companion.use_cases.going_home.import_ import COLUMNS, Report
from companion.use_cases.going_home.list_words import ListWords
from companion.use_cases.going_home.listed import Answers
from tests import cast

KARI = {
    "national_id": cast.KARI_ID,
    "name": "Kari Nilsen",
    "phone": "400 00 001",
    "language": "nb",
    "municipality_number": "5501",
    "ward": "unn-post3",
    "discharged_on": "2026-11-10",
    "template": "stroke",
    "hour": "10:00",
    "measures": "Fysioterapi to ganger i uken|municipality|12 & Gå en tur hver dag|patient|3",
}
OLA = KARI | {"national_id": cast.OLA_ID, "name": "Ola Hansen", "phone": "+47 400 00 003", "template": "tbi"}


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


def listed(
    *rows: dict[str, str], columns: Sequence[str] = COLUMNS, delimiter: str = ";", encoding: str = "utf-8"
) -> list[bytes]:
    lines = [delimiter.join(columns), *(delimiter.join(row[name] for name in columns) for row in rows)]
    return [f"{line}\r\n".encode(encoding) for line in lines]


def load(
    db: Session,
    lines: list[bytes] | Path,
    now: datetime,
    *,
    partial: bool = False,
    dry_run: bool = False,
    answers: Answers | None = None,
) -> Report:
    return import_.import_discharges(
        db,
        cast.IMPORT,
        lines,
        partial=partial,
        dry_run=dry_run,
        answers=answers,
        settings=cast.SETTINGS,
        now=now,
    )


def said(report: Report) -> list[str]:
    words = ListWords()
    return [words.line(one) for one in (*report.problems, *report.notes)]


def patients(db: Session) -> int:
    return db.scalar(select(func.count()).select_from(Patient)) or 0


def counts(
    rows: int, *, created: int = 0, moved: int = 0, unchanged: int = 0, rejected: int = 0
) -> dict[str, int]:
    return {"rows": rows, "created": created, "moved": moved, "unchanged": unchanged, "rejected": rejected}


def test_a_good_list(db: Session, ward: cast.Ward, now: datetime) -> None:
    report = load(db, listed(KARI, OLA), now)

    assert (report.counts, report.problems) == (counts(2, created=2), [])
    stay = db.scalars(select(Stay).join(Patient).where(Patient.national_id_index == cast.KARI_ID)).one()
    assert [(one.number, one.title, one.owner) for one in stay.measures] == [
        (1, "Fysioterapi to ganger i uken", "municipality"),
        (2, "Gå en tur hver dag", "patient"),
    ]
    assert db.scalar(select(func.count()).select_from(AuditEvent)) == 2


def test_again_and_a_later_day(db: Session, ward: cast.Ward, now: datetime) -> None:
    load(db, listed(KARI, OLA), now)

    assert load(db, listed(KARI, OLA), now + cast.days(1)).counts == counts(2, unchanged=2)
    later = KARI | {"discharged_on": "2026-11-12"}
    assert load(db, listed(later, OLA), now).counts == counts(2, moved=1, unchanged=1)
    assert load(db, listed(KARI, OLA), now).counts == counts(2, unchanged=2)


def test_the_same_row_twice_and_a_moved_one_in_one_list(db: Session, ward: cast.Ward, now: datetime) -> None:
    later = KARI | {"discharged_on": "2026-11-12"}
    report = load(db, listed(KARI, KARI, later), now)
    assert report.counts == counts(3, created=1, moved=1, unchanged=1)
    assert db.scalars(select(Stay.discharged_on)).one() == date(2026, 11, 12)


@pytest.mark.parametrize("delimiter", [";", ","])
def test_comma_or_semicolon_bom_or_none_columns_in_any_order(
    db: Session, ward: cast.Ward, now: datetime, delimiter: str
) -> None:
    lines = listed(KARI, OLA, columns=tuple(reversed(COLUMNS)), delimiter=delimiter, encoding="utf-8")
    lines[0] = b"\xef\xbb\xbf" + lines[0].upper()
    assert load(db, [*lines, b"\r\n", b"  \n"], now).counts == counts(2, created=2)


def test_quotes_and_new_lines_in_a_cell(db: Session, ward: cast.Ward, now: datetime) -> None:
    quoted = KARI | {"name": '"Kari;\nNilsen"'}
    assert load(db, listed(quoted), now).counts == counts(1, created=1)
    assert db.scalars(select(Patient)).one().name == "Kari; Nilsen"


def test_a_bad_row_is_named_and_nothing_is_imported(db: Session, ward: cast.Ward, now: datetime) -> None:
    bad = OLA | {"national_id": "1", "phone": "tolv", "measures": "Tur|nabo|snart & Fysio|municipality|12"}

    report = load(db, listed(KARI, bad), now)

    assert report.counts == counts(2, rejected=1)
    assert patients(db) == 0
    assert said(report) == [
        "Linje 3, fødselsnummer: er ikke et gyldig fødselsnummer eller D-nummer. Det har 11 siffer.",
        "Linje 3, telefon: er ikke et telefonnummer. La feltet stå tomt når personen ikke har noe.",
        "Linje 3, tiltak nr. 1, ansvarlig: må være hospital, art, municipality, gp, nav eller patient.",
        "Linje 3, tiltak nr. 1, frist: må være et helt antall dager.",
    ]


def test_partial_takes_the_good_rows(db: Session, ward: cast.Ward, now: datetime) -> None:
    report = load(db, listed(KARI | {"ward": "nowhere"}, OLA), now, partial=True)
    assert report.counts == counts(2, created=1, rejected=1)
    assert db.scalars(select(Patient)).one().name == "Ola Hansen"


def test_a_trial_run_counts_and_leaves_nothing(db: Session, ward: cast.Ward, now: datetime) -> None:
    load(db, listed(KARI), now)
    report = load(db, listed(KARI | {"discharged_on": "2026-11-12"}, OLA), now, dry_run=True)
    assert report.counts == counts(2, created=1, moved=1)
    assert patients(db) == 1
    assert db.scalars(select(Stay.discharged_on)).one() == date(2026, 11, 10)


def test_somebody_dead_on_the_list(db: Session, ward: cast.Ward, now: datetime) -> None:
    kari = cast.kari(db, now)
    plan.register_death(db, ward.sofia, kari.id, now.date(), now=now)

    refused = load(db, listed(OLA, KARI), now)
    assert refused.counts == counts(2, rejected=1)
    assert (patients(db), refused.problems[0].line) == (1, 3)
    assert load(db, listed(OLA, KARI), now, partial=True).counts == counts(2, created=1, rejected=1)


@pytest.mark.parametrize(
    ("lines", "line", "field", "code"),
    [
        ([], 1, "file", "is_empty"),
        ([b"\n"], 1, "file", "is_empty"),
        ([b"\xef\xbb\xbf\r\n;;;\r\n"], 1, "file", "is_empty"),
        (listed(KARI, columns=COLUMNS[1:]), 1, "national_id", "column_missing"),
        ([listed()[0].replace(b"hour", b"hour;shoe_size")], 1, "shoe_size", "column_unknown"),
        ([listed()[0].replace(b"hour", b"hour;hour")], 1, "hour", "column_twice"),
        ([listed()[0].replace(b"hour", b"Mobil")], 1, "phone", "column_twice"),
        (listed(KARI)[1:], 1, "file", "no_header"),
        (listed(KARI | {"name": '"Kari'}, OLA), 2, "file", "quote_open"),
        (listed(KARI | {"name": "K" * 30_000}), 2, "file", "line_too_long"),
        ([b"x" * 3_000_000], 1, "file", "line_too_long"),
        ([bytes(range(128, 255))], 1, "file", "letters_unknown"),
        ([*listed(KARI), "Kåre".encode("cp865")], 3, "file", "letters_unknown"),
        ([*listed(KARI), "Kåre Ødegård".encode("mac-roman")], 3, "file", "letters_unknown"),
        ([*listed(KARI), "Kåre".encode(), b"\r\n", "Åse".encode("cp1252")], 4, "file", "letters_unknown"),
        ([*listed(KARI), b"a\x00b"], 3, "file", "has_nul"),
        ([b"F\xc3\x83\xc2\xb8dselsnummer;Navn;Mobil;Utskrevet\r\n"], 1, "file", "is_garbled"),
        ([b"MSH|^~\\&|DIPS|UNN|||20261127||ADT^A03|1|P|2.3\rPID|1\r"], 1, "file", "is_hl7"),
        ([b'{"resourceType": "Bundle", "type": "collection"}'], 1, "file", "is_fhir"),
        ([b'\xef\xbb\xbf<Bundle xmlns="http://hl7.org/fhir"/>'], 1, "file", "is_fhir"),
        ([b'[{"national_id": "1"}]'], 1, "file", "is_json"),
        ([b"<html><table><tr><td>fnr</td></tr></table></html>"], 1, "file", "is_html"),
        ([b'<?xml version="1.0"?><MsgHead/>'], 1, "file", "is_xml_message"),
        ([b"%PDF-1.7\n"], 1, "file", "is_pdf"),
        ([b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"], 1, "file", "is_old_excel"),
        ([b"PK\x03\x04 and then nothing"], 1, "file", "is_damaged"),
        ([b"UNB+UNOC:3+1:14'"], 1, "file", "is_edifact"),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_a_file_that_does_not_do(
    db: Session,
    ward: cast.Ward,
    now: datetime,
    lines: list[bytes],
    line: int,
    field: str,
    code: str,
    partial: bool,
) -> None:
    report = load(db, lines, now, partial=partial)
    assert not report.readable
    assert [(one.line, one.field, one.code) for one in report.problems] == [(line, field, code)]
    assert said(report)[0].startswith(f"Linje {line}, ")
    assert patients(db) == 0


def test_a_header_alone_is_a_quiet_day(db: Session, ward: cast.Ward, now: datetime) -> None:
    report = load(db, listed(), now)
    assert (report.counts, report.problems) == (counts(0), [])


def test_too_few_and_too_many_cells(db: Session, ward: cast.Ward, now: datetime) -> None:
    report = load(db, [*listed(KARI), b"a;b\n", b";" * 20 + b"x\n"], now)
    assert report.counts == counts(3, rejected=2)
    assert [problem.line for problem in report.problems] == [3, 4]


def test_every_reason_is_a_sentence(db: Session, ward: cast.Ward, now: datetime) -> None:
    empty = dict.fromkeys(COLUMNS, "") | {"hour": "10:00"}
    wrong = dict.fromkeys(COLUMNS, "?")
    long = {name: "9" * 300 for name in COLUMNS} | {"measures": "|".join(["A" * 300, "gp", "9999"])}
    many = KARI | {"measures": " & ".join(["Tur|patient|3"] * 31)}
    report = load(db, listed(empty, wrong, long, many), now)
    assert report.counts == counts(4, rejected=4)
    codes = {(problem.line, problem.field): problem.code for problem in report.problems}
    assert codes[2, "name"] == "missing"
    assert codes[3, "name"] == "not_a_name"
    assert codes[3, "measures"] == "not_a_measure"
    assert codes[5, "measures"] == "too_many"
    assert len(said(report)) == len(report.problems)


def test_no_problem_quotes_what_was_typed(db: Session, ward: cast.Ward, now: datetime) -> None:
    report = load(db, listed(KARI | {"national_id": "04055812345", "phone": "hemmelig"}), now)
    told = " ".join(said(report))
    assert "04055812345" not in told
    assert "hemmelig" not in told


def long_list(count: int) -> Iterator[bytes]:
    yield listed()[0]
    for number in range(count):
        born = date(1930, 1, 1) + timedelta(days=number // 20)
        row = KARI | {"national_id": make_synthetic(born, number % 20), "phone": f"4{number:07}"}
        yield listed(row)[1]


def test_a_hundred_thousand_bad_rows_are_refused(
    db: Session, ward: cast.Ward, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(listed()[0] + b"12345678901;Kari\n" * 100_000)

    report = load(db, path, now)

    assert report.counts == counts(100_000, rejected=100_000)
    assert len(report.problems) == 100_000
    assert patients(db) == 0


def test_a_long_list_is_not_held_in_memory(db: Session, ward: cast.Ward, now: datetime) -> None:
    report = load(db, list(long_list(450)), now)

    assert report.counts == counts(450, created=450)
    assert db.scalar(select(func.count()).select_from(CheckIn)) == 450 * 6
    gc.collect()
    assert len(db.identity_map) < 450
