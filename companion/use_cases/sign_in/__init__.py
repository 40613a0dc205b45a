"""Doors: links and typed codes, one-time codes, BankID and HelseID identities, and the sessions behind them.

Wrong tries are counted in the caller's transaction: a caller that shows a `wrong` answer commits.
"""

from companion.use_cases.sign_in.codes import ask_for_code, enter_code
from companion.use_cases.sign_in.identities import from_identity
from companion.use_cases.sign_in.links import (
    LINK_LIFE,
    Landing,
    Words,
    confirm_birth_date,
    first_name,
    issue_link,
    issue_links,
    landing,
    redeem_link,
    redeem_typed,
    send_new_link,
)
from companion.use_cases.sign_in.people import e164
from companion.use_cases.sign_in.sessions import (
    IDLE,
    LONGEST,
    Opened,
    carry_on,
    choose_unit,
    end,
    end_at_provider,
    move_sessions,
    same_person,
    stay,
)
from companion.use_cases.sign_in.tries import CODE_LIFE, TRIES
from companion.use_cases.sign_in.visits import (
    UnitLine,
    Visit,
    actor,
    awake,
    ends_at,
    stay_awake,
    visit,
    whose_page,
)

__all__ = [
    "CODE_LIFE",
    "IDLE",
    "LINK_LIFE",
    "LONGEST",
    "TRIES",
    "Landing",
    "Opened",
    "UnitLine",
    "Visit",
    "Words",
    "actor",
    "ask_for_code",
    "awake",
    "carry_on",
    "choose_unit",
    "confirm_birth_date",
    "e164",
    "end",
    "end_at_provider",
    "ends_at",
    "enter_code",
    "first_name",
    "from_identity",
    "issue_link",
    "issue_links",
    "landing",
    "move_sessions",
    "redeem_link",
    "redeem_typed",
    "same_person",
    "send_new_link",
    "stay",
    "stay_awake",
    "visit",
    "whose_page",
]
