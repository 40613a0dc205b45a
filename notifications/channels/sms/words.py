"""A letter as SMS: one segment where it can be, counted as the networks count."""

import re
from typing import Any

from companion.models import Message
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words
from notifications import wording

# The letters of the public address's host: with one more, some text would be two messages.
LONGEST_HOST = 19
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
    values: dict[str, Any] = wording.values(letter, product) | {"institution": institution}
    if words is not None:
        host = public_url.partition("://")[2].rstrip("/")
        values |= {
            "link": f"{host}/l#{words.token}",
            "short": f"{host}/k",
            "code": f"{words.code[:3]} {words.code[3:]}",
        }
    template = wording.template(wording.HERE, letter.kind, "sms", letter.language)
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
