"""Offering, moving and cancelling a meeting; the waiting room; letting in, leaving, ending; asking to be phoned."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Conflict, Invalid, LevelTooLow, NotAllowed, NotFound
from companion.models import (
    Flag,
    FlagEvent,
    Grant,
    LinkToken,
    Meeting,
    MeetingEvent,
    Message,
    Municipality,
    Participant,
    Patient,
    PatientUnit,
    Professional,
    Relative,
    SignIn,
    Unit,
)
from companion.rules.access import Actor, Level
from companion.use_cases import meetings as meet
from companion.use_cases.cases import flag

TOMORROW = datetime(2026, 11, 11, 9, 0, tzinfo=UTC)


@dataclass
class Cast:
    """Johan and Berit of the ART team, Kari at home, her daughter Anne; Mona of a ward that never met Kari."""

    art: Unit
    ward: Unit
    johan: Professional
    berit: Professional
    mona: Professional
    kari: Patient
    anne: Relative
    grant: Grant

    def actor(self, person: Professional | Patient | Relative, level: Level = Level.code) -> Actor:
        if isinstance(person, Patient):
            return Actor(kind="patient", id=person.id, level=level, name=person.name)
        if isinstance(person, Relative):
            return Actor(kind="relative", id=person.id, level=level, name=person.name)
        unit = self.ward if person is self.mona else self.art
        return Actor(
            kind="professional",
            id=person.id,
            level=Level.high,
            name=person.name,
            unit_id=unit.id,
            unit_ids=frozenset({unit.id}),
            roles=frozenset({"therapist"}),
        )


@pytest.fixture
def cast(db: Session, now: datetime) -> Cast:
    if db.get(Municipality, "5536") is None:
        db.add(Municipality(number="5536", name="Lyngen", trust="UNN"))
    art = Unit(key="art-test", kind="art", name="ART Tromsø", phone="77000000")
    ward = Unit(key="post-test", kind="ward", name="Rehab post 3", phone="77000001")
    johan, berit, mona = (
        Professional(name=name, national_id=nid, national_id_index=nid, title="fysioterapeut", created_at=now)
        for name, nid in (("Johan Bakk", "j"), ("Berit Moen", "b"), ("Mona Lie", "m"))
    )
    kari = Patient(
        name="Kari Nilsen",
        national_id="k",
        national_id_index="k",
        birth_date="1958-05-04",
        phone="+4740000001",
        phone_index="+4740000001",
        phone_state="ok",
        contact_by="sms",
        language="nb",
        municipality_number="5536",
        created_at=now,
    )
    anne = Relative(
        name="Anne Nilsen",
        phone="+4740000002",
        phone_index="+4740000002",
        phone_state="ok",
        language="nb",
        created_at=now,
    )
    db.add_all([art, ward, johan, berit, mona, kari, anne])
    db.flush()
    db.add(PatientUnit(patient_id=kari.id, unit_id=art.id, since=date(2026, 10, 1)))
    grant = Grant(
        patient=kari,
        relative=anne,
        relation="datter",
        scopes="passport,meetings",
        given_how="paper",
        given_by_kind="professional",
        given_at=now,
        valid_until=now + timedelta(days=90),
    )
    db.add(grant)
    db.flush()
    return Cast(art, ward, johan, berit, mona, kari, anne, grant)


@pytest.fixture
def meeting(db: Session, cast: Cast, now: datetime) -> Meeting:
    return meet.offer(db, cast.actor(cast.johan), cast.kari.id, TOMORROW, relatives=[cast.anne.id], now=now)


def messages(db: Session, meeting: Meeting) -> list[tuple[str, str]]:
    rows = db.scalars(select(Message).where(Message.meeting_id == meeting.id).order_by(Message.id))
    return [(row.kind, "patient" if row.patient_id else "relative") for row in rows]


def events(meeting: Meeting) -> list[str]:
    return [event.kind for event in meeting.events]


def place(meeting: Meeting, role: str) -> Participant:
    return next(each for each in meeting.participants if each.role == role)


def link_to(db: Session, meeting: Meeting, now: datetime, *, patient: UUID | None = None) -> SignIn:
    token = LinkToken(
        token_hash=uuid4().hex,
        purpose="meeting",
        patient_id=patient,
        meeting_id=meeting.id,
        created_at=now,
        expires_at=now + timedelta(days=2),
    )
    db.add(token)
    db.flush()
    sign_in = SignIn(
        token_hash=uuid4().hex,
        csrf="x",
        audience="patient",
        level="link",
        link_token_id=token.id,
        created_at=now,
        seen_at=now,
        expires_at=now + timedelta(hours=1),
    )
    db.add(sign_in)
    db.flush()
    return sign_in


def test_an_offer_invites_the_patient_and_the_granted_relative(
    db: Session, meeting: Meeting, cast: Cast
) -> None:
    assert [(each.role, each.name) for each in meeting.participants] == [
        ("therapist", "Johan Bakk"),
        ("patient", "Kari Nilsen"),
        ("relative", "Anne Nilsen"),
    ]
    assert (meeting.unit, meeting.state, events(meeting)) == (cast.art, "offered", ["offered"])
    assert messages(db, meeting) == [("meeting", "patient"), ("meeting", "relative")]
    letter = db.scalars(select(Message).where(Message.meeting_id == meeting.id)).first()
    assert letter is not None
    assert letter.valid_until == TOMORROW + timedelta(minutes=30)
    assert letter.params["who"] == "Johan Bakk"


@pytest.mark.parametrize(
    ("starts_in", "minutes", "kind", "problems"),
    [
        (timedelta(0), 30, "follow_up", {"starts_at": "past"}),
        (timedelta(days=-1), 30, "follow_up", {"starts_at": "past"}),
        (timedelta(days=367), 30, "follow_up", {"starts_at": "too_far"}),
        (timedelta(days=1), 9, "follow_up", {"minutes": "not_a_length"}),
        (timedelta(days=1), 121, "party", {"minutes": "not_a_length", "kind": "unknown"}),
    ],
)
def test_every_problem_is_named_at_once(
    db: Session,
    cast: Cast,
    now: datetime,
    starts_in: timedelta,
    minutes: int,
    kind: str,
    problems: dict[str, str],
) -> None:
    with pytest.raises(Invalid) as refused:
        meet.offer(
            db, cast.actor(cast.johan), cast.kari.id, now + starts_in, minutes=minutes, kind=kind, now=now
        )
    assert refused.value.problems == problems


@pytest.mark.parametrize(
    ("after", "clashes"),
    [(-30, False), (-29, True), (0, True), (29, True), (30, False)],
)
def test_two_meetings_of_one_host_do_not_overlap(
    db: Session, cast: Cast, meeting: Meeting, now: datetime, after: int, clashes: bool
) -> None:
    at = TOMORROW + timedelta(minutes=after)
    if clashes:
        with pytest.raises(Invalid) as refused:
            meet.offer(db, cast.actor(cast.johan), cast.kari.id, at, now=now)
        assert refused.value.problems == {"starts_at": "clash"}
    else:
        meet.offer(db, cast.actor(cast.johan), cast.kari.id, at, now=now)
    assert meet.offer(db, cast.actor(cast.berit), cast.kari.id, at, now=now).host is cast.berit


def test_a_cancelled_meeting_takes_no_time(db: Session, cast: Cast, meeting: Meeting, now: datetime) -> None:
    meet.cancel(db, cast.actor(cast.johan), meeting.id, now=now)
    assert meet.offer(db, cast.actor(cast.johan), cast.kari.id, TOMORROW, now=now)


def test_only_units_that_follow_the_patient_offer(db: Session, cast: Cast, now: datetime) -> None:
    with pytest.raises(NotFound):
        meet.offer(db, cast.actor(cast.mona), cast.kari.id, TOMORROW, now=now)
    with pytest.raises(NotAllowed):
        meet.offer(db, cast.actor(cast.kari), cast.kari.id, TOMORROW, now=now)


def test_a_unit_that_stopped_following_offers_no_more(db: Session, cast: Cast, now: datetime) -> None:
    relation = db.scalars(select(PatientUnit).where(PatientUnit.patient_id == cast.kari.id)).one()
    relation.until = date(2026, 11, 9)
    db.flush()
    with pytest.raises(NotFound):
        meet.offer(db, cast.actor(cast.johan), cast.kari.id, TOMORROW, now=now)


def test_a_relative_needs_a_grant_that_lasts_until_the_meeting(
    db: Session, cast: Cast, now: datetime
) -> None:
    def invite() -> Meeting:
        return meet.offer(
            db, cast.actor(cast.johan), cast.kari.id, TOMORROW, relatives=[cast.anne.id], now=now
        )

    for change in ({"scopes": "passport"}, {"valid_until": TOMORROW}, {"withdrawn_at": now}):
        with db.begin_nested() as changed:
            for name, value in change.items():
                setattr(cast.grant, name, value)
            db.flush()
            with pytest.raises(Invalid) as refused:
                invite()
            assert refused.value.problems == {"relatives": "no_grant"}
            changed.rollback()
    assert invite()


def test_offered_on_a_flag_it_is_noted_there(db: Session, cast: Cast, now: datetime) -> None:
    raised = flag.raise_flag(db, cast.kari, code="no_answer", level="red", unit=cast.art, now=now)
    meet.offer(db, cast.actor(cast.johan), cast.kari.id, TOMORROW, flag_id=raised.id, now=now)
    noted = db.scalars(
        select(FlagEvent).where(FlagEvent.flag_id == raised.id, FlagEvent.kind == "contact")
    ).one()
    assert (noted.outcome, noted.by_id) == ("meeting", cast.johan.id)


def test_whoever_takes_no_messages_becomes_a_flag(db: Session, cast: Cast, now: datetime) -> None:
    cast.kari.contact_by = "call"
    db.flush()
    meet.offer(db, cast.actor(cast.johan), cast.kari.id, TOMORROW, now=now)
    raised = db.scalars(select(Flag).where(Flag.patient_id == cast.kari.id)).one()
    assert (raised.code, raised.level, raised.unit_id) == ("tell_by_phone", "amber", cast.art.id)
    assert (raised.params["who"], raised.params["about"]) == ("Kari Nilsen", "meeting")


def test_a_moved_meeting_is_told_and_its_door_shut_again(
    db: Session, cast: Cast, meeting: Meeting, now: datetime
) -> None:
    meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    meet.admit(db, cast.actor(cast.johan), place(meeting, "patient").id, now=TOMORROW)
    later = TOMORROW + timedelta(hours=2)
    meet.move(db, cast.actor(cast.berit), meeting.id, later, now=TOMORROW)
    assert (meeting.starts_at, meeting.sequence, events(meeting)[-1]) == (later, 1, "moved")
    assert messages(db, meeting)[2:] == [("meeting_moved", "patient"), ("meeting_moved", "relative")]
    with pytest.raises(Conflict) as shut:
        meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    assert shut.value.code == "early"
    assert place(meeting, "patient").admitted_at is None


def test_moved_to_where_it_is_changes_nothing(
    db: Session, cast: Cast, meeting: Meeting, now: datetime
) -> None:
    meet.move(db, cast.actor(cast.johan), meeting.id, TOMORROW, now=now)
    assert (meeting.sequence, len(messages(db, meeting))) == (0, 2)
    meet.move(db, cast.actor(cast.johan), meeting.id, TOMORROW + timedelta(minutes=10), now=now)
    assert meeting.sequence == 1, "its own old time is no clash"


def test_cancelled_once_and_told_once(db: Session, cast: Cast, meeting: Meeting, now: datetime) -> None:
    for _ in range(2):
        meet.cancel(db, cast.actor(cast.berit), meeting.id, now=now)
    assert events(meeting) == ["offered", "cancelled"]
    assert messages(db, meeting)[2:] == [("meeting_cancelled", "patient"), ("meeting_cancelled", "relative")]
    with pytest.raises(Conflict):
        meet.move(db, cast.actor(cast.johan), meeting.id, TOMORROW + timedelta(hours=1), now=now)


def test_strangers_change_nothing(db: Session, cast: Cast, meeting: Meeting, now: datetime) -> None:
    mona = cast.actor(cast.mona)
    with pytest.raises(NotFound):
        meet.cancel(db, mona, meeting.id, now=now)
    with pytest.raises(NotFound):
        meet.move(db, mona, meeting.id, TOMORROW + timedelta(hours=1), now=now)
    with pytest.raises(NotFound):
        meet.enter(db, mona, meeting.id, now=TOMORROW)
    with pytest.raises(NotFound):
        meet.end(db, cast.actor(cast.berit), meeting.id, now=TOMORROW)


@pytest.mark.parametrize(
    ("from_start", "phase"),
    [
        (timedelta(minutes=-15, seconds=-1), "early"),
        (timedelta(minutes=-15), "open"),
        (timedelta(minutes=60), "open"),
        (timedelta(minutes=60, seconds=1), "over"),
    ],
)
def test_the_door_is_open_around_the_hour(
    db: Session, cast: Cast, meeting: Meeting, from_start: timedelta, phase: str
) -> None:
    at = TOMORROW + from_start
    assert meet.phase(meeting, at) == phase
    if phase == "open":
        assert meet.enter(db, cast.actor(cast.kari), meeting.id, now=at).role == "patient"
    else:
        with pytest.raises(Conflict) as shut:
            meet.enter(db, cast.actor(cast.kari), meeting.id, now=at)
        assert shut.value.code == phase


def test_guests_wait_until_the_host_lets_them_in(db: Session, cast: Cast, meeting: Meeting) -> None:
    johan = cast.actor(cast.johan)
    kari = meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    assert kari.admitted_at is None
    assert meet.enter(db, johan, meeting.id, now=TOMORROW).admitted_at == TOMORROW
    meet.admit(db, johan, kari.id, now=TOMORROW)
    meet.admit(db, johan, kari.id, now=TOMORROW)
    assert kari.admitted_at == TOMORROW
    assert events(meeting) == ["offered", "waiting", "admitted", "admitted"]
    assert [event.how for event in meeting.events] == [None, "code", "high", None]


def test_only_the_host_lets_in_and_only_who_waits(db: Session, cast: Cast, meeting: Meeting) -> None:
    kari = place(meeting, "patient")
    with pytest.raises(Conflict) as absent:
        meet.admit(db, cast.actor(cast.johan), kari.id, now=TOMORROW)
    assert absent.value.code == "not_waiting"
    meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    with pytest.raises(NotFound):
        meet.admit(db, cast.actor(cast.berit), kari.id, now=TOMORROW)
    with pytest.raises(NotAllowed):
        meet.admit(db, cast.actor(cast.kari), kari.id, now=TOMORROW)
    with pytest.raises(NotFound):
        meet.admit(db, cast.actor(cast.johan), uuid4(), now=TOMORROW)


def test_a_withdrawn_grant_shuts_the_door(db: Session, cast: Cast, meeting: Meeting) -> None:
    anne = meet.enter(db, cast.actor(cast.anne), meeting.id, now=TOMORROW)
    cast.grant.withdrawn_at = TOMORROW
    db.flush()
    with pytest.raises(NotFound):
        meet.admit(db, cast.actor(cast.johan), anne.id, now=TOMORROW)
    with pytest.raises(NotFound):
        meet.enter(db, cast.actor(cast.anne), meeting.id, now=TOMORROW)


def test_hung_up_means_waiting_again(db: Session, cast: Cast, meeting: Meeting) -> None:
    kari = meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    meet.admit(db, cast.actor(cast.johan), kari.id, now=TOMORROW)
    later = TOMORROW + timedelta(minutes=5)
    meet.leave(db, cast.actor(cast.kari), meeting.id, now=later)
    assert (kari.admitted_at, events(meeting)[-1]) == (None, "left")
    meet.enter(db, cast.actor(cast.kari), meeting.id, now=later + timedelta(seconds=1))
    assert events(meeting)[-1] == "waiting"


def test_ended_for_everyone(db: Session, cast: Cast, meeting: Meeting) -> None:
    for _ in range(2):
        meet.end(db, cast.actor(cast.johan), meeting.id, now=TOMORROW)
    assert (meeting.state, events(meeting)) == ("ended", ["offered", "ended"])
    with pytest.raises(Conflict) as shut:
        meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    assert shut.value.code == "ended"


def test_the_link_alone_opens_its_own_waiting_room(
    db: Session, cast: Cast, meeting: Meeting, now: datetime
) -> None:
    link = link_to(db, meeting, now, patient=cast.kari.id)
    assert meet.enter(db, link, meeting.id, now=TOMORROW).role == "patient"
    assert meeting.events[-1].how == "link"
    other = meet.offer(db, cast.actor(cast.johan), cast.kari.id, TOMORROW + timedelta(days=1), now=now)
    with pytest.raises(LevelTooLow):
        meet.enter(db, link, other.id, now=TOMORROW)
    with pytest.raises(LevelTooLow):
        meet.enter(db, cast.actor(cast.kari, Level.link), meeting.id, now=TOMORROW)


def test_call_me_is_one_red_flag_with_the_hosts_unit(db: Session, cast: Cast, meeting: Meeting) -> None:
    for _ in range(2):
        meet.call_me(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    raised = db.scalars(select(Flag).where(Flag.patient_id == cast.kari.id)).one()
    assert (raised.code, raised.level, raised.unit_id) == ("call_me", "red", cast.art.id)
    assert (raised.params["who"], raised.params["phone"]) == ("Kari Nilsen", "+4740000001")
    assert events(meeting) == ["offered", "call_me"]


def test_everything_that_happens_is_kept(db: Session, cast: Cast, meeting: Meeting) -> None:
    meet.enter(db, cast.actor(cast.kari), meeting.id, now=TOMORROW)
    meet.end(db, cast.actor(cast.johan), meeting.id, now=TOMORROW + timedelta(minutes=20))
    kept = db.scalars(
        select(MeetingEvent.kind).where(MeetingEvent.meeting_id == meeting.id).order_by(MeetingEvent.at)
    ).all()
    assert kept == ["offered", "waiting", "ended"]
