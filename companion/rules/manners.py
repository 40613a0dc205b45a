"""What people and their phones put around an answer: greetings, good wishes, signatures, "Sendt fra min iPhone"."""

import re
from collections.abc import Collection

_PHONES_OWN = re.compile(
    r"^[ \t>]*(?:"
    r"(?:sendt|sent|skickat|skickad|vuolggahuvvon|sáddejuvvon) (?:fra|frå|from|från|via|med|using)\b[^\n]{0,60}"
    r"|(?:hent|få|get|last ned|download) (?:outlook|gmail|yahoo)[^\n]{0,60}"
    r"|-{2,}|_{3,}"
    r")[ \t]*$",
    re.MULTILINE,
)
_PHONES_OWN_AT_THE_END = re.compile(
    r"[\s.,;–-]*\b(?:sendt fra|sendt frå|sent from|skickat från)\b[^\n.!?]{0,60}\.?\s*\Z"
)
_WISHES = re.compile(
    r"\b(?:"
    r"(?:og )?(?:ha|ønsker deg|ønsker dere) en? (?:riktig )?(?:fin|god|flott|fortsatt fin|fortsatt god) "
    r"(?:dag|kveld|helg|uke|natt)(?: videre)?"
    r"|ha ein (?:fin|god) (?:dag|kveld|helg)"
    r"|have a (?:nice|good) (?:day|evening|weekend)"
    r"|god (?:dag|morgen|kveld|natt|helg|ettermiddag)"
    r"|good (?:morning|evening|afternoon|night)"
    r"|takk for (?:hjelpen|hjelpa|alt|nå|meg|meldinga|meldingen|sms|oppfølginga|oppfølgingen|at dere spør|at du spør|omtanken)"
    r"|(?:mange|tusen|hjertelig) takk(?: for (?:hjelpen|hjelpa|alt|nå|meg))?"
    r"|takk på forhånd|på forhånd takk|takk skal (?:du|dere) ha"
    r"|(?:vær|ver) så (?:snill|venleg|god)|er (?:du|dere) snill|hvis (?:du|dere) kan"
    r")\b"
)
_SIGNED = re.compile(
    r"(?:^|[\s.,;:!–-])\(?"
    r"(?:(?:(?:med )?(?:vennlig|venleg|vennleg|beste|hjertelig|varm|kjærlig)e? )?(?:hilsen|helsing|hilsning|helsning|hilsener)"
    r"|mvh|m\.?v\.?h\.?|vh|kv|hilser|klem|kind regards|best regards|warm regards|regards|best wishes|cheers"
    r"|dearvvuođat|dearvvuođaiguin)\b"
    r"(?:\s+(?:fra|frå|from))?[\s,.:–-]*"
    r"(?P<name>(?:[^\W\d_]+[.'’-]?[\s,.&-]*){0,5})"
    r"(?:(?:tlf|tel|mob|mobil|telefon)\.?:?\s*)?(?:\+?[\d ]{8,14})?[\s.!)❤♥😊🙂🙏]*\Z"
)
# With one of these it is no signature but something that is said.
_SAYS_SOMETHING = frozenset(
    [
        "ikke",
        "ikkje",
        "men",
        "jeg",
        "eg",
        "har",
        "vil",
        "kan",
        "er",
        "så",
        "at",
        "som",
        "må",
        "skal",
        "får",
        "blir",
        "går",
        "not",
        "but",
        "have",
        "can",
        "is",
        "am",
        "my",
        "det",
        "vi",
        "ring",
        "stopp",
    ]
)
_HERE = frozenset(("her", "here"))


def without_manners(said: str, names: Collection[str] = ()) -> str:
    """What was said in lower case, without what changes nothing: a phone's own last line, a signature, good wishes.

    `names`, also in lower case: those who may have signed with their name alone.
    """
    said = _PHONES_OWN_AT_THE_END.sub("", _PHONES_OWN.sub("", said)).strip()
    said = _unsigned(said)
    said = _WISHES.sub(" ", said).strip()
    return _without_name(said, {part for name in names for part in name.split() if len(part) > 1})


def _unsigned(said: str) -> str:
    signed = _SIGNED.search(said)
    if signed is None:
        return said
    name = set(re.findall(r"[^\W\d_]+", signed["name"]))
    return said if name & _SAYS_SOMETHING else said[: signed.start()].strip()


def _without_name(said: str, names: Collection[str]) -> str:
    """Their own name at the end, when something else stands before it."""
    words = said.split()
    kept = len(words)
    while kept and words[kept - 1].strip(".,!-–()") in {*names, *_HERE} and names:
        kept -= 1
    if kept in (0, len(words)):
        return said
    # The line breaks before it are kept: they end a sentence.
    cut = said
    for word in reversed(words[kept:]):
        cut = cut.rstrip().removesuffix(word)
    return cut.strip()
