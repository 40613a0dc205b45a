"""Whether a measure under a new title is perhaps a known one: then somebody is asked, for nobody wants to be asked twice."""

from difflib import SequenceMatcher

from companion.models import Measure, Stay
from companion.rules.names import folded
from companion.use_cases.going_home.checked import Discharge, NewMeasure

_ALIKE = 0.6


def retitled(new: Discharge, stay: Stay) -> tuple[int, ...]:
    """The numbers, from 1, of measures whose title is new, of the same owner as one that the list no longer names.

    They must also be due on the same day after the discharge, or have a like title.
    """
    listed = {folded(measure.title) for measure in new.measures}
    known = {folded(measure.title) for measure in stay.measures}
    gone = [measure for measure in stay.measures if folded(measure.title) not in listed]
    found = []
    for number, measure in enumerate(new.measures, start=1):
        if folded(measure.title) in known:
            continue
        before = next((one for one in gone if _perhaps_the_same(measure, one, new, stay)), None)
        if before:
            gone.remove(before)
            found.append(number)
    return tuple(found)


def _perhaps_the_same(measure: NewMeasure, before: Measure, new: Discharge, stay: Stay) -> bool:
    if measure.owner != before.owner:
        return False
    # The stay's own day may just have been moved to that of the list.
    same_day = measure.due_on - new.discharged_on == before.due_on - stay.discharged_on
    alike = SequenceMatcher(None, folded(measure.title), folded(before.title)).ratio() >= _ALIKE
    return same_day or alike
