"""What people type, made fit to keep: stray characters gone, one way to write a telephone number."""

import re
import unicodedata
from dataclasses import dataclass

import phonenumbers

# Joiners that Sámi names never need but emoji and some scripts do.
_KEPT_FORMATS = frozenset("\u200c\u200d")
_LONGEST_PHONE = 40
_CALLED = re.compile(r"^\s*(tlf|tel|telefon|mob|mobil)\b[.:]*\s*", re.IGNORECASE)
_ZERO_AT_HOME = re.compile(r"(?<=\d)\s*\(0\)")
_TAKES_SMS = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


@dataclass(frozen=True)
class PhoneNumber:
    """A telephone number as E.164; `landline` when it is one that takes no SMS: fixed, 800, 815, 02xxx and their like."""

    e164: str
    landline: bool


def clean(text: str) -> str:
    """The text in one line: composed letters, no control characters, single spaces, none at the ends."""
    composed = unicodedata.normalize("NFC", text)
    kept = (letter if _may_stay(letter) else " " if letter.isspace() else "" for letter in composed)
    return " ".join("".join(kept).split())


def clean_lines(text: str) -> str:
    """The same for a text that may have several lines."""
    lines = [clean(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join(lines).strip()


def _may_stay(letter: str) -> bool:
    return letter in _KEPT_FORMATS or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def phone_number(text: str) -> PhoneNumber | None:
    """The number in any Norwegian or international notation; None when it is none."""
    text = _CALLED.sub("", text)
    # Letters would be read as the keys of a telephone: `400 00 mor` is 400 00 667.
    if len(text) > _LONGEST_PHONE or any(letter.isalpha() for letter in text):
        return None
    try:
        # `+47 (0)400 00 001`: the zero is for callers at home, and Norway has none.
        number = phonenumbers.parse(_ZERO_AT_HOME.sub("", text), "NO")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return PhoneNumber(
        e164=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        landline=phonenumbers.number_type(number) not in _TAKES_SMS,
    )
