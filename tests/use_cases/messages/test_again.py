"""A letter that did not arrive is sent again while it is of use: once, in decent hours, and to nobody who has said no."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from companion.db import make_sessions
from companion.errors import Conflict, NotFound
from companion.models import CheckIn, Flag, FlagEvent, Meeting, Message, Patient
from companion.models.messages import MESSAGE_STATES
from companion.rules.access import Actor
from companion.use_cases import check_in
from companion.use_cases import meetings as meet
from companion.use_cases.going_home import plan
from companion.use_cases.messages import again, message
from companion.use_cases.messages.again import Sent, send_again, why_not
from companion.use_cases.relatives import share
from companion.use_cases.relatives.share import GrantDraft
from tests import cast
from tests.use_cases.small_ward import SmallWard, at

OFF = "30003"


@pytest.fixture
def ward(db: Session) -> SmallWard:
    return SmallWard(db)


@pytest.fixture
def sofia(ward: SmallWard) -> Actor:
    return ward.colleague("Sofia Berg", "post3")


def asked(db: Session, ward: SmallWard) -> Message:
    """The letter of a check-in on day 7, that did not arrive; and the case about it."""
    patient = ward.patient()
    check_in.ask_due(db, at(7))
    letter = db.scalars(select(Message).where(Message.patient_id == patient.id)).one()
    return did_not_arrive(db, letter, at(7, 10, 5))


def did_not_arrive(db: Session, letter: Message, now: datetime, code: str = OFF) -> Message:
    letter.state, letter.error_code, letter.settled_at, letter.attempt = "undelivered", code, now, 1
    message.could_not_deliver(db, letter, code, now=now)
    db.flush()
    return letter


def reason(db: Session, letter: Message, now: datetime) -> str | None:
    db.flush()
    return why_not(Sent(*db.execute(again.sent(now).where(Message.id == letter.id)).one()), now)


def events(db: Session, letter: Message) -> list[tuple[str, str | None]]:
    found = db.scalars(
        select(FlagEvent)
        .join(Flag, Flag.id == FlagEvent.flag_id)
        .where(Flag.message_id == letter.id)
        .order_by(FlagEvent.at, FlagEvent.kind.desc())
    )
    return [(one.kind, one.outcome) for one in found]


def test_it_goes_again_as_the_same_letter_and_the_case_says_so(
    db: Session, ward: SmallWard, sofia: Actor
) -> None:
    letter = asked(db, ward)
    assert letter.patient_id
    new = send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 11))
    assert (new.state, new.kind, new.lane, new.dedupe_key) == (
        "queued", "check_in", "batch", f"again:{letter.id}",
    )  # fmt: skip
    assert (new.check_in_id, new.patient_id, new.language) == (
        letter.check_in_id, letter.patient_id, letter.language,
    )  # fmt: skip
    assert new.next_attempt_at == at(7, 11)
    assert new.valid_until - new.not_before == letter.valid_until - letter.not_before
    assert letter.state == "undelivered"
    assert events(db, letter) == [("opened", None), ("contact", "again")]
    assert db.scalars(select(Flag.state).where(Flag.message_id == letter.id)).one() == "open"


def test_pressed_again_it_is_the_same_one_letter(db: Session, ward: SmallWard, sofia: Actor) -> None:
    letter = asked(db, ward)
    assert letter.patient_id
    first = send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 11))
    for state in MESSAGE_STATES:
        first.state = state
        db.flush()
        assert send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 12)).id == first.id
    assert len(events(db, letter)) == 2


def test_one_sent_again_that_fails_too_may_be_sent_again_itself(
    db: Session, ward: SmallWard, sofia: Actor
) -> None:
    letter = asked(db, ward)
    assert letter.patient_id
    second = did_not_arrive(db, send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 11)), at(7, 12))
    third = send_again(db, sofia, letter.patient_id, second.id, now=at(7, 13))
    assert third.dedupe_key == f"again:{second.id}"
    # It arrives: the cases about both before it have settled themselves.
    again.arrived(db, third, at(7, 14))
    assert set(db.scalars(select(Flag.state))) == {"closed"}


def test_a_case_somebody_has_taken_stays_theirs_when_it_arrives(
    db: Session, ward: SmallWard, sofia: Actor
) -> None:
    letter = asked(db, ward)
    assert letter.patient_id
    raised = db.scalars(select(Flag).where(Flag.message_id == letter.id)).one()
    raised.state, raised.claimed_by_id = "claimed", sofia.id
    new = send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 11))
    again.arrived(db, new, at(7, 12))
    assert raised.state == "claimed"


def test_at_night_it_waits_for_the_morning_and_says_when(db: Session, ward: SmallWard, sofia: Actor) -> None:
    letter = asked(db, ward)
    assert letter.patient_id
    new = send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 21))
    assert new.not_before == new.next_attempt_at == at(8, 8)
    assert message.standing(db, new, at(8, 8)) == "send"


@pytest.mark.parametrize("state", MESSAGE_STATES)
def test_only_what_has_ended_badly(db: Session, ward: SmallWard, sofia: Actor, state: str) -> None:
    letter = asked(db, ward)
    letter.state = state
    may = state in ("failed", "undelivered", "expired", "delivery_unknown")
    assert (reason(db, letter, at(7, 11)) is None) == may
    if not may:
        with pytest.raises(Conflict, match="underway"):
            send_again(db, sofia, letter.patient_id or ward.units["post3"].id, letter.id, now=at(7, 11))


Change = Callable[[Session, Message], None]


def _check_in(letter: Message, **values: object) -> None:
    assert letter.check_in
    for name, value in values.items():
        setattr(letter.check_in, name, value)


def _patient(letter: Message, **values: object) -> None:
    assert letter.patient
    for name, value in values.items():
        setattr(letter.patient, name, value)


def _plan(letter: Message, state: str) -> None:
    assert letter.check_in
    letter.check_in.plan.state = state


def _reminded(db: Session, letter: Message) -> None:
    check_in.remind_due(db, at(8, 10, 5))


CHANGES: dict[str, tuple[str, Change]] = {
    "answered": ("answered", lambda db, one: _check_in(one, state="answered", answered_at=at(7, 10, 30))),
    "postponed": ("not_asked", lambda db, one: _check_in(one, state="postponed")),
    "given up": ("not_asked", lambda db, one: _check_in(one, state="expired")),
    "paused": ("plan", lambda db, one: _plan(one, "paused")),
    "died": ("died", lambda db, one: _patient(one, died_on=date(2026, 11, 16))),
    "stopped": ("opted_out", lambda db, one: _patient(one, phone_state="opted_out", contact_by="call")),
    "dead number": ("dead", lambda db, one: _patient(one, phone_state="dead")),
    "landline": ("landline", lambda db, one: _patient(one, phone_state="landline")),
    "no number": ("no_phone", lambda db, one: _patient(one, phone=None)),
    "wants a call": ("call", lambda db, one: _patient(one, contact_by="call")),
    "reminded meanwhile": ("overtaken", _reminded),
    "a code": ("code", lambda db, one: setattr(one, "lane", "code")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_no_longer_of_use_or_not_wanted(db: Session, ward: SmallWard, sofia: Actor, name: str) -> None:
    letter = asked(db, ward)
    expected, change = CHANGES[name]
    change(db, letter)
    assert reason(db, letter, at(8, 11)) == expected
    assert letter.patient_id
    with pytest.raises(Conflict, match=expected):
        send_again(db, sofia, letter.patient_id, letter.id, now=at(8, 11))
    assert db.scalars(select(Message).where(Message.dedupe_key.startswith("again:"))).all() == []


@pytest.mark.parametrize(
    ("turn", "expected"),
    [("nothing", None), ("push", "not_by_sms"), ("no agreement", "not_by_sms"), ("on the web", "answered")],
)
def test_a_question_by_sms_goes_again_only_if_the_next_tick_would_send_it(
    db: Session, ward: SmallWard, sofia: Actor, turn: str, expected: str | None
) -> None:
    odd = ward.patient("Odd Hansen")
    odd.sms_agreed_at = at(0)
    check_in.ask_due(db, at(7))
    letter = did_not_arrive(db, db.scalars(select(Message)).one(), at(7, 10, 5))
    assert letter.kind == "question"
    if turn == "push":
        odd.contact_by = "push"
    elif turn == "no agreement":
        odd.sms_agreed_at = None
    elif turn == "on the web":
        me = cast.actor(odd)
        check_in.save(db, me, ward.check_in(odd, 7).id, letter.params["link_id"], ["good"], now=at(7, 11))
    db.flush()
    db.expire_all()
    assert reason(db, letter, at(7, 12)) == expected
    if expected:
        with pytest.raises(Conflict, match=expected):
            send_again(db, sofia, odd.id, letter.id, now=at(7, 12))
    else:
        new = send_again(db, sofia, odd.id, letter.id, now=at(7, 12))
        assert message.standing(db, new, at(7, 12)) == "send"


def test_a_corrected_number_opens_the_way(db: Session, ward: SmallWard, sofia: Actor) -> None:
    letter = asked(db, ward)
    did_not_arrive(db, letter, at(7, 10, 10), "21211")
    assert reason(db, letter, at(7, 11)) == "dead"
    _patient(letter, phone_state="ok")
    assert reason(db, letter, at(7, 11)) is None


def test_a_welcome_while_the_plan_is_on(db: Session, ward: SmallWard, sofia: Actor) -> None:
    kari = ward.patient()
    letter = message.write(db, "welcome", to=kari, now=at(0), valid_until=at(7), dedupe_key="welcome:x")
    assert letter
    did_not_arrive(db, letter, at(0, 10, 5))
    assert reason(db, letter, at(9)) is None
    new = send_again(db, sofia, kari.id, letter.id, now=at(9))
    # It lasts as long as the first one did, from now.
    assert new.valid_until == at(16)
    new.state, new.dedupe_key = "cancelled", "another"
    plan.pause(db, sofia, kari.id, "wish", now=at(9))
    assert reason(db, letter, at(9)) == "plan"


# --- meetings, and relatives --------------------------------------------------------------------------------------------


@pytest.fixture
def invited(db: Session, now: datetime) -> tuple[cast.Ward, Patient, Meeting]:
    """Kari and Anne are invited to a meeting the day after tomorrow; neither letter arrived."""
    ward = cast.ward(db, now)
    kari = cast.kari(db, now)
    draft = GrantDraft(
        name="Anne Nilsen",
        phone=cast.ANNE_PHONE,
        birth_date=cast.ANNE_BORN,
        relation="datter",
        scopes={"meetings"},
        until=now.date() + timedelta(days=365),
    )
    grant = share.give(db, ward.sofia, kari.id, draft, now=now)
    meeting = meet.offer(
        db, ward.johan, kari.id, now + timedelta(days=2), relatives=[grant.relative_id], now=now
    )
    for letter in db.scalars(select(Message)).all():
        did_not_arrive(db, letter, now)
    return ward, kari, meeting


def of(db: Session, kind: str, *, relative: bool) -> Message:
    return db.scalars(
        select(Message).where(Message.kind == kind, Message.relative_id.is_not(None) == relative)
    ).one()


def test_an_invitation_goes_again_until_the_meeting(
    db: Session, invited: tuple[cast.Ward, Patient, Meeting], now: datetime
) -> None:
    ward, kari, meeting = invited
    for relative in (False, True):
        letter = of(db, "meeting", relative=relative)
        assert reason(db, letter, meeting.starts_at + timedelta(minutes=1)) == "meeting_over"
        new = send_again(db, ward.johan, kari.id, letter.id, now=now + timedelta(hours=1))
        assert (new.meeting_id, new.params, new.valid_until) == (
            meeting.id, letter.params, letter.valid_until,
        )  # fmt: skip
        assert new.about_id == (kari.id if relative else None)
        assert message.standing(db, new, now + timedelta(hours=1)) == "send"


def test_not_in_the_night_before_a_meeting_in_the_morning(
    db: Session, invited: tuple[cast.Ward, Patient, Meeting], now: datetime
) -> None:
    _ward, _kari, meeting = invited
    letter = of(db, "meeting", relative=False)
    early = meeting.starts_at.replace(hour=6, minute=0)
    meeting.starts_at = early
    letter.params = letter.params | {"when": early.isoformat()}
    assert reason(db, letter, early - timedelta(hours=3)) == "too_late"


def test_a_meeting_that_has_moved_or_is_off(
    db: Session, invited: tuple[cast.Ward, Patient, Meeting], now: datetime
) -> None:
    ward, _kari, meeting = invited
    letter = of(db, "meeting", relative=False)
    meet.move(db, ward.johan, meeting.id, meeting.starts_at + timedelta(hours=1), now=now)
    assert reason(db, letter, now) == "overtaken"
    moved = did_not_arrive(db, of(db, "meeting_moved", relative=False), now)
    assert reason(db, letter, now) == "meeting_changed"
    assert reason(db, moved, now) is None
    meet.cancel(db, ward.johan, meeting.id, now=now)
    off = did_not_arrive(db, of(db, "meeting_cancelled", relative=False), now)
    assert reason(db, moved, now) == "meeting_changed"
    assert reason(db, off, now) is None


def test_a_relative_only_while_the_grant_holds(
    db: Session, invited: tuple[cast.Ward, Patient, Meeting], now: datetime
) -> None:
    ward, kari, _meeting = invited
    invitation, meeting_letter = (of(db, kind, relative=True) for kind in ("relative_invited", "meeting"))
    assert invitation.about_id == kari.id
    assert reason(db, invitation, now) is None
    [grant] = share.grants_of(db, ward.sofia, kari.id, now=now)
    grant.scopes = "passport"
    assert (reason(db, invitation, now), reason(db, meeting_letter, now)) == (None, "no_grant")
    share.withdraw(db, ward.sofia, grant.id, now=now)
    later = now + timedelta(minutes=1)
    assert {reason(db, one, later) for one in (invitation, meeting_letter)} == {"no_grant"}


# --- whose business -----------------------------------------------------------------------------------------------------


def test_not_a_strangers_and_not_through_another_patient(db: Session, ward: SmallWard, sofia: Actor) -> None:
    letter = asked(db, ward)
    assert letter.patient_id
    geir = ward.colleague("Geir Nordgård", "post9")
    with pytest.raises(NotFound):
        send_again(db, geir, letter.patient_id, letter.id, now=at(7, 11))
    other = ward.patient("Ola Hansen")
    with pytest.raises(NotFound):
        send_again(db, sofia, other.id, letter.id, now=at(7, 11))
    with pytest.raises(NotFound):
        send_again(db, sofia, letter.patient_id, letter.id + 1000, now=at(7, 11))


def test_two_colleagues_at_once_send_one(engine: object, db: Session, ward: SmallWard, sofia: Actor) -> None:
    letter = asked(db, ward)
    johan = ward.colleague("Johan Bakk", "tromso-rehab")
    db.commit()
    sessions: sessionmaker[Session] = make_sessions(db.get_bind())  # type: ignore[arg-type]
    together = Barrier(4)

    def press(who: Actor) -> int:
        with sessions.begin() as own:
            together.wait(10)
            assert letter.patient_id
            return send_again(own, who, letter.patient_id, letter.id, now=at(7, 11)).id

    with ThreadPoolExecutor(4) as pool:
        sent = set(pool.map(press, (sofia, johan, sofia, johan)))
    db.expire_all()
    assert set(db.scalars(select(Message.id).where(Message.dedupe_key.startswith("again:")))) == sent
    assert len(sent) == 1
    assert [kind for kind, outcome in events(db, letter) if outcome == "again"] == ["contact"]


def test_the_check_in_of_the_letter_is_untouched(db: Session, ward: SmallWard, sofia: Actor) -> None:
    letter = asked(db, ward)
    before = [(one.state, one.asked_at, one.reminded_at) for one in db.scalars(select(CheckIn))]
    assert letter.patient_id
    send_again(db, sofia, letter.patient_id, letter.id, now=at(7, 11))
    assert [(one.state, one.asked_at, one.reminded_at) for one in db.scalars(select(CheckIn))] == before
