"""What the patient reads: a plain sentence for each code of the domain, by noun."""

from typing import Annotated

from fastapi import Depends

from companion.models import CheckIn
from web.house import pages
from web.house.words import reading
from web.house.words.passport import PassportWords
from web.patient.words.check_in import CheckInWords
from web.patient.words.measures import OwnMeasureWords
from web.patient.words.problems import ProblemWords
from web.patient.words.sharing import SharingWords


class PatientWords(CheckInWords, OwnMeasureWords, PassportWords, SharingWords, ProblemWords):
    """The tables in one reader's language. Templates get it as `words`."""

    def then(self, asked: CheckIn) -> str:
        """When a planned check-in comes: `i morgen kl. 10.00`."""
        day = pages.say_day(asked.local_date, lang=self.lang, now=self.now)
        return f"{day} {self.hour(asked.local_time)}"


Words = Annotated[PatientWords, Depends(reading(PatientWords))]
