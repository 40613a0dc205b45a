"""Every word we send: one file per kind, channel and language beside this one; nothing in them tells of illness."""

import json
import re
from base64 import urlsafe_b64encode
from datetime import date, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from companion.models import Message
from companion.rules.cadence import to_local
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words

# The rest carry no link: there is nothing to do, or the answer is the message itself.
WITH_LINK = frozenset(
    {
        "welcome",
        "check_in",
        "reminder",
        "rest_by_phone",
        "meeting",
        "meeting_moved",
        "new_link",
        "relative_invited",
        "sign_in_code",
    }
)
# The letters of the public address's host: with one more, some text would be two messages.
LONGEST_HOST = 19
_WHEN = {
    "nb": "EEEE d. MMMM 'kl.' HH.mm",
    "nn": "EEEE d. MMMM 'kl.' HH.mm",
    "en": "EEEE d MMMM 'at' HH:mm",
    "se": "d.M. 'dii.' HH.mm",
}
_DAY = {"nb": "EEEE d. MMMM", "nn": "EEEE d. MMMM", "en": "EEEE d MMMM", "se": "d.M."}
# Days in a letter's values, written as in ISO.
_DAYS = ("again", "read_by")
_GSM_7_ONCE = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("«»“”„‟", '"'),
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("‐‑‒–—−", "-"),
        **dict.fromkeys("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}", " "),
        **dict.fromkeys("\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NO-BREAK SPACE}", ""),
        "…": "...",
    }
)
_GSM_7_TWICE = "\f^{}\\[~]|€"
# To look whether there is any costs a tenth of going through the letters one by one.
_NOT_PLAIN = re.compile(f"[{re.escape(''.join(map(chr, _PLAIN)))}]")
_BEYOND_ONCE = re.compile(f"[^{re.escape(_GSM_7_ONCE)}]")
_BEYOND_GSM_7 = re.compile(f"[^{re.escape(_GSM_7_ONCE + _GSM_7_TWICE)}]")


def word(
    letter: Message | Letter,
    words: Words | None,
    *,
    public_url: str,
    product: str,
    institution: str,
) -> str:
    """The text of a letter as SMS, in its person's language.

    What would make it longer than one segment (or, with letters such as á, dearer) is left out, the least needed first:
    the person's own name, then the institution's, then the host's. A public address of `LONGEST_HOST` letters always fits.
    """
    person = letter.relative or letter.patient
    meeting = letter.meeting
    values: dict[str, Any] = {
        **letter.params,
        "product": product,
        "institution": institution,
        "name": person.first_name if person else "",
    }
    values |= {name: spoken_day(values[name], letter.language) for name in _DAYS if values.get(name)}
    if meeting is not None:
        values |= {"when": spoken_time(meeting.starts_at, letter.language), "who": meeting.host.first_name}
    if words is not None:
        host = public_url.partition("://")[2].rstrip("/")
        values |= {
            "link": f"{host}/l#{words.token}",
            "short": f"{host}/k",
            "code": f"{words.code[:3]} {words.code[3:]}",
        }
    template = _template(f"{letter.kind}/sms.{letter.language}.txt")
    shortest = said = plain_marks(template.render(values))
    for dispensable in ("name", "institution", "who"):
        if segments(said) == 1:
            return said
        if values.get(dispensable):
            said = plain_marks(template.render(values | {dispensable: ""}))
            values[dispensable] = ""
            shortest = min(shortest, said, key=segments)
    return shortest


def plain_marks(text: str) -> str:
    """Typographic marks as every telephone has them: one dash costs as much as ninety letters. Letters are never touched."""
    return text.translate(_PLAIN) if _NOT_PLAIN.search(text) else text


def push_payload(letter: Message | Letter, words: Words | None, attempt_id: str, *, product: str) -> str:
    """What the service worker gets (JSON): words for a locked screen, where a tap leads, and the id it acknowledges.

    Only that browser can open it, so it may hold the link; the words on the screen tell no more than that there is something.
    """
    said = _template(f"{letter.kind}/push.{letter.language}.txt").render(product=product)
    return json.dumps(
        {
            "title": product,
            "body": said,
            "lang": letter.language,
            "url": f"/l#{words.token}" if words else "/",
            "tag": topic(letter),
            "ack": attempt_id,
        },
        ensure_ascii=False,
    )


def topic(letter: Message | Letter) -> str:
    """What a push is about, as its push service may know it (RFC 8030, 5.4): the next word on the same thing replaces it."""
    about = letter.check_in_id or letter.meeting_id or f"{letter.kind}:{letter.patient_id}"
    return urlsafe_b64encode(sha256(str(about).encode()).digest()).decode()[:32]


def spoken_time(at: datetime, language: str) -> str:
    """A moment as people say it, on the Norwegian wall clock: "tirsdag 10. november kl. 10.00"."""
    return format_datetime(to_local(at), _WHEN[language], locale=language)


def spoken_day(day: str, language: str) -> str:
    """A day as people say it: "tirsdag 10. november"."""
    return format_date(date.fromisoformat(day), _DAY[language], locale=language)


def segments(text: str) -> int:
    """How many SMS parts the text takes: 160 or 153 GSM-7 units, else 70 or 67 UTF-16 units."""
    if not _BEYOND_ONCE.search(text):
        return 1 if len(text) <= 160 else -(-len(text) // 153)
    if not _BEYOND_GSM_7.search(text):
        # A two-unit letter is never split between two parts.
        return _parts([2 if letter in _GSM_7_TWICE else 1 for letter in text], 160, 153)
    if max(text) <= "\uffff":
        return 1 if len(text) <= 70 else -(-len(text) // 67)
    return _parts([len(letter.encode("utf-16-le")) // 2 for letter in text], 70, 67)


def _parts(units: list[int], alone: int, joined: int) -> int:
    if sum(units) <= alone:
        return 1
    parts, room = 1, joined
    for unit in units:
        if unit > room:
            parts, room = parts + 1, joined
        room -= unit
    return parts


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,
        auto_reload=False,
    )
    # No text needs `range` and the like, and to hand them to each costs more than the text itself.
    environment.globals.clear()
    return environment
