"""A check-in in words: its cards, what is wrong with an answer, what comes of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from companion.models import Flag
from web.house.words import Words, _

# Why somebody looks at the answers, said to the one who gave them.
REASONS: Mapping[str, str] = {
    "crisis_words": _("Du skrev noe som et menneske må lese."),
    "grave_words": _("Du skrev noe som et menneske må lese."),
    "wants_contact": _("Du vil at noen skal kontakte deg."),
    "clearly_worse": _("Du svarte at noe er blitt klart verre."),
    "low_mood": _("Du svarte at du har det tungt."),
    "fall_with_injury": _("Du svarte at du har falt og skadet deg."),
    "feels_very_bad": _("Du svarte at du har det veldig dårlig."),
    "high_fatigue": _("Du svarte at du er veldig sliten."),
    "high_pain": _("Du svarte at du har mye vondt."),
    "measure_unknown": _("Du svarte «vet ikke» om «%(title)s»."),
    "nobody_contacted_overdue": _("Du svarte at ingen har kontaktet deg om «%(title)s»."),
    "not_started_nobody_contacted": _("Du svarte at ingen har kontaktet deg om «%(title)s»."),
    "not_started_waiting_list": _("Du står på venteliste til «%(title)s»."),
    "not_started_too_ill": _("Du er for sliten eller syk til «%(title)s»."),
    "not_started_no_transport": _("Du kommer deg ikke til «%(title)s»."),
    "not_started_not_understood": _("Du er usikker på hva du skal gjøre med «%(title)s»."),
    "not_started_not_wanted": _("Du vil ikke ha «%(title)s»."),
    "not_started_other": _("Du er ikke i gang med «%(title)s»."),
    "not_started_unsaid": _("Du er ikke i gang med «%(title)s»."),
    "wants_coordinator": _("Du vil ha en koordinator."),
    "wants_individual_plan": _("Du vil ha en individuell plan."),
    "passport_wrong": _("Du svarte at noe er feil i passet."),
}

REASON_ELSE = _("Noe du svarte.")

OUTCOMES: Mapping[str, str] = {
    "helped": _("Du har fått hjelp."),
    "measure_started": _("Tiltaket er i gang."),
    "referred": _("Saken er sendt videre til noen som kan hjelpe."),
    "advice": _("Du har fått råd."),
    "no_contact": _("De prøvde å nå deg, men fikk ikke svar."),
    "not_needed": _("Det trengtes ikke noe mer."),
}


class CheckInWords(Words):
    """What the one who answers reads."""

    def yes_and_no(self) -> tuple[Mapping[str, str | None], ...]:
        """The cards of a question with two answers."""
        return (
            {"value": "true", "word": self(_("Ja")), "icon": "ok"},
            {"value": "false", "word": self(_("Nei")), "icon": "no"},
        )

    def answer_problem(self, question: Any, code: str, typed: str) -> str:
        """What is wrong with an answer, and what to do."""
        if code == "too_long":
            over = len(typed) - question.longest
            return self(
                _("Teksten er for lang. Det er plass til %(longest)s tegn. Ta bort %(over)s."),
                longest=question.longest,
                over=max(over, 1),
            )
        if question.kind == "text":
            return self(_("Skriv et svar."))
        return self(_("Velg et svar før du går videre."))

    def reason(self, flag: Flag, titles: Mapping[UUID, str]) -> str:
        """Why a human looks at it."""
        title = titles.get(flag.measure_id) if flag.measure_id else None
        sentence = REASONS.get(flag.code, REASON_ELSE)
        if "%(title)s" in sentence and not title:
            sentence = REASON_ELSE
        return self(sentence, title=title) if title else self(sentence)

    def reasons(self, flags: tuple[Flag, ...], titles: Mapping[UUID, str]) -> list[str]:
        """Each reason once, the gravest first."""
        return list(dict.fromkeys(self.reason(flag, titles) for flag in flags))

    def outcome(self, code: str | None) -> str | None:
        """What it came to."""
        return self(OUTCOMES[code]) if code and code in OUTCOMES else None
