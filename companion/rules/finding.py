"""Finding words in what people write: misspelt, without å and ø, with a word in between.

A list holds phrases. `*` at the end of a word stands for any ending, `…` for up to two words in between. With `loosely` a
letter may be missing or two have changed places in a word of four letters, and in a long one any letter may be wrong.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

GAP = "…"
IN_BETWEEN = 2
SHORTEST_MISSPELT = 4
LONG = 7
_APOSTROPHES = re.compile(r"['’´`]")
_TWICE = re.compile(r"(.)\1+")
_SAME = {"aa": "å", "oe": "ø", "ae": "æ", "ö": "ø", "ä": "æ"}
# "Ikke", as it is written in haste and in dialects.
_NOT = frozenset(("ike", "ikek", "ikje", "ik", "kje", "ke", "itj", "kike"))
# The first word of a phrase, and those after it.
Phrases = dict[str, list[tuple[str, ...]]]


def found(said: str, phrases: Sequence[str], *, loosely: bool = False) -> bool:
    """Whether one of the phrases stands in what was said."""
    words = _words(said)
    by_first = _by_first_word(tuple(phrases))
    spelt = _spelt(tuple(by_first), loosely)
    others = [first for first in by_first if not _is_listed(first, loosely)]
    for at, word in enumerate(words):
        firsts = [*spelt.get(word, ()), *(first for first in others if _is(word, first, loosely))]
        if any(_follows(words, at + 1, rest, loosely) for first in firsts for rest in by_first[first]):
            return True
    return False


def _words(said: str) -> list[str]:
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", said).casefold())
    return [_folded(word) for word in re.findall(r"[^\W_]+", plain)]


def _folded(word: str) -> str:
    """As it is heard: "døø" is "dø", "ike" is "ikke"."""
    for written, meant in _SAME.items():
        word = word.replace(written, meant)
    heard = _TWICE.sub(r"\1", word)
    return "ike" if heard in _NOT else heard


@cache
def _by_first_word(phrases: tuple[str, ...]) -> Phrases:
    by_first: Phrases = {}
    for phrase in phrases:
        first, *rest = _parts(phrase)
        by_first.setdefault(first, []).append(tuple(rest))
    return by_first


def _parts(phrase: str) -> Iterator[str]:
    for part in phrase.split():
        if part == GAP:
            yield part
        else:
            *before, last = _words(part)
            yield from before
            yield last + "*" * part.endswith("*")


def _is_listed(known: str, loosely: bool) -> bool:
    """Whether every way of writing the word is listed; of one with any ending, or a long one, there are too many."""
    return not known.endswith("*") and not (loosely and len(known) >= LONG)


@cache
def _spelt(firsts: tuple[str, ...], loosely: bool) -> dict[str, list[str]]:
    spelt: dict[str, list[str]] = {}
    for first in firsts:
        if _is_listed(first, loosely):
            for written in {first} | (_slips(first) if loosely else frozenset()):
                spelt.setdefault(written, []).append(first)
    return spelt


@cache
def _slips(known: str) -> frozenset[str]:
    """The known word with a letter missing, or two neighbours changed about."""
    if len(known) < SHORTEST_MISSPELT:
        return frozenset()
    missing = {known[:at] + known[at + 1 :] for at in range(len(known))}
    swapped = {known[:at] + known[at + 1] + known[at] + known[at + 2 :] for at in range(len(known) - 1)}
    return frozenset(missing | swapped)


def _follows(words: Sequence[str], at: int, rest: Sequence[str], loosely: bool) -> bool:
    if not rest:
        return True
    if rest[0] == GAP:
        return any(_follows(words, at + gap, rest[1:], loosely) for gap in range(IN_BETWEEN + 1))
    return at < len(words) and _is(words[at], rest[0], loosely) and _follows(words, at + 1, rest[1:], loosely)


def _is(word: str, known: str, loosely: bool) -> bool:
    if not known.endswith("*"):
        return word == known or (loosely and _is_nearly(word, known))
    begins = known[:-1]
    if word.startswith(begins):
        return True
    return loosely and any(_is_nearly(word[: len(begins) + more], begins) for more in (0, -1, 1))


def _is_nearly(word: str, known: str) -> bool:
    if word in _slips(known):
        return True
    if len(known) < LONG or abs(len(word) - len(known)) > 1:
        return False
    if len(word) == len(known):
        return sum(a != b for a, b in zip(word, known, strict=True)) == 1
    return any(word[:at] + word[at + 1 :] == known for at in range(len(word)))
