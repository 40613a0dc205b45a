"""The administrator's door: `python -m companion migrate | unit | professional | import | audit | doctor | …`.

A command imports what it needs itself, so that every other one opens at once.
"""

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from companion.clock import SystemClock, moment
from companion.errors import CompanionError, Conflict, Invalid, NotFound
from companion.rules.access import SYSTEM, Actor, Level
from companion.rules.places import ROLES, UNIT_KINDS
from companion.rules.texts import COMPLETE_LANGUAGES

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from companion.settings import Settings

IMPORT = Actor(kind="integration", level=Level.high, name="import")
_NOT_REACHED = (
    "The database cannot be used. Run 'python -m companion migrate'; 'python -m companion doctor' says more."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Følge, for administrators.",
)
unit_app = typer.Typer(no_args_is_help=True, help="Wards and teams.")
professional_app = typer.Typer(no_args_is_help=True, help="Staff and therapists.")
audit_app = typer.Typer(no_args_is_help=True, help="The audit log.")
integration_app = typer.Typer(no_args_is_help=True, help="Programs that hand in discharges.")
app.add_typer(unit_app, name="unit")
app.add_typer(professional_app, name="professional")
app.add_typer(audit_app, name="audit")
app.add_typer(integration_app, name="integration")


@app.command()
def migrate() -> None:
    """Bring the database up to date and load the municipalities; safe to run again."""
    from sqlalchemy.orm import Session

    from companion import db as database
    from companion import library
    from companion.use_cases.going_home import places

    with _told(), _engine() as engine:
        library.check_content()
        database.migrate(engine)
        with Session(engine) as db, db.begin():
            count = places.load_municipalities(db)
        print(
            f"The database is up to date; {count} municipalities, {len(library.plan_templates())} templates."
        )


@unit_app.command("add")
def unit_add(
    key: Annotated[str, typer.Argument(help="How lists name it, such as unn-post3")],
    kind: Annotated[str, typer.Option(help=" | ".join(UNIT_KINDS))],
    name: Annotated[str, typer.Option(help="What patients read")],
    phone: Annotated[str | None, typer.Option(help="What patients call")] = None,
    hours: Annotated[str | None, typer.Option(help="When somebody answers, such as 'hverdager 8–15'")] = None,
    municipality: Annotated[str | None, typer.Option(help="Four digits")] = None,
    trust: Annotated[str | None, typer.Option(help="For a team that serves a whole health trust")] = None,
) -> None:
    """Add a ward or a team."""
    from companion.use_cases.going_home import places

    with _told(), _session() as db:
        places.add_unit(
            db,
            key,
            kind=kind,
            name=name,
            phone=phone,
            hours=hours,
            municipality=municipality,
            trust=trust,
        )
        print(f"Added {key}.")


@unit_app.command("set")
def unit_set(
    key: Annotated[str, typer.Argument(help="How lists name it")],
    name: Annotated[str | None, typer.Option(help="What patients read")] = None,
    phone: Annotated[str | None, typer.Option(help="What patients call; '' for none")] = None,
    hours: Annotated[str | None, typer.Option(help="When somebody answers; '' for none")] = None,
) -> None:
    """Change what patients read and call of a ward or a team."""
    from companion.use_cases.going_home import places

    with _told(), _session() as db:
        unit = places.change_unit(db, key, name=name, phone=phone, hours=hours)
        print(f"{unit.key}: {unit.name}, {unit.phone or '-'}, {unit.hours or '-'}.")


@unit_app.command("list")
def unit_list() -> None:
    """Every unit, one a line."""
    from sqlalchemy import select

    from companion.models import Unit

    with _told(), _session() as db:
        for unit in db.scalars(select(Unit).order_by(Unit.kind, Unit.key)):
            print(
                "\t".join(
                    (unit.key, unit.kind, unit.name, unit.phone or "-", unit.municipality_number or "-")
                )
            )


@professional_app.command("add")
def professional_add(
    name: Annotated[str, typer.Option()],
    national_id: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for when left out")],
    title: Annotated[str, typer.Option(help="What patients read after the name, such as fysioterapeut")],
    unit: Annotated[list[str], typer.Option(help="A unit's key; may be given several times")],
    role: Annotated[str, typer.Option(help=" | ".join(ROLES))] = "staff",
    phone: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Add somebody, or give somebody known more units."""
    from companion.use_cases.going_home import places

    with _told(), _session() as db:
        person = places.add_professional(
            db,
            name=name,
            national_id=national_id,
            title=title,
            units=unit,
            role=role,
            settings=_settings(),
            now=_now(db),
            phone=phone,
        )
        print(f"Added {person.name}, {person.title}: {', '.join(unit)}.")


@professional_app.command("leave")
def professional_leave(
    national_id: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for when left out")],
    unit: Annotated[str | None, typer.Option(help="Only this unit; everywhere without")] = None,
) -> None:
    """Somebody works here no longer. Their cases go back to those who are left, or to the next unit."""
    from companion.use_cases.people import at_work

    with _told(), _session() as db:
        person = at_work.leave(db, national_id, unit, now=_now(db))
        print(f"{person.name} works no longer {f'in {unit}' if unit else 'here'}.")


@professional_app.command("away")
def professional_away(
    national_id: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for when left out")],
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Today without")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day")] = None,
) -> None:
    """Somebody is ill or on leave; without `--until` until `professional back`. Their cases go back at once."""
    from companion.rules.cadence import local_day
    from companion.use_cases.people import at_work

    with _told(), _session() as db:
        now = _now(db)
        begins = since.date() if since else local_day(now)
        person = at_work.away(db, national_id, begins, until.date() if until else None, now=now)
        print(f"{person.name} is away from {begins}{f' to {until:%Y-%m-%d}' if until else ''}.")


@professional_app.command("back")
def professional_back(
    national_id: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for when left out")],
) -> None:
    """Somebody is at work again."""
    from companion.use_cases.people import at_work

    with _told(), _session() as db:
        print(f"{at_work.back(db, national_id).name} is at work again.")


@professional_app.command("list")
def professional_list() -> None:
    """Everybody who works here, one a line."""
    from sqlalchemy import select
    from sqlalchemy.orm import selectinload

    from companion.models import Membership, Professional

    with _told(), _session() as db:
        people = select(Professional).options(
            selectinload(Professional.memberships).joinedload(Membership.unit)
        )
        for person in sorted(db.scalars(people), key=lambda one: one.name):
            works = ", ".join(f"{member.unit.key} ({member.role})" for member in person.memberships)
            print("\t".join((person.name, person.title, works or "-")))


@integration_app.command("add")
def integration_add(
    name: Annotated[str, typer.Argument(help="Which program, such as dips-unn")],
    ward: Annotated[list[str], typer.Option(help="A ward's key; may be given several times")],
) -> None:
    """Add an account for a program, and print its token: this once, it is not kept."""
    from companion.use_cases.people import programs

    with _told(), _session() as db:
        account, token = programs.add(db, name, ward, now=_now(db))
        print(
            f"Added {account.name}: {', '.join(one.key for one in account.wards)}. Its token, shown only now:"
        )
        print(token)


@integration_app.command("list")
def integration_list() -> None:
    """Every account, one a line."""
    from companion.use_cases.people import programs

    with _told(), _session() as db:
        for account in programs.accounts(db):
            state = f"revoked {account.revoked_at:%Y-%m-%d}" if account.revoked_at else "open"
            print("\t".join((account.name, state, ", ".join(ward.key for ward in account.wards))))


@integration_app.command("revoke")
def integration_revoke(name: str) -> None:
    """Shut an account for good; its token opens nothing any more."""
    from companion.use_cases.people import programs

    with _told(), _session() as db:
        print(f"Revoked {programs.revoke(db, name, now=_now(db)).name}.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The hospital's list, CSV or .xlsx; format in the README")],
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, and change nothing")] = False,
    partial: Annotated[bool, typer.Option(help="Import the good rows of a list with bad ones")] = False,
    write_from: Annotated[
        str, typer.Option("--from", help="Nobody is written to before this day, YYYY-MM-DD")
    ] = "",
    accept_names: Annotated[
        bool,
        typer.Option("--accept-names", help="Take names whose order nobody can know; greet without a name"),
    ] = False,
    new_measures: Annotated[
        bool, typer.Option("--new-measures", help="A measure under another title than before is a new one")
    ] = False,
    language: Annotated[str, typer.Option(help="Of what is said about the list: nb, nn or en")] = "nb",
    now: Annotated[str, typer.Option(help="A moment, ISO 8601 with zone; the real time without")] = "",
) -> None:
    """Import discharges; a line per problem, then the counts as JSON. A bad row: nothing is imported, exit code 1."""
    from companion.use_cases.going_home.import_ import import_discharges
    from companion.use_cases.going_home.list_words import ListWords
    from companion.use_cases.going_home.listed import Answers

    with _told(), _session() as db:
        at = _moment(now) if now else _now(db)
        words = ListWords(_one_of("--language", language, COMPLETE_LANGUAGES))
        answers = Answers(_day("--from", write_from), accept_names, new_measures)
        try:
            report = import_discharges(
                db,
                IMPORT,
                file,
                partial=partial,
                dry_run=dry_run,
                answers=answers,
                settings=_settings(),
                now=at,
            )
        except OSError as problem:
            raise _Refused(f"{file} cannot be read: {problem.strerror}") from None
        for found in sorted((*report.problems, *report.notes), key=lambda one: one.line):
            print(words.line(found))
        print(json.dumps(report.counts))
        bad = bool(report.problems)
    if bad:
        raise typer.Exit(1)


@audit_app.command("verify")
def audit_verify() -> None:
    """Walk the chain; exit 1 and the first broken place."""
    from companion.crypto import KeyRing
    from companion.use_cases.keeping import privacy

    with _told(), _session() as db:
        ready = _settings().require()
        ring = KeyRing.parse(ready.keys.get_secret_value(), ready.index_key.get_secret_value())
        broken = privacy.verify_chain(db, ring)
        count, head = privacy.chain_head(db)
    if broken is not None:
        print(f"Broken at event {broken}.")
        raise typer.Exit(1)
    print(f"Whole: {count} events. The last fingerprint is {head}.")


@app.command("export-patient")
def export_patient(patient_id: UUID) -> None:
    """Print everything about a patient as JSON."""
    from companion.use_cases.keeping import privacy

    with _told(), _session() as db:
        everything = privacy.export_patient(db, SYSTEM, patient_id, now=_now(db))
        print(json.dumps(everything, ensure_ascii=False, indent=1))


@app.command("erase-patient")
def erase_patient(
    patient_id: UUID, yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False
) -> None:
    """Forget what is not part of the patient record, and stop all messages. The record itself the law keeps."""
    from companion.use_cases.keeping import privacy

    if not yes and sys.stdin.isatty():
        typer.confirm("This cannot be undone. Go on?", abort=True)
    with _told(), _session() as db:
        privacy.erase_patient(db, SYSTEM, patient_id, now=_now(db))
        print("Erased: telephone, sign-ins, links, devices, the words of messages, relatives' access.")
        print(
            "Kept by law: stays, measures, answers, flags, passport, meetings, audit log (README, privacy)."
        )


@app.command()
def doctor() -> None:
    """Check configuration and database; exit 1 with what to do."""
    from companion.doctor import BAD, examine

    findings = list(examine())
    for how, said in findings:
        print(f"{how:4}  {said}")
    if any(how == BAD for how, _ in findings):
        raise typer.Exit(1)


class _Refused(CompanionError):
    """Something the command line itself refuses."""


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong is told in a sentence on stderr, with exit code 1; never a stack trace."""
    try:
        yield
    except Exception as problem:
        said = _sentence(problem)
        if said is None:
            raise
        print(said, file=sys.stderr)
        raise typer.Exit(1) from None


def _sentence(problem: Exception) -> str | None:
    from sqlalchemy.exc import DBAPIError

    match problem:
        case Invalid():
            return "; ".join(
                f"{field.replace('_', ' ')}: {code.replace('_', ' ')}"
                for field, code in problem.problems.items()
            )
        case NotFound():
            return f"There is no such {problem}."
        case Conflict():
            return f"Not done: {problem.code.replace('_', ' ')}."
        case CompanionError():
            return str(problem)
        case DBAPIError() | OSError():
            return _NOT_REACHED
        case ValueError():
            return f"COMPANION_KEYS does not open what is stored: {problem}."
    return None


def _one_of(option: str, given: str, known: Collection[str]) -> str:
    if given not in known:
        raise _Refused(f"{option} must be one of {', '.join(known)}")
    return given


def _day(option: str, given: str) -> date | None:
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise _Refused(f"{option} is not a day; write for example 2026-12-01") from None


def _settings() -> "Settings":
    from companion.settings import Settings, read

    return read(Settings)


@contextmanager
def _engine() -> Iterator["Engine"]:
    from companion.db import make_engine

    engine = make_engine(_settings())
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _session() -> Iterator["Session"]:
    """One transaction, committed at the end."""
    from sqlalchemy.orm import Session

    with _engine() as engine, Session(engine, expire_on_commit=False) as db, db.begin():
        yield db


def _now(db: "Session") -> datetime:
    """The machine's clock; in the demo as far ahead as the demo's clock has been moved."""
    from companion.models import DemoClock

    moved = db.get(DemoClock, 1) if _settings().environment == "demo" else None
    return SystemClock().now() + timedelta(seconds=moved.shift_seconds if moved else 0)


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as problem:
        raise _Refused(f"--now {problem}") from None


if __name__ == "__main__":
    app()
