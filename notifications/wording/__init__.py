"""Every word we send: one file per kind, way and language beside this one; nothing in them tells of illness."""

from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from companion.models import Message
from companion.rules.cadence import to_local
from companion.use_cases.messages.letter import Letter

# The rest carry no link: there is nothing to do, or the answer is the message itself.
WITH_LINK = frozenset(
    {
        "welcome",
        "check_in",
        "reminder",
        "rest_by_phone",
        "meeting",
        "meeting_moved",
        "meeting_coming",
        "meeting_now",
        "new_link",
        "relative_invited",
        "sign_in_code",
    }
)
_WHEN = {
    "nb": "EEEE d. MMMM 'kl.' HH.mm",
    "nn": "EEEE d. MMMM 'kl.' HH.mm",
    "en": "EEEE d MMMM 'at' HH:mm",
    "se": "d.M. 'dii.' HH.mm",
}
_CLOCK = {"nb": "HH.mm", "nn": "HH.mm", "en": "HH:mm", "se": "HH.mm"}
_DAY = {"nb": "EEEE d. MMMM", "nn": "EEEE d. MMMM", "en": "EEEE d MMMM", "se": "d.M."}
# Days in a letter's values, written as in ISO.
_DAYS = ("again", "read_by")

# Where the texts of the house lie.
HERE = Path(__file__).parent


def carried(words: Path, way: str) -> frozenset[str]:
    """The kinds of letters a way has words for."""
    return frozenset(file.parent.name for file in words.glob(f"*/{way}.nb.txt"))


def template(words: Path, kind: str, way: str, language: str) -> Template:
    """The text of a kind, as it goes by a way."""
    return _template(words, f"{kind}/{way}.{language}.txt")


def values(letter: Message | Letter, product: str) -> dict[str, Any]:
    """What a text may speak of, besides links."""
    person, meeting = letter.relative or letter.patient, letter.meeting
    given = {**letter.params, "product": product, "name": person.greeted_as if person else ""}
    given |= {name: spoken_day(given[name], letter.language) for name in _DAYS if given.get(name)}
    if meeting is not None:
        given |= {
            "when": spoken_time(meeting.starts_at, letter.language),
            "clock": spoken_clock(meeting.starts_at, letter.language),
            "who": meeting.host.first_name,
        }
    return given


def spoken_time(at: datetime, language: str) -> str:
    """A moment as people say it, on the Norwegian wall clock: "tirsdag 10. november kl. 10.00"."""
    return format_datetime(to_local(at), _WHEN[language], locale=language)


def spoken_clock(at: datetime, language: str) -> str:
    """The hour alone: "10.00"."""
    return format_datetime(to_local(at), _CLOCK[language], locale=language)


def spoken_day(day: str, language: str) -> str:
    """A day as people say it: "tirsdag 10. november"."""
    return format_date(date.fromisoformat(day), _DAY[language], locale=language)


@cache
def _template(words: Path, name: str) -> Template:
    return _environment(words).get_template(name)


@cache
def _environment(words: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(words),
        undefined=StrictUndefined,
        autoescape=False,
        auto_reload=False,
    )
    # No text needs `range` and the like, and to hand them to each costs more than the text itself.
    environment.globals.clear()
    return environment
