"""Links, typed codes, one-time codes, identities and sessions."""

from datetime import date, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from companion.errors import Invalid, LinkExpired, LinkLocked, LinkUnknown, NotAllowed, NotFound
from companion.models import LinkToken, Message, OneTimeCode, Patient, Professional, Relative, SignIn
from companion.rules.access import Level
from companion.rules.national_id import make_synthetic
from companion.use_cases import sign_in
from tests import cast

WRONG = date(1958, 5, 5)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def kari(db: Session, now: datetime) -> Patient:
    cast.ward(db, now)
    return cast.kari(db, now)


def letter(db: Session, to: Patient | Relative, now: datetime, kind: str = "new_link") -> sign_in.Words:
    message = Message(
        kind=kind,
        lane="code",
        dedupe_key=uuid4().hex,
        patient=to if isinstance(to, Patient) else None,
        relative=to if isinstance(to, Relative) else None,
        language="nb",
        params={},
        created_at=now,
        not_before=now,
        valid_until=now + MINUTE,
        next_attempt_at=now,
    )
    db.add(message)
    db.flush()
    return sign_in.issue_link(db, message, now=now)


def codes_sent(db: Session) -> list[Message]:
    return list(db.scalars(select(Message).where(Message.kind == "sign_in_code").order_by(Message.id)))


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_link_carries_128_bits_in_22_characters_and_is_kept_as_a_hash(
    db: Session, kari: Patient, now: datetime
) -> None:
    words = letter(db, kari, now)
    assert len(words.token) == 22
    assert len(words.code) == 6
    kept = db.scalars(select(LinkToken)).one()
    assert words.token not in (kept.token_hash, kept.code_index)
    assert words.code not in (kept.code_index or "")


def test_a_link_alone_is_nobody(db: Session, kari: Patient, now: datetime) -> None:
    opened = sign_in.redeem_link(db, letter(db, kari, now).token, now=now)
    assert opened.sign_in.patient_id is None
    found = sign_in.actor(db, opened.secret, now=now)
    assert found is not None
    assert (found[1].level, found[1].name) == (Level.link, "")


def test_the_birth_date_opens_and_the_secret_changes(db: Session, kari: Patient, now: datetime) -> None:
    first = sign_in.redeem_link(db, letter(db, kari, now).token, now=now)
    second = sign_in.confirm_birth_date(db, first.sign_in, cast.KARI_BORN, now=now)
    assert second.secret != first.secret
    assert sign_in.actor(db, first.secret, now=now) is None
    found = sign_in.actor(db, second.secret, now=now)
    assert found is not None
    assert (found[1].id, found[1].level, found[1].kind) == (kari.id, Level.code, "patient")


def test_five_wrong_birth_dates_shut_the_link_for_its_lifetime(
    db: Session, kari: Patient, now: datetime
) -> None:
    words = letter(db, kari, now)
    opened = sign_in.redeem_link(db, words.token, now=now)
    for _ in range(4):
        with pytest.raises(Invalid, match="birth: wrong"):
            sign_in.confirm_birth_date(db, opened.sign_in, WRONG, now=now)
    with pytest.raises(LinkLocked):
        sign_in.confirm_birth_date(db, opened.sign_in, WRONG, now=now)
    with pytest.raises(LinkLocked):
        sign_in.confirm_birth_date(db, opened.sign_in, cast.KARI_BORN, now=now)
    with pytest.raises(LinkLocked):
        sign_in.redeem_link(db, words.token, now=now + timedelta(days=3))


def test_a_new_session_of_the_same_link_gets_no_more_tries(db: Session, kari: Patient, now: datetime) -> None:
    words = letter(db, kari, now)
    for _ in range(4):
        opened = sign_in.redeem_link(db, words.token, now=now)
        with pytest.raises(Invalid):
            sign_in.confirm_birth_date(db, opened.sign_in, WRONG, now=now)
    opened = sign_in.redeem_link(db, words.token, now=now)
    with pytest.raises(LinkLocked):
        sign_in.confirm_birth_date(db, opened.sign_in, WRONG, now=now)


def test_right_answers_cost_no_tries(db: Session, kari: Patient, now: datetime) -> None:
    words = letter(db, kari, now)
    for _ in range(7):
        opened = sign_in.redeem_link(db, words.token, now=now)
        sign_in.confirm_birth_date(db, opened.sign_in, cast.KARI_BORN, now=now)


def test_an_old_link_is_expired_and_a_guessed_one_unknown(db: Session, kari: Patient, now: datetime) -> None:
    words = letter(db, kari, now)
    with pytest.raises(LinkExpired):
        sign_in.redeem_link(db, words.token, now=now + sign_in.LINK_LIFE)
    with pytest.raises(LinkUnknown):
        sign_in.redeem_link(db, "x" * 22, now=now)


def test_a_new_link_goes_to_the_registered_number_three_times_in_ten_minutes(
    db: Session, kari: Patient, now: datetime
) -> None:
    words = letter(db, kari, now)
    for second in range(5):
        sign_in.send_new_link(db, token=words.token, now=now + timedelta(seconds=second))
    new = [
        m
        for m in db.scalars(select(Message).where(Message.kind == "new_link"))
        if m.valid_until > now + MINUTE
    ]
    assert [m.patient_id for m in new] == [kari.id] * 3


# --- typed codes ------------------------------------------------------------------------------------------------------


def test_the_typed_code_belongs_to_its_number(db: Session, kari: Patient, now: datetime) -> None:
    words = letter(db, kari, now)
    with pytest.raises(LinkUnknown):
        sign_in.redeem_typed(db, "400 00 009", words.code, now=now)
    opened = sign_in.redeem_typed(db, "40 00 00 01", f"{words.code[:3]} {words.code[3:]}", now=now)
    assert opened.sign_in.level == "link"


def test_five_guessed_codes_shut_every_open_link_of_the_number(
    db: Session, kari: Patient, now: datetime
) -> None:
    words = letter(db, kari, now)
    wrong = "000000" if words.code != "000000" else "111111"
    for _ in range(5):
        with pytest.raises(LinkUnknown):
            sign_in.redeem_typed(db, cast.KARI_PHONE, wrong, now=now)
    with pytest.raises(LinkLocked):
        sign_in.redeem_typed(db, cast.KARI_PHONE, words.code, now=now)


def test_guessing_at_any_number_is_slowed_down(db: Session, now: datetime) -> None:
    for _ in range(10):
        with pytest.raises(LinkUnknown):
            sign_in.redeem_typed(db, "99999999", "123456", now=now)
    with pytest.raises(LinkLocked):
        sign_in.redeem_typed(db, "99999999", "123456", now=now)
    with pytest.raises(LinkUnknown):
        sign_in.redeem_typed(db, "99999999", "123456", now=now + timedelta(minutes=11))


def test_typing_nonsense_is_told_field_by_field(db: Session, now: datetime) -> None:
    with pytest.raises(Invalid) as wrong:
        sign_in.redeem_typed(db, "abc", "12 34", now=now)
    assert wrong.value.problems == {"phone": "missing", "code": "missing"}


# --- one-time codes ---------------------------------------------------------------------------------------------------


def code_for(db: Session, now: datetime, phone: str = cast.KARI_PHONE) -> str:
    sign_in.ask_for_code(db, phone, now=now)
    return sign_in.issue_link(db, codes_sent(db)[-1], now=now).code


def test_a_code_and_the_birth_date_open_once(db: Session, kari: Patient, now: datetime) -> None:
    code = code_for(db, now)
    opened = sign_in.enter_code(db, "400 00 001", code, cast.KARI_BORN, now=now)
    assert (opened.sign_in.level, opened.sign_in.patient_id) == ("code", kari.id)
    with pytest.raises(Invalid, match="code: wrong"):
        sign_in.enter_code(db, "400 00 001", code, cast.KARI_BORN, now=now)


def test_a_code_dies_after_ten_minutes_and_after_five_tries(
    db: Session, kari: Patient, now: datetime
) -> None:
    code = code_for(db, now)
    with pytest.raises(Invalid):
        sign_in.enter_code(db, cast.KARI_PHONE, code, cast.KARI_BORN, now=now + timedelta(minutes=10))
    for _ in range(5):
        with pytest.raises(Invalid):
            sign_in.enter_code(db, cast.KARI_PHONE, code, WRONG, now=now)
    with pytest.raises(LinkLocked):
        sign_in.enter_code(db, cast.KARI_PHONE, code, cast.KARI_BORN, now=now)


def test_an_unknown_number_gets_the_same_answer_and_no_message(
    db: Session, kari: Patient, now: datetime
) -> None:
    sign_in.ask_for_code(db, "99 99 99 99", now=now)
    assert codes_sent(db) == []
    with pytest.raises(Invalid, match="code: wrong"):
        sign_in.enter_code(db, "99999999", "123456", cast.KARI_BORN, now=now)


def test_three_codes_in_ten_minutes_and_ten_a_day(db: Session, kari: Patient, now: datetime) -> None:
    for second in range(6):
        sign_in.ask_for_code(db, cast.KARI_PHONE, now=now + timedelta(seconds=second))
    assert len(codes_sent(db)) == 3
    for quarter in range(1, 20):
        sign_in.ask_for_code(db, cast.KARI_PHONE, now=now + quarter * timedelta(minutes=15))
    assert len(codes_sent(db)) == 10


def test_asking_with_no_phone_number_is_a_problem_of_the_field(db: Session, now: datetime) -> None:
    with pytest.raises(Invalid, match="phone: not_a_phone"):
        sign_in.ask_for_code(db, "hei", now=now)
    with pytest.raises(Invalid, match="phone: missing"):
        sign_in.ask_for_code(db, " ", now=now)


def test_only_the_newest_code_opens(db: Session, kari: Patient, now: datetime) -> None:
    old = code_for(db, now)
    new = code_for(db, now + MINUTE)
    if old != new:
        with pytest.raises(Invalid):
            sign_in.enter_code(db, cast.KARI_PHONE, old, cast.KARI_BORN, now=now + MINUTE)
    sign_in.enter_code(db, cast.KARI_PHONE, new, cast.KARI_BORN, now=now + MINUTE)


# --- identities -------------------------------------------------------------------------------------------------------


def test_an_identity_opens_the_highest_level(db: Session, kari: Patient, now: datetime) -> None:
    opened = sign_in.from_identity(
        db, "patient", {"pid": cast.KARI_ID, "iss": "https://id", "sid": "s1"}, now=now
    )
    assert (opened.sign_in.level, opened.sign_in.audience) == ("high", "patient")
    assert sign_in.end_at_provider(db, "https://id", "s1", now=now) == 1
    assert sign_in.actor(db, opened.secret, now=now) is None


def test_a_stranger_is_not_found_at_either_door(db: Session, kari: Patient, now: datetime) -> None:
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "patient", {"pid": cast.OLA_ID}, now=now)
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "professional", {"pid": cast.KARI_ID}, now=now)


def test_a_professional_who_left_is_out_at_once(db: Session, kari: Patient, now: datetime) -> None:
    sofia = db.scalars(select(Professional)).first()
    assert sofia is not None
    opened = sign_in.from_identity(db, "professional", {"pid": sofia.national_id}, now=now)
    sofia.left_at = now
    db.flush()
    assert sign_in.actor(db, opened.secret, now=now) is None
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "professional", {"pid": sofia.national_id}, now=now)


def test_only_ones_own_units_can_be_chosen(db: Session, now: datetime) -> None:
    ward = cast.ward(db, now)
    sofia = db.get_one(Professional, ward.sofia.id)
    opened = sign_in.from_identity(db, "professional", {"pid": sofia.national_id}, now=now)
    sign_in.choose_unit(db, opened.sign_in, ward.post3.id, now=now)
    with pytest.raises(NotAllowed):
        sign_in.choose_unit(db, opened.sign_in, ward.art.id, now=now)


# --- sessions ---------------------------------------------------------------------------------------------------------


def stays_open(db: Session, secret: str, start: datetime, until: timedelta) -> bool:
    """Whether the session lasts when somebody does something every ten minutes."""
    at = timedelta(0)
    while at < until:
        at += timedelta(minutes=10)
        if sign_in.actor(db, secret, now=start + at) is None:
            return False
        db.flush()
    return True


@pytest.mark.parametrize(("audience", "hours"), [("patient", 2), ("professional", 12)])
def test_a_session_ends_after_half_an_hour_alone_and_at_its_longest(
    db: Session, kari: Patient, now: datetime, audience: str, hours: int
) -> None:
    pid = cast.KARI_ID if audience == "patient" else db.scalars(select(Professional)).all()[0].national_id
    door = "patient" if audience == "patient" else "professional"
    idle = sign_in.from_identity(db, door, {"pid": pid}, now=now)  # type: ignore[arg-type]
    assert sign_in.actor(db, idle.secret, now=now + timedelta(minutes=29)) is not None
    assert sign_in.actor(db, idle.secret, now=now + timedelta(minutes=59)) is None
    busy = sign_in.from_identity(db, door, {"pid": pid}, now=now)  # type: ignore[arg-type]
    assert stays_open(db, busy.secret, now, timedelta(hours=hours) - timedelta(minutes=10))
    assert sign_in.actor(db, busy.secret, now=now + timedelta(hours=hours)) is None


def test_the_cookie_is_kept_as_a_hash_and_signing_out_ends_it(
    db: Session, kari: Patient, now: datetime
) -> None:
    opened = sign_in.from_identity(db, "patient", {"pid": cast.KARI_ID}, now=now)
    assert opened.secret not in opened.sign_in.token_hash
    sign_in.end(db, opened.sign_in, now=now)
    assert sign_in.actor(db, opened.secret, now=now) is None
    assert sign_in.actor(db, "", now=now) is None


def test_a_moved_clock_leaves_people_signed_in(db: Session, kari: Patient, now: datetime) -> None:
    opened = sign_in.from_identity(db, "patient", {"pid": cast.KARI_ID}, now=now)
    sign_in.move_sessions(db, timedelta(days=3), now=now)
    assert sign_in.actor(db, opened.secret, now=now + timedelta(days=3)) is not None
    assert db.scalars(select(SignIn)).one().seen_at == now + timedelta(days=3)


def test_codes_of_an_unknown_number_are_kept_without_a_person(db: Session, now: datetime) -> None:
    sign_in.ask_for_code(db, "99 99 99 99", now=now)
    kept = db.scalars(select(OneTimeCode)).one()
    assert (kept.patient_id, kept.relative_id, kept.message_id, kept.code_index) == (None, None, None, None)


def test_a_relative_is_known_by_national_id_after_stepping_up_from_their_own_session(
    db: Session, kari: Patient, now: datetime
) -> None:
    anne = Relative(
        name="Anne Nilsen", birth_date=cast.ANNE_BORN.isoformat(), phone=cast.ANNE_PHONE, created_at=now
    )
    db.add(anne)
    db.flush()
    pid = make_synthetic(cast.ANNE_BORN, 0)
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "patient", {"pid": pid}, now=now)
    first = sign_in.redeem_link(db, letter(db, anne, now).token, now=now)
    own = sign_in.confirm_birth_date(db, first.sign_in, cast.ANNE_BORN, now=now).sign_in
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "patient", {"pid": cast.OLA_ID}, before=own, now=now)
    with pytest.raises(NotFound):
        sign_in.from_identity(db, "patient", {"pid": pid}, before=first.sign_in, now=now)
    assert (
        sign_in.from_identity(db, "patient", {"pid": pid}, before=own, now=now).sign_in.relative_id == anne.id
    )
    assert sign_in.from_identity(db, "patient", {"pid": pid}, now=now).sign_in.level == "high"
