"""What the patient reads: a plain sentence for each code of the domain, by noun."""

from typing import Annotated

from fastapi import Depends

from companion.use_cases.check_in import Coming
from web.house import pages
from web.house.words import reading
from web.house.words.passport import PassportWords
from web.patient.words.check_in import CheckInWords
from web.patient.words.measures import OwnMeasureWords
from web.patient.words.problems import ProblemWords
from web.patient.words.sharing import SharingWords


class PatientWords(CheckInWords, OwnMeasureWords, PassportWords, SharingWords, ProblemWords):
    """The tables in one reader's language. Templates get it as `words`."""

    def then(self, next_one: Coming) -> str:
        """When a check-in to come is asked: `i morgen kl. 10.00`."""
        return pages.say_moment(next_one.at, lang=self.lang, now=self.now)


Words = Annotated[PatientWords, Depends(reading(PatientWords))]
