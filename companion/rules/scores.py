"""Sums of the free instruments: PHQ-2 and the simplified modified Rankin questionnaire."""

from collections.abc import Mapping

from companion.rules.questionnaire import Value

PHQ2 = ("phq2.interest", "phq2.down")
PHQ2_POSITIVE = 3


def phq2(answers: Mapping[str, Value | None]) -> int | None:
    """0-6, or None when one of the two questions is not answered."""
    given = [answers.get(link_id) for link_id in PHQ2]
    if any(value is None for value in given):
        return None
    return sum(int(value) for value in given if value is not None)


def rankin(answers: Mapping[str, Value | None]) -> int | None:
    """The modified Rankin grade 0-5 by the simplified questionnaire (yes/no, asked only as far as needed), or None.

    Living alone without any help from another person leads to 0-2, otherwise 3-5.
    """
    alone = answers.get("smrs.alone")
    if alone is None:
        return None
    if alone:
        return _grade(answers, ("smrs.everything", False, 2), ("smrs.as_before", True, 0), otherwise=1)
    return _grade(answers, ("smrs.walk", True, 3), ("smrs.sit", True, 4), otherwise=5)


def _grade(answers: Mapping[str, Value | None], *steps: tuple[str, bool, int], otherwise: int) -> int | None:
    for link_id, decides, grade in steps:
        given = answers.get(link_id)
        if given is None:
            return None
        if given is decides:
            return grade
    return otherwise
