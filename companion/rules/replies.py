"""Reading what somebody answered by SMS."""

import re
from dataclasses import dataclass
from enum import StrEnum


class ReplyKind(StrEnum):
    """What the sender wants."""

    STOP = "stop"
    START = "start"
    CALL_ME = "call_me"
    YES = "yes"
    NO = "no"
    NUMBER = "number"
    CODE = "code"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reply:
    """A reply as understood; `value` is the number or the six digits of a code."""

    kind: ReplyKind
    value: str | None = None


_WORDS: dict[str, ReplyKind] = {
    **dict.fromkeys(("stop", "stopp", "avslutt", "unsubscribe", "bisset", "bisehit"), ReplyKind.STOP),
    **dict.fromkeys(("start", "álggat", "álggaht"), ReplyKind.START),
    **dict.fromkeys(
        ("ring", "ring meg", "ring meg opp", "call", "call me", "riŋge", "riŋge munnje", "čuojat"),
        ReplyKind.CALL_ME,
    ),
    **dict.fromkeys(
        ("ja", "j", "ok", "okay", "okei", "jepp", "jo", "yes", "y", "juo", "jua", "de juo"), ReplyKind.YES
    ),
    **dict.fromkeys(("nei", "n", "no", "nope", "ii", "in"), ReplyKind.NO),
}


def classify(body: str) -> Reply:
    """What the reply says; UNKNOWN is for a human to read, never for a guess."""
    said = " ".join(re.sub(r"[^\w\s]|_", " ", body.casefold()).split())
    if re.fullmatch(r"[0-9]{3} ?[0-9]{3}", said):
        return Reply(ReplyKind.CODE, said.replace(" ", ""))
    if re.fullmatch(r"[0-9]{1,2}", said):
        return Reply(ReplyKind.NUMBER, str(int(said)))
    return Reply(_WORDS.get(said, ReplyKind.UNKNOWN))
