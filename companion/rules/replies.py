"""Reading what somebody answered by SMS: Norwegian, Northern Sámi and English, typing errors and courtesies included.

What is not surely understood is left for a human. Nobody is ever taken off the messages, or put back on, by a guess.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from companion.rules.triage import crisis_quote


class ReplyKind(StrEnum):
    """What the sender wants."""

    CRISIS = "crisis"
    STOP = "stop"
    START = "start"
    CALL_ME = "call_me"
    YES = "yes"
    NO = "no"
    NUMBER = "number"
    CODE = "code"
    NOT_TODAY = "not_today"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reply:
    """A reply as understood; `value` is the number or the six digits of a code."""

    kind: ReplyKind
    value: str | None = None


# Also as they come from thumbs in a hurry: listed, so that no other word becomes one of them.
_STOP = (
    "stop",
    "stopp",
    "stoppe",
    "stpp",
    "stpo",
    "sotp",
    "sotpp",
    "tsopp",
    "avslutt",
    "avslutte",
    "avslut",
    "avsltt",
    "stopall",
    "unsubscribe",
    "bisset",
    "bisehit",
)
_START = ("start", "starte", "strat", "satrt", "álggat", "álggaht")
_CALL_ME = (
    "ring",
    "ringe",
    "ring meg",
    "ring mæ",
    "ring me",
    "ring meg opp",
    "ring til meg",
    "ring tilbake",
    "ring meg tilbake",
    "kan dere ringe",
    "kan dere ringe meg",
    "kan noen ringe",
    "kan noen ringe meg",
    "kan du ringe",
    "kan du ringe meg",
    "kan de ringe meg",
    "kan nokon ringe meg",
    "kan dykk ringe meg",
    "vil at dere ringer meg",
    "vil bli oppringt",
    "jeg vil bli oppringt",
    "eg vil bli oppringd",
    "call",
    "call me",
    "phone me",
    "can you call me",
    "can someone call me",
    "riŋge",
    "riŋge munnje",
    "riŋges munnje",
    "čuojat",
    "čuojat munnje",
)
_YES = (
    "ja",
    "j",
    "jaa",
    "ok",
    "okay",
    "okei",
    "okey",
    "jepp",
    "jo",
    "yes",
    "y",
    "yep",
    "juo",
    "jua",
    "de juo",
)
_NO = ("nei", "n", "neii", "nope", "no", "næ", "ii", "in")
_NOT_TODAY = (
    "ikke i dag",
    "ikke idag",
    "ikkje i dag",
    "ikkje idag",
    "nei ikke i dag",
    "nei ikkje i dag",
    "ikke nå",
    "ikkje no",
    "ikke i kveld",
    "senere",
    "seinere",
    "seinare",
    "not today",
    "not now",
    "later",
    "in odne",
    "ii odne",
    "ii otne",
    "maŋŋil",
)
_WORDS: Mapping[str, ReplyKind] = {
    **dict.fromkeys(_STOP, ReplyKind.STOP),
    **dict.fromkeys(_START, ReplyKind.START),
    **dict.fromkeys(_CALL_ME, ReplyKind.CALL_ME),
    **dict.fromkeys(_YES, ReplyKind.YES),
    **dict.fromkeys(_NO, ReplyKind.NO),
    **dict.fromkeys(_NOT_TODAY, ReplyKind.NOT_TODAY),
}
_NUMBERS: Mapping[str, str] = {
    word: str(number)
    for words in (
        "null en to tre fire fem seks sju åtte ni ti",
        "null ein to tre fire fem seks sju åtte ni ti",
        "zero one two three four five six seven eight nine ten",
        "nolla okta guokte golbma njeallje vihtta guhtta čieža gávcci ovcci logi",
    )
    for number, word in enumerate(words.split())
}
# What may stand around an answer without changing it.
_COURTESIES = frozenset(
    (
        "takk",
        "tusen",
        "hei",
        "hallo",
        "mvh",
        "vennlig",
        "vennlegst",
        "hilsen",
        "please",
        "thanks",
        "thank",
        "you",
        "hello",
        "hi",
        "giitu",
        "bures",
    )
)
_BEFORE_A_NUMBER = frozenset(
    ("svar", "svaret", "er", "nr", "nummer", "answer", "is", "kode", "koden", "code")
)
_AFTER_STOP = frozenset(
    (
        "å",
        "sende",
        "sending",
        "med",
        "disse",
        "dei",
        "desse",
        "de",
        "alle",
        "meldingene",
        "meldingane",
        "meldinger",
        "meldingar",
        "melding",
        "sms",
        "smser",
        "the",
        "these",
        "messages",
        "message",
        "texting",
        "me",
        "nå",
        "no",
        "now",
    )
)
_AFTER_CALL = frozenset(
    ["nå", "no", "now", "i", "dag", "today", "snart", "straks", "gjerne", "fort", "dál", "odne"]
)
_LONG_ENOUGH_FOR_A_TYPO = 4
# A wrong guess among these costs nothing that the person did not nearly say.
_GUESSABLE = frozenset(
    word
    for word, kind in _WORDS.items()
    if kind in (ReplyKind.CALL_ME, ReplyKind.YES, ReplyKind.NO) and len(word) >= _LONG_ENOUGH_FOR_A_TYPO
)


def classify(body: str, crisis_words: Iterable[str] = ()) -> Reply:
    """What the reply says; UNKNOWN is for a human to read, never for a guess. Crisis words go before everything else."""
    if crisis_quote([body], crisis_words):
        return Reply(ReplyKind.CRISIS)
    plain = unicodedata.normalize("NFKC", body).casefold()
    words = re.sub(r"[^\w\s]|_", " ", plain).split()
    while words and words[0] in _COURTESIES:
        words = words[1:]
    while words and words[-1] in _COURTESIES:
        words = words[:-1]
    if not words:
        return Reply(ReplyKind.UNKNOWN)
    return _number(words, plain) or _word(words) or Reply(ReplyKind.UNKNOWN)


def _number(words: list[str], plain: str) -> Reply | None:
    while len(words) > 1 and words[0] in _BEFORE_A_NUMBER:
        words = words[1:]
    said = " ".join(words)
    if re.fullmatch(r"[0-9]{3} ?[0-9]{3}", said):
        return Reply(ReplyKind.CODE, said.replace(" ", ""))
    if re.fullmatch(r"[0-9]{1,2}", said):
        return Reply(ReplyKind.NUMBER, str(int(said)))
    # "7 av 10", "7/10"
    if (of_ten := re.fullmatch(r"([0-9]|10) (?:av |of )?10", said)) and re.search(r"/|\bav\b|\bof\b", plain):
        return Reply(ReplyKind.NUMBER, of_ten[1])
    return Reply(ReplyKind.NUMBER, _NUMBERS[said]) if said in _NUMBERS else None


def _word(words: list[str]) -> Reply | None:
    said = " ".join(words)
    if kind := _WORDS.get(said) or _WORDS.get(_squeezed(said)):
        return Reply(kind)
    first, rest = _WORDS.get(words[0]), set(words[1:])
    if first is ReplyKind.STOP and rest <= _AFTER_STOP:
        return Reply(ReplyKind.STOP)
    while len(words) > 1 and words[-1] in _AFTER_CALL:
        words = words[:-1]
    said = " ".join(words)
    if _WORDS.get(said) is ReplyKind.CALL_ME:
        return Reply(ReplyKind.CALL_ME)
    if len(said) < _LONG_ENOUGH_FOR_A_TYPO or said in _NUMBERS:
        return None
    guesses = {_WORDS[known] for known in _GUESSABLE if _one_slip(said, known)}
    return Reply(guesses.pop()) if len(guesses) == 1 else None


def _squeezed(said: str) -> str:
    """A key held too long: "stooopp" is "stop"."""
    return re.sub(r"(.)\1{2,}", r"\1", said)


def _one_slip(said: str, known: str) -> bool:
    """Whether one letter is missing, extra or wrong, or two neighbours changed places."""
    if abs(len(said) - len(known)) > 1 or said == known:
        return said == known
    start = next((at for at, (a, b) in enumerate(zip(said, known, strict=False)) if a != b), None)
    if start is None:
        return True
    left, right = said[start:], known[start:]
    return (
        left[1:] == right[1:]
        or left[1:] == right
        or left == right[1:]
        or (left[:2] == right[1::-1] and left[2:] == right[2:])
    )
