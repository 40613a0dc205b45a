"""People's names as they are written: given and family names where that can be known, and folded for a search."""

import re
import unicodedata
from dataclasses import dataclass

from companion.rules.given_names import GIVEN_NAMES

# UTF-8 read as Windows-1252, as MacRoman and as the old DOS letters; and letters lost on the way.
_GARBLED = re.compile(
    r"[ÃÂ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|Ä[\x8c-\x91Œ‘]|Å[\x8a\x8bŠ‹¡§¾¦½]|â€|ï»¿|√[\w∏•¶®]|├.|\ufffd"
)
_LOST_LETTER = re.compile(r"\w\?|\?\w|&#?\w+;|=[0-9A-F]{2}")
_NEVER_IN_NAMES = re.compile(r"[\[\]{}|\\@#$%^*_=+~†‡›‹¿¾®¯¤¬]")
_PARTICLES = frozenset(
    (
        "af",
        "al",
        "av",
        "bin",
        "da",
        "de",
        "del",
        "den",
        "der",
        "di",
        "du",
        "la",
        "le",
        "ten",
        "ter",
        "van",
        "von",
        "zu",
    )
)
_SURNAME_ENDS = ("sen", "sson", "datter", "dottir", "dóttir")
_FOLDED = str.maketrans(
    {
        "æ": "ae",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ŋ": "n",
        "ŧ": "t",
        "þ": "th",
        "ß": "ss",
        "œ": "oe",
        "ł": "l",
        "ı": "i",
    }
)


@dataclass(frozen=True)
class Name:
    """A person's name: `full` to show, its parts where they can be known; both are empty where nobody can."""

    full: str
    given: str = ""
    family: str = ""

    @property
    def known(self) -> bool:
        """Whether we know what to call the person."""
        return bool(self.given)


def read(written: str) -> Name:
    """The name as somebody wrote it in one line: `Ola Hansen`, `Hansen, Ola`, `HANSEN Ola`.

    All capitals without a comma come from systems that put either name first, and `Nordmann Ola` from those that turn it
    round: nobody can know then.
    """
    text = " ".join(written.split())
    if "," in text:
        return _with_comma(text)
    words = text.split()
    if len(words) < 2:
        return Name(text, given=text if text and not _shouted(text) else "")
    if family := _shouted_part(words):
        given = " ".join(word for word in words if word not in family)
        return together(given, _spoken(" ".join(family)))
    if _shouted(text) or _turned_round(words):
        return Name(text)
    at = _family_begins(words)
    return Name(text, " ".join(words[:at]), " ".join(words[at:]))


def _with_comma(text: str) -> Name:
    family, _comma, given = (part.strip(" ,") for part in text.partition(","))
    if given:
        return together(given.replace(",", " "), family)
    # `Hansen,` is a surname; `Ola Hansen,` has only a comma too many.
    return read(family) if " " in family else Name(family)


def called(full: str) -> str:
    """What a person of this name is called, by the first of the given names; empty where nobody can know."""
    return next(iter(read(full).given.split()), "")


def together(given: str, family: str) -> Name:
    """A name whose parts are known. Capitals alone are put down to small letters: nobody is called in capitals."""
    given, family = (" ".join(part.split()) for part in (given, family))
    if not given:
        return Name(family)
    if _shouted(f"{given}{family}"):
        given, family = _spoken(given), _spoken(family)
    return Name(f"{given} {family}".strip(), given, family)


def looks_garbled(text: str) -> bool:
    """Whether letters in it were read by the wrong table, as in `BjÃ¸rk`."""
    return bool(_GARBLED.search(text))


def spoiled(name: str) -> bool:
    """Whether a name has lost letters on its way: `BjÃ¸rk`, `Bj?rk`, `Bj|rk`, `Bj&oslash;rk`."""
    return any(found.search(name) for found in (_GARBLED, _LOST_LETTER, _NEVER_IN_NAMES))


def folded(text: str) -> str:
    """For comparing: letters, digits and single spaces; small, without accents, `å` = `a` = `aa`, `ø` = `o` = `oe`, `æ` = `ae`.

    Apostrophes go without a trace, hyphens become spaces.
    """
    small = unicodedata.normalize("NFKD", text.casefold()).translate(_FOLDED)
    bare = re.sub(r"['’‘ʼ´`′]", "", "".join(one for one in small if not unicodedata.combining(one)))
    # The two ways to write the letters without having them; `ø` and `å` are one letter above.
    bare = bare.replace("aa", "a").replace("oe", "o")
    return " ".join(re.sub(r"[^\w]|_", " ", bare).split())


def matches(search: str, name: str) -> bool:
    """Whether every word searched for stands in the name, in any order and however it is spelt."""
    wanted, there = folded(search).split(), folded(name)
    close = there.replace(" ", "")
    return bool(wanted) and all(word in there or word in close for word in wanted)


def alike(one: str, other: str) -> bool:
    """Whether two names can be one person's: they have a word in common, as they do after a marriage."""
    return bool(set(folded(one).split()) & set(folded(other).split()))


def _shouted(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return len(letters) > 1 and all(letter.isupper() for letter in letters)


def _turned_round(words: list[str]) -> bool:
    """A first word that is no given name before a last that is: `Hansen Ola`, `Nordmann Ola Andre`."""
    first, last = words[0].casefold(), words[-1].casefold()
    surname_first = len(first) > 4 and first.endswith(_SURNAME_ENDS) and not last.endswith(_SURNAME_ENDS)
    parts = re.split(r"-", first)
    return surname_first or (last in GIVEN_NAMES and not any(part in GIVEN_NAMES for part in parts))


def _shouted_part(words: list[str]) -> list[str]:
    """The surname of `HANSEN Ola` and `Ola HANSEN`: the words in capitals, at one end, beside others that are not."""
    loud = [word for word in words if _shouted(word)]
    if len(loud) == len(words) or not loud or not all(len(word) > 2 for word in loud):
        return []
    return loud if loud in (words[: len(loud)], words[-len(loud) :]) else []


def _family_begins(words: list[str]) -> int:
    at = len(words) - 1
    while at > 1 and words[at - 1].casefold() in _PARTICLES:
        at -= 1
    return at


def _spoken(shouted: str) -> str:
    words = shouted.casefold().split()
    return " ".join(
        word if word in _PARTICLES and at else re.sub(r"(^|[-'’.])(\w)", lambda found: found[0].upper(), word)
        for at, word in enumerate(words)
    )
