"""What professionals read: a sentence for each code of the domain, by noun."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Depends

from companion.models import Patient
from web.desk.words.cases import CaseWords
from web.desk.words.measures import MeasureWords
from web.desk.words.passport import GrantWords
from web.desk.words.plans import PlanWords
from web.desk.words.problems import ProblemWords
from web.house import pages
from web.house.words import reading


class Sentences(CaseWords, MeasureWords, PlanWords, GrantWords, ProblemWords):
    """The tables in one reader's language. Templates get it as `say`."""

    def pair(self, table: Mapping[str, tuple[str, str]], code: str) -> tuple[str, str]:
        """A word with its tone."""
        word, tone = table.get(code, (code, ""))
        return self(word), tone

    def when(self, value: datetime | date) -> str:
        """A moment or a day, as people say it."""
        if isinstance(value, datetime):
            return pages.say_moment(value, lang=self.lang, now=self.now)
        return pages.say_day(value, lang=self.lang, now=self.now)

    def age(self, patient: Patient) -> int:
        """Whole years."""
        return pages.say_age(patient.born, now=self.now)


def choices(table: Mapping[str, Any], say: Sentences) -> list[tuple[str, str]]:
    """A table as the options of a select."""
    return [(code, say(word if isinstance(word, str) else word[0])) for code, word in table.items()]


Say = Annotated[Sentences, Depends(reading(Sentences))]
