"""Levels, grants and the door of a meeting."""

from datetime import UTC, datetime, timedelta

import pytest

from companion.rules.access import (
    Actor,
    ActorKind,
    Door,
    GrantFacts,
    Level,
    MeetingFacts,
    Scope,
    may_enter_meeting,
    relative_may,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ANNE = GrantFacts(frozenset({"passport", "meetings"}), given_at=NOW - DAY, valid_until=NOW + DAY)


def test_levels_are_ordered() -> None:
    assert Level.link < Level.code < Level.high


@pytest.mark.parametrize(("what", "may"), [("passport", True), ("meetings", True), ("measures", False)])
def test_a_relative_sees_what_was_granted(what: Scope, may: bool) -> None:
    assert relative_may([ANNE], what, NOW) is may


def test_a_grant_holds_from_given_to_its_end_or_withdrawal() -> None:
    withdrawn = GrantFacts(ANNE.scopes, ANNE.given_at, ANNE.valid_until, withdrawn_at=NOW)
    assert not relative_may([], "passport", NOW)
    assert not relative_may([ANNE], "passport", NOW - 2 * DAY)
    assert not relative_may([ANNE], "passport", NOW + DAY)
    assert relative_may([withdrawn], "passport", NOW - timedelta(seconds=1))
    assert not relative_may([withdrawn], "passport", NOW)
    assert relative_may([withdrawn, ANNE], "passport", NOW)


@pytest.mark.parametrize(
    ("kind", "state", "minutes_to_start", "admitted", "door"),
    [
        ("patient", "offered", 31, False, Door.too_early),
        ("patient", "offered", 30, False, Door.waiting_room),
        ("patient", "offered", -10, False, Door.waiting_room),
        ("patient", "offered", -10, True, Door.open),
        ("relative", "offered", 5, False, Door.waiting_room),
        ("relative", "offered", 5, True, Door.open),
        ("professional", "offered", 5, False, Door.open),
        ("professional", "offered", 31, False, Door.too_early),
        ("patient", "offered", -89, False, Door.waiting_room),
        ("patient", "offered", -90, False, Door.over),
        ("patient", "ended", 5, True, Door.over),
        ("professional", "cancelled", 5, True, Door.cancelled),
        ("integration", "offered", 5, True, Door.not_invited),
        ("system", "offered", 5, True, Door.not_invited),
    ],
)
def test_the_door_of_a_meeting(
    kind: ActorKind, state: str, minutes_to_start: int, admitted: bool, door: Door
) -> None:
    meeting = MeetingFacts(state, NOW + timedelta(minutes=minutes_to_start), minutes=30)
    assert may_enter_meeting(Actor(kind), meeting, now=NOW, admitted=admitted, grants=[ANNE]) == door


def test_a_relative_whose_grant_is_gone_is_not_invited() -> None:
    meeting = MeetingFacts("offered", NOW, minutes=30)
    passport_only = GrantFacts(frozenset({"passport"}), ANNE.given_at, ANNE.valid_until)
    for grants in ([], [passport_only]):
        door = may_enter_meeting(Actor("relative"), meeting, now=NOW, admitted=True, grants=grants)
        assert door == Door.not_invited
