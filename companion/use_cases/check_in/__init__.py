"""Check-ins: asked, reminded, given up; answered one question at a time; and what happens after the last answer."""

from companion.use_cases.check_in.afterwards import Ending, NextCheckIn, Step, ending
from companion.use_cases.check_in.answerable import BY_PHONE_WITHIN, may_be_phoned
from companion.use_cases.check_in.answering import (
    POSTPONE_AT_MOST,
    Kept,
    answer,
    current,
    finish,
    page,
    postpone,
    response,
    review,
    save,
)
from companion.use_cases.check_in.asking import ask_due, give_up_at, give_up_due, remind_at, remind_due
from companion.use_cases.check_in.by_phone import PhoneForm, answer_by_phone, phone_form, written_by
from companion.use_cases.check_in.by_sms import LAST_WORDS, sample, speaks
from companion.use_cases.check_in.coming import Coming, coming
from companion.use_cases.check_in.following import BEFORE_ANSWER, is_urgent
from companion.use_cases.check_in.questions import Asking, asks
from companion.use_cases.check_in.sheet import QuestionPage, Review, Sheet

__all__ = [
    "BEFORE_ANSWER",
    "BY_PHONE_WITHIN",
    "LAST_WORDS",
    "POSTPONE_AT_MOST",
    "Asking",
    "Coming",
    "Ending",
    "Kept",
    "NextCheckIn",
    "PhoneForm",
    "QuestionPage",
    "Review",
    "Sheet",
    "Step",
    "answer",
    "answer_by_phone",
    "ask_due",
    "asks",
    "coming",
    "current",
    "ending",
    "finish",
    "give_up_at",
    "give_up_due",
    "is_urgent",
    "may_be_phoned",
    "page",
    "phone_form",
    "postpone",
    "remind_at",
    "remind_due",
    "response",
    "review",
    "sample",
    "save",
    "speaks",
    "written_by",
]
