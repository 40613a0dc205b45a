"""Lives in which the random machine once found something, step by step as it printed them.

Of a new find `make explore` prints such a function: give it a name that says what was found.
"""

import datetime
from collections.abc import Callable

from tests.delivery.post_life import Retold

FOUND: list[Callable[[Retold], None]] = []


def found(life: Callable[[Retold], None]) -> Callable[[Retold], None]:
    """Keeps it among those told again by every test run."""
    FOUND.append(life)
    return life


@found
def a_week_between_letters_and_a_dispatcher_that_looks_once_a_week(state: Retold) -> None:
    """Asked on the fourth day too late, reminded a week after a weekend: at the third look nobody had been silent for long."""
    state.kari_goes_home(start="2026-11-10T10:00:00+01:00", template="mecfs", way="sms")
    state.the_provider_s_list(away=False, hidden=True)
    state.lets_the_relative_in(days=60, regrets=False, to="meetings", who=0)
    state.the_provider_s_list(away=False, hidden=True)
    state.lets_the_relative_in(days=60, regrets=False, to="passport,meetings", who=1)
    state.lets_the_relative_in(days=2, regrets=False, to="passport", who=0)
    state.ola_goes_home(days=-1, template="general", way="push")
    state.a_meeting_is_moved_or_off(cancelled=False, which=4)
    state.a_meeting_is_moved_or_off(cancelled=True, which=5)
    state.the_provider_s_list(away=True, hidden=False)
    state.lets_the_relative_in(days=60, regrets=False, to="meetings", who=0)
    state.a_meeting_is_moved_or_off(cancelled=False, which=0)
    state.the_provider_s_list(away=False, hidden=True)
    state.the_provider_s_list(away=True, hidden=True)
    state.a_meeting_is_moved_or_off(cancelled=True, which=1)
    state.staff_decide(days=24, what="resume", who=0)
    state.the_provider_s_list(away=True, hidden=True)
    state.the_provider_s_list(away=False, hidden=False)
    state.a_meeting_is_moved_or_off(cancelled=True, which=1)
    state.lets_the_relative_in(days=60, regrets=True, to="passport,meetings", who=1)
    state.staff_decide(days=0, what="resume", who=1)
    state.the_provider_knows_only_when_asked(code="30007", status="undelivered")
    state.the_provider_s_list(away=True, hidden=True)
    state.a_device_shows_a_push(times=2, which=2)
    state.a_meeting_is_moved_or_off(cancelled=True, which=2)
    state.is_offered_a_meeting(days=6, who=0, with_relative=False)
    state.lets_the_relative_in(days=60, regrets=True, to="passport,meetings", who=1)
    state.staff_decide(days=22, what="resume", who=1)
    state.the_provider_knows_only_when_asked(code="30003", status="delivered")
    state.the_provider_s_list(away=True, hidden=True)


@found
def a_letter_that_never_arrived_does_not_fill_the_week(state: Retold) -> None:
    """The welcome did not arrive, as we were told: the check-in may take its place."""
    state.kari_goes_home(start="2026-11-10T10:00:00+01:00", template="frail", way="sms")
    state.answers_on_the_web(postponed=True, who=0)
    state.writes(said="START", who=0)
    state.days_go_by(days=1)
    state.answers_on_the_web(postponed=False, who=0)
    state.writes(said="2", who=0)
    state.answers_on_the_web(postponed=False, who=0)
    state.the_provider_knows_only_when_asked(code="30007", status="undelivered")
    state.answers_on_the_web(postponed=True, who=0)
    state.writes(said="START", who=0)
    state.writes(said="ikke i dag", who=0)
    state.the_provider_hands_in_again(which=1)
    state.the_provider_hands_in_again(which=5)
    state.days_go_by(days=4)
    state.time_passes_and_a_tick(by=datetime.timedelta(seconds=1860))
    state.answers_on_the_web(postponed=False, who=0)
    state.the_provider_hands_in_again(which=19)
    state.answers_on_the_web(postponed=True, who=0)
    state.the_provider_hands_in_again(which=5)
    state.is_reached_otherwise(how=0, who=1)
    state.writes(said="RING", who=0)
    state.the_provider_hands_in_again(which=15)
    state.is_reached_otherwise(how=1, who=1)
    state.answers_on_the_web(postponed=True, who=0)
    state.days_go_by(days=3)


@found
def a_letter_in_doubt_of_which_we_are_told_that_it_did_not_arrive(state: Retold) -> None:
    """It is sent once more, and nobody is asked any longer whether it may have arrived."""
    state.kari_goes_home(start="2026-11-10T10:00:00+01:00", template="stroke", way="sms")
    state.the_provider_s_list(away=True, hidden=False)
    state.the_provider_s_list(away=True, hidden=True)
    state.asks_for_a_code(who=0)
    state.between_claim_and_settle(days=2, late=True, outcome="accepted", then=16, what="death")
    state.days_go_by(days=1)
    state.the_provider_tells(
        at_once=True,
        code="30003",
        own_id=True,
        statuses=["nonsense", "undelivered", "nonsense"],
        times=1,
        which=8,
    )
