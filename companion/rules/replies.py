"""Reading what somebody answered by SMS: Norwegian, Northern Sámi and English, typing errors and courtesies included.

What is not surely understood is left for a human. Nobody is ever taken off the messages, or put back on, by a guess.
A signature, a phone's own last line and good manners change nothing (`companion.rules.manners`).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from companion.rules.finding import found
from companion.rules.manners import without_manners
from companion.rules.triage import crisis_quote


class ReplyKind(StrEnum):
    """What the sender wants."""

    CRISIS = "crisis"
    GRAVE = "grave"
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
    # The provider's own words, which it obeys by itself.
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
    "opt out",
    "slutt",
    "avmeld",
    "avmelding",
    "meld meg av",
    "ta meg av lista",
    "ta meg av listen",
    "remove me",
    "ta meg bort fra lista",
    "ta meg bort fra listen",
    "ta meg av",
    "melde meg av",
)
_START = ("start", "starte", "strat", "satrt", "unstop", "álggat", "álggaht")
_CALL_ME = (
    "at noen ringer meg",
    "jeg vil gjerne at noen ringer meg",
    "jeg vil at noen ringer meg",
    "kan en av dere ringe",
    "kan en av dere ringe meg",
    "kan legen ringe meg",
    "kan noen kontakte meg",
    "kan dere kontakte meg",
    "kontakt meg",
    "ta kontakt med meg",
    "vil ha en telefon",
    "jeg ønsker telefon",
    "jeg vil ha telefon",
    "trenger å snakke med noen",
    "må snakke med noen",
    "jeg må snakke med noen",
    "jeg vil gjerne snakke med dere",
    "jeg vil snakke med dere",
    "give me a call",
    "ring",
    "ringe",
    "ringe meg",
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
    "please call me",
    "could you call me",
    "ring meg igjen",
    "ring meg når",
    "kan dere ringe meg opp",
    "kan dere ringe tilbake",
    "kan dere ringe meg tilbake",
    "kan du ringe meg tilbake",
    "kan dere være så snill å ringe",
    "kan dere være så snill å ringe meg",
    "vil dere ringe",
    "vil dere ringe meg",
    "vil dykk ringe meg",
    "jeg vil at dere ringer",
    "jeg vil at dere ringer meg",
    "jeg vil gjerne at dere ringer",
    "jeg vil gjerne at dere ringer meg",
    "jeg vil gjerne bli oppringt",
    "vil gjerne bli oppringt",
    "jeg ønsker å bli oppringt",
    "ønsker å bli oppringt",
    "eg vil gjerne bli oppringd",
    "jeg vil snakke med noen",
    "jeg vil gjerne snakke med noen",
    "jeg trenger å snakke med noen",
    "vil snakke med noen",
    "eg vil snakke med nokon",
    "i want to talk to someone",
    "i need to talk to someone",
    "riŋge",
    "riŋge munnje",
    "riŋges munnje",
    "čuojat",
    "čuojat munnje",
)
_YES = (
    "ja",
    "ja det er greit",
    "ja gjerne",
    "jada",
    "ja da",
    "ja da",
    "jada",
    "jadda",
    "ja gjerne",
    "ja visst",
    "ja det er jeg",
    "ja jeg er i gang",
    "ja jeg har startet",
    "ja har startet",
    "joda",
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
_NO = (
    "nei",
    "nei da",
    "neida",
    "nei det har jeg ikke",
    "nei ikke",
    "n",
    "neii",
    "nope",
    "no",
    "næ",
    "ii",
    "in",
)
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
# What may stand around an answer without changing it, word by word.
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
        "vennligst",
        "venlegst",
        "snill",
        "pls",
        "plz",
        "kjære",
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
    (
        "jeg",
        "eg",
        "det",
        "dette",
        "velger",
        "tar",
        "vel",
        "svarer",
        "svarar",
        "svar",
        "svaret",
        "mitt",
        "er",
        "blir",
        "nr",
        "nummer",
        "tallet",
        "alternativ",
        "my",
        "answer",
        "is",
        "kode",
        "koden",
        "code",
    )
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
        "all",
        "alt",
        "dette",
        "det",
        "denne",
        "tjenesten",
        "tenesta",
        "varsler",
        "varslene",
        "til",
        "meg",
        "flere",
        "fleire",
        "mer",
        "meir",
        "er",
        "more",
        "any",
        "texts",
        "abonnement",
        "abonnementet",
        "abbonement",
        "påmelding",
        "påmeldingen",
        "oppfølging",
        "oppfølgingen",
        "oppfølginga",
        "her",
        "for",
        "helvete",
        "faen",
        "pokker",
        "så",
        "straks",
        "umiddelbart",
        "en",
        "gang",
        "snarest",
        "immediately",
        "service",
        "subscription",
        "utsending",
        "utsendelse",
        "varsling",
        "da",
        "it",
        "this",
    )
)
# "Jeg vil ikke ha flere meldinger", in the ways people say it.
_NO_MORE = re.compile(
    r"(?:(?:jeg|eg|i|vi|we) )?(?:(?:vil|ønsker|ønskjer|orker|orkar) )?"
    r"(?:ikke|ikkje|ingen|no|dont want|do not want|dont|do not)(?: lenger)?"
    r"(?: å)?(?: (?:ha|få|motta|send|sende|get|text))?(?: (?:meg|me))?"
    r"(?: (?:flere|fleire|mer|meir|noen|any more|any|more))+(?: (?:av|disse|desse|slike|of these|these))*"
    r" (?:sms|smser|sms er|melding|meldinger|meldingar|meldingene|spørsmål|messages|texts)(?: takk)?"
    r"|(?:jeg |eg |vi )?(?:vil|ønsker|ønskjer) (?:ikke|ikkje) (?:å )?(?:ha|få|motta) (?:disse |desse )?"
    r"(?:sms|meldinger|meldingar|meldingene)(?: mer| meir| lenger)?"
    r"|(?:ikke|ikkje) (?:send|sende) (?:meg )?(?:mer|meir|flere|fleire)"
    r"|slutt (?:å|og|med å) sende?(?: meg)?(?: (?:flere|fleire|disse|desse|sms|meldinger|meldingar|meldingene|dette))*"
)
# When somebody would like to be phoned: a human reads the words themselves.
_WHEN = frozenset(
    [
        "nå",
        "no",
        "now",
        "i",
        "dag",
        "idag",
        "today",
        "snart",
        "straks",
        "gjerne",
        "fort",
        "dál",
        "odne",
        "morgen",
        "imorgen",
        "morra",
        "morgon",
        "i",
        "ettermiddag",
        "ettermiddagen",
        "formiddag",
        "formiddagen",
        "kveld",
        "kvelden",
        "natt",
        "kl",
        "klokka",
        "klokken",
        "tidlig",
        "seint",
        "sent",
        "eller",
        "or",
        "lunsj",
        "middag",
        "etter",
        "før",
        "mellom",
        "og",
        "til",
        "på",
        "om",
        "når",
        "dere",
        "de",
        "dykk",
        "du",
        "kan",
        "har",
        "tid",
        "mulighet",
        "anledning",
        "høve",
        "passer",
        "passar",
        "det",
        "så",
        "som",
        "mulig",
        "mogleg",
        "snarest",
        "raskt",
        "en",
        "ein",
        "gang",
        "uka",
        "uken",
        "veka",
        "uke",
        "veke",
        "neste",
        "denne",
        "helga",
        "helgen",
        "mandag",
        "tirsdag",
        "onsdag",
        "torsdag",
        "fredag",
        "lørdag",
        "søndag",
        "måndag",
        "tysdag",
        "laurdag",
        "sundag",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "tomorrow",
        "at",
        "after",
        "before",
        "between",
        "and",
        "when",
        "you",
        "can",
        "asap",
        "soon",
        "possible",
        "as",
        "igjen",
        "tilbake",
        "opp",
        "helst",
        "halv",
        "kvart",
        "over",
        "ca",
        "rundt",
        "cirka",
        "fra",
        "frå",
        "the",
        "noen",
        "dagene",
        "dagane",
        "av",
        "ein",
        "gong",
        "øyeblikk",
        "bare",
        "berre",
        "er",
        "hjemme",
        "heime",
        "ledig",
        "ledige",
        "jeg",
        "eg",
        "den",
        "dette",
        "nummeret",
        "her",
        "back",
        "up",
        "am",
        "pm",
        "o",
        "clock",
        "tonight",
        "evening",
        "morning",
        "afternoon",
        "ihtin",
    ]
)
_SENTENCE_ENDS = re.compile(r"[.!\n]+(?=\D|$)")
_CLAUSE_ENDS = re.compile(r"[!?;\n]+|[.,](?=\D|$)")
_LINKS = frozenset(("men", "og", "så", "but", "and", "da"))
_NOT = frozenset(("ikke", "ikkje", "aldri", "not", "dont", "never"))
_NOT_STOP = re.compile(r"\b(?:ikke|ikkje|not|don.?t) (?:å )?(?:stop|slutt|avslutt)")
_ASKS = re.compile(
    r"^(?:(?:kan|kunne|vil|can|could|would) (?:du|dere|dykk|de|vi|you)(?: vær så snill)?(?: å| please)?"
    r"|(?:jeg|eg|i) (?:vil|ønsker|ønskjer|ynskjer|want)(?: gjerne| bare| berre| no| nå)*(?: at dere| to| å)?"
    r"|(?:vil|ønsker|ønskjer)(?: gjerne)?(?: å)?|(?:vær|ver) så (?:snill|venleg) (?:å|og)|bare|nå|å|please) "
)
_CALL_SAID = re.compile(
    r"\b(?:ring(?:e|je)? (?:meg|mæ|til meg)|(?:at|ønsker|vil) (?:\w+ ){1,3}ring(?:er|jer)(?: meg| mæ)?"
    r"|(?:call|phone) me|ta(?: \w+)? kontakt med meg|telefon til meg)\b"
)
_REFUSES = frozenset(("nei", "ingen", "slutt", "slutte", "nobody"))
# After these anything may be said about when and why.
_CALLS_SURELY = frozenset(said for said in _CALL_ME if " " in said)
_UP, _DOWN = frozenset("👍👌✅✔☑🆗"), frozenset("👎❌✖🚫")
# Variation selectors, the joiner, and the tones of skin.
_MARKS = re.compile("[\ufe00-\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff\\s.!,]")
_LONG_ENOUGH_FOR_A_TYPO = 4
# A wrong guess among these costs nothing that the person did not nearly say.
_GUESSABLE = frozenset(
    word
    for word, kind in _WORDS.items()
    if kind in (ReplyKind.CALL_ME, ReplyKind.YES, ReplyKind.NO) and len(word) >= _LONG_ENOUGH_FOR_A_TYPO
)


def classify(
    body: str,
    crisis_words: Iterable[str] = (),
    *,
    grave_words: Iterable[str] = (),
    names: Iterable[str] = (),
) -> Reply:
    """What the reply says; UNKNOWN is for a human to read, never for a guess. Crisis words go before everything else.

    `names`: what the people on this phone are called, so that an answer signed with them is that answer.
    """
    if crisis_quote([body], crisis_words):
        return Reply(ReplyKind.CRISIS)
    if _is_grave(body, tuple(grave_words)):
        return Reply(ReplyKind.GRAVE)
    said = _plain(body, names)
    words = _without_courtesies(_split(said))
    if not words:
        return _thumbs(said) or Reply(ReplyKind.UNKNOWN)
    return _number(words, said) or _word(words) or _in_clauses(said) or Reply(ReplyKind.UNKNOWN)


def is_only_a_sign(body: str) -> bool:
    """Whether it is a thumb or a tick and nothing else: an answer where the question is one of yes and no, else none."""
    return _thumbs(_plain(body, ())) is not None


def says_more_than_call(body: str) -> bool:
    """Whether somebody who wants to be phoned says more than that, as when."""
    return _WORDS.get(" ".join(_without_courtesies(_split(_plain(body, ()))))) is not ReplyKind.CALL_ME


def _is_grave(body: str, grave_words: Sequence[str]) -> bool:
    """Without the harmless phrases, which begin with `!` in the list: "falt i søvn" is no fall."""
    harmless = [word[1:] for word in grave_words if word.startswith("!")]
    said = body.casefold()
    for phrase in harmless:
        said = said.replace(phrase.rstrip("*"), " ")
    return found(said, [word for word in grave_words if not word.startswith("!")])


def option_meant(body: str, options: Sequence[str], *, names: Iterable[str] = ()) -> str | None:
    """The option that was written in words, perhaps after its digit ("2 ikke ennå"); None when it is surely none of these."""
    words = _split(_plain(body, names).replace("'", ""))
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


def _plain(body: str, names: Iterable[str]) -> str:
    """Lower case, every digit in the world as ours, without signature and manners."""
    plain = unicodedata.normalize("NFKC", body).casefold()
    digits = "".join(str(unicodedata.digit(sign, sign)) for sign in plain)
    return without_manners(digits, [name.casefold() for name in names])


def _thumbs(said: str) -> Reply | None:
    signs = set(_MARKS.sub("", said))
    if signs and signs <= _UP:
        return Reply(ReplyKind.YES)
    return Reply(ReplyKind.NO) if signs and signs <= _DOWN else None


def _in_clauses(said: str) -> Reply | None:
    """What one clause says for the whole: STOP as the first sentence, a wish to be phoned anywhere."""
    first, *rest = _SENTENCE_ENDS.split(said.strip(), maxsplit=1)
    if rest and _stops(_clause(first)) and not _NOT_STOP.search(rest[0]):
        return Reply(ReplyKind.STOP)
    spoken = [words for words in map(_clause, _CLAUSE_ENDS.split(said)) if words]
    said_more = [
        words for words in spoken if _WORDS.get(" ".join(words)) not in (ReplyKind.YES, ReplyKind.NO)
    ]
    if said_more and all(_stops(words) for words in said_more):
        return Reply(ReplyKind.STOP)
    if any(_calls(words) for words in spoken) and not any(_denies(words) for words in spoken):
        return Reply(ReplyKind.CALL_ME)
    return None


def _clause(part: str) -> list[str]:
    words = _without_courtesies(_split(part))
    while words and words[0] in _LINKS:
        words = _without_courtesies(words[1:])
    return words


def _denies(words: list[str]) -> bool:
    return bool(_NOT & set(words)) or _WORDS.get(" ".join(words)) is ReplyKind.NO


def _stops(words: list[str]) -> bool:
    if _NO_MORE.fullmatch(" ".join(words)):
        return True
    while len(words) > 1 and _WORDS.get(words[0]) in (ReplyKind.YES, ReplyKind.NO):
        words = words[1:]
    words = _asked(words)
    if not words:
        return False
    if len(words) > 1 and all(len(word) == 1 for word in words):
        words = ["".join(words)]
    said = " ".join(words)
    if _NO_MORE.fullmatch(said) or _is_stop(said):
        return True
    for length in (1, 2, 3):
        rest = {word for word in words[length:] if not _is_stop(word)}
        if _is_stop(" ".join(words[:length])) and rest <= _AFTER_STOP | _COURTESIES:
            return True
    return False


def _is_stop(said: str) -> bool:
    return ReplyKind.STOP in (_WORDS.get(said), _WORDS.get(_squeezed(said)))


def _asked(words: list[str]) -> list[str]:
    """Without "kan dere", "jeg vil gjerne": what is asked for."""
    said = _ASKS.sub("", " ".join(words))
    return said.split()


def _calls(words: list[str]) -> bool:
    """A wish to be phoned, and perhaps when and why: whoever is named in it, a human reads."""
    if (
        _CALL_SAID.search(" ".join(words))
        and not (_NOT | _REFUSES) & set(words)
        and not any(map(_is_stop, words))
    ):
        return True
    for length in range(len(words), 0, -1):
        said = " ".join(words[:length])
        if _WORDS.get(said) is ReplyKind.CALL_ME:
            after = words[length:]
            if _NOT & set(after):
                return False
            return said in _CALLS_SURELY or all(
                word in _WHEN or word in _NUMBERS or _is_time(word) for word in after
            )
    return False


def _is_time(word: str) -> bool:
    return re.fullmatch(r"(?:kl)?[0-9]{1,4}(?:min|t|h|am|pm)?", word) is not None


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
    if len({*words}) == 1 < len(words) and re.fullmatch(r"[0-9]{1,2}", words[0]):
        # Written twice to be sure.
        said = words[0]
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
    if _stops(words):
        return Reply(ReplyKind.STOP)
    if _calls(words):
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
