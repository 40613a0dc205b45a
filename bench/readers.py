"""Who reads which page of an invented region: sessions that are already there, and the pages' addresses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from html import unescape
from re import search
from typing import Any
from urllib.request import Request, urlopen
from uuid import UUID

from sqlalchemy import Engine, select

from bench import region
from bench.crowd import Visit
from bench.region import Region, row_id
from bench.ward import put
from companion.crypto import token_hash
from companion.models import LinkToken, SignIn
from companion.rules.questionnaire import address

# The session's cookie of a server at http://127.0.0.1.
COOKIE = "session"
READERS = 20
EVERYWHERE = "worklist of all wards"


@dataclass(frozen=True)
class Reader:
    """Somebody with a session: which audience, how surely, which of them, and the secret of their cookie."""

    audience: str
    level: str
    serial: int

    @property
    def secret(self) -> str:
        """What the cookie holds."""
        return f"{self.audience}-{self.level}-{self.serial}"


@dataclass(frozen=True)
class Reading:
    """Somebody (or nobody who is known) reads a page; with `fields` it is asked for by a form."""

    reader: Reader | None
    path: str
    fields: dict[str, str] | None = None

    @property
    def visit(self) -> Visit:
        """As a request."""
        cookie = f"{COOKIE}={self.reader.secret}" if self.reader else ""
        return Visit(self.path, cookie, self.fields)


Readings = Sequence[Reading]


def commonest(here: Region) -> dict[str, Readings]:
    """The commonest pages by name, each as several people read it."""
    asked, answered, sent = (here.some(state, READERS) for state in ("asked", "answered", "sent"))
    nurse, everywhere = Reader("professional", "high", 0), Reader("professional", "high", 1)
    return {
        "link": [Reading(None, "/l")],
        "birth date": _patients("link", asked, lambda _: "/birth-date"),
        "today": _patients("code", asked, lambda _: "/patient"),
        "question": _patients("code", asked, lambda one: f"{_check_in(one)}/{address('how')}"),
        "review": _patients("code", answered, lambda one: f"{_check_in(one)}/review"),
        "ending": _patients("code", sent, lambda one: f"{_check_in(one)}/ending"),
        "passport": _patients("high", asked, lambda _: "/patient/passport"),
        "measures": _patients("high", asked, lambda _: "/patient/measures"),
        "worklist": [Reading(nurse, "/staff")],
        EVERYWHERE: [Reading(everywhere, "/staff")],
        "case": [
            Reading(nurse, f"/staff/patients/{row_id('patient', one)}") for one in here.first_ward(READERS)
        ],
        "patients": [Reading(nurse, "/staff/patients")],
        "search by name": [Reading(nurse, "/staff/patients", {"search": region.SOUGHT})],
        "search by number": [Reading(nurse, "/staff/patients", {"search": region.SOUGHT_NUMBER})],
    }


def let_in(engine: Engine, here: Region, readings: Sequence[Readings]) -> None:
    """Signs in everybody who reads, those at the birth date by the link they came by."""
    readers = {one.reader.secret: one.reader for several in readings for one in several if one.reader}
    by_link = [reader.serial for reader in readers.values() if reader.level == "link"]
    region.send_links(engine, here, by_link)
    with engine.begin() as connection:
        links = dict(connection.execute(select(LinkToken.patient_id, LinkToken.id)).all())
    put(engine, SignIn, [_session(reader, here, links) for reader in readers.values()])


def deepest(url: str, first: Reading) -> Reading:
    """The last page of a list that says on each page where it goes on."""
    while following := search(r'href="([^"]*[?&;]after=[^"]*)"', _page(url, first)):
        first = Reading(first.reader, unescape(following[1]))
    return first


def with_token(url: str, reading: Reading) -> Reading:
    """A form with the token that its own page carries; any other reading as it is."""
    if reading.fields is None:
        return reading
    token = search(r'name="csrf_token" value="([^"]*)"', _page(url, replace(reading, fields=None)))
    return replace(reading, fields={**reading.fields, "csrf_token": token[1] if token else ""})


def _page(url: str, reading: Reading) -> str:
    with urlopen(Request(url + reading.path, headers={"Cookie": reading.visit.cookie}), timeout=60) as answer:
        said: bytes = answer.read()
    return said.decode()


def _patients(level: str, serials: Sequence[int], path: Callable[[int], str]) -> Readings:
    return [Reading(Reader("patient", level, serial), path(serial)) for serial in serials]


def _check_in(serial: int) -> str:
    return f"/patient/check-in/{row_id('check_in_90', serial)}"


def _session(reader: Reader, here: Region, links: dict[UUID | None, int]) -> dict[str, Any]:
    patient = row_id("patient", reader.serial) if reader.audience == "patient" else None
    known = reader.level != "link"
    return {
        "token_hash": token_hash(reader.secret),
        "csrf": "a-form-of-ours",
        "audience": reader.audience,
        "level": reader.level,
        "patient_id": patient if known else None,
        "professional_id": None if patient else row_id("professional", reader.serial),
        "unit_id": None if patient else row_id("ward", 0),
        "link_token_id": None if known else links[patient],
        "created_at": here.now,
        "seen_at": here.now,
        "expires_at": here.now + timedelta(hours=2),
    }
