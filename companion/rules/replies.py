"""Reading what somebody answered by SMS: Norwegian, Northern Sámi and English, typing errors and courtesies included.

What is not surely understood is left for a human. Nobody is ever taken off the messages, or put back on, by a guess.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

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
# The words beside the digits of a question (`notifications/wording/asks.*`), for who writes them instead of the digit.
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "very_good": ("svært bra", "very good", "hui bures"),
    "good": ("bra", "good", "bures"),
    "ok": ("passe", "sånn passe", "so so", "dábálaš"),
    "bad": ("dårlig", "dårleg", "bad", "heittot"),
    "very_bad": ("svært dårlig", "svært dårleg", "very bad", "hui heittot"),
    "yes": ("ja", "yes", "lea"),
    "not_yet": ("ikke ennå", "ikkje enno", "ikke enda", "not yet", "ii vel"),
    "unknown": ("vet ikke", "veit ikkje", "jeg vet ikke", "do not know", "dont know", "in dieđe"),
    "nobody_contacted": ("ingen tok kontakt", "no contact yet", "ii oktavuohta"),
    "waiting_list": ("venteliste", "waiting list", "vuordán"),
    "too_ill": ("orker ikke", "orkar ikkje", "not up to it", "in nagot"),
    "no_transport": ("ingen skyss", "no transport", "váilu sáhttu"),
    "not_understood": ("forstår ikke", "forstår ikkje", "not clear to me", "in ipmir"),
    "not_wanted": ("vil ikke", "vil ikkje", "do not want to", "in hálit"),
    "other": ("annet", "anna", "other", "eará"),
    "no": ("nei", "no", "ii"),
    "a_little": ("litt", "a little", "veahá"),
    "clearly": ("mye", "mykje", "a lot", "ollu"),
    "true": ("ja", "yes", "juo"),
    "false": ("nei", "no", "in"),
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
    words = _without_courtesies(_split(plain))
    if not words:
        return Reply(ReplyKind.UNKNOWN)
    return _number(words, plain) or _word(words) or Reply(ReplyKind.UNKNOWN)


def option_meant(body: str, options: Sequence[str]) -> str | None:
    """The option that was written in words, perhaps after its digit ("2 ikke ennå"); None when it is surely none of these."""
    words = _split(unicodedata.normalize("NFKC", body).casefold().replace("'", ""))
    # Greetings may stand around it, and "bures" is both a greeting and an answer: the longest that fits.
    for first, last in sorted(
        combinations(range(min(len(words), 10) + 1), 2), key=lambda cut: cut[0] - cut[1]
    ):
        if not _COURTESIES.issuperset((*words[:first], *words[last:])):
            continue
        said = " ".join(words[first:last])
        for digit, code in enumerate(options, 1):
            if said.removeprefix(f"{digit} ") in _OPTIONS.get(code, ()):
                return code
    return None


def _split(plain: str) -> list[str]:
    return re.sub(r"[^\w\s]|_", " ", plain).split()


def _without_courtesies(words: list[str]) -> list[str]:
    while words and words[0] in _COURTESIES:
        words = words[1:]
    while words and words[-1] in _COURTESIES:
        words = words[:-1]
    return words


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
