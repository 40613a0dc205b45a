"""The audit chain shows every tear; everything can be had; what may be forgotten is forgotten."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, inspect, select, update
from sqlalchemy.orm import Session

import notifications.models as post
from companion.crypto import KeyRing
from companion.errors import NotAllowed, NotFound
from companion.models import AuditEvent, LinkToken, Measure, Message, Patient, Plan
from companion.rules.access import SYSTEM
from companion.use_cases.keeping import privacy
from companion.use_cases.passport import lines as passport
from companion.use_cases.relatives import share
from companion.use_cases.relatives.share import GrantDraft
from tests import cast


@pytest.fixture
def ward(db: Session, now: datetime) -> cast.Ward:
    return cast.ward(db, now)


@pytest.fixture
def kari(db: Session, ward: cast.Ward, now: datetime) -> Patient:
    return cast.kari(db, now)


@pytest.fixture
def ring(db: Session) -> KeyRing:
    ring: KeyRing = db.get_bind().dialect.companion_keys  # type: ignore[attr-defined]
    return ring


def seen(db: Session, ward: cast.Ward, kari: Patient, now: datetime, times: int = 5) -> list[int]:
    for turn in range(times):
        privacy.record_access(
            db, ward.sofia, kari.id, "passport.read", object=f"{turn}", now=now + cast.days(turn)
        )
    return list(db.scalars(select(AuditEvent.seq).order_by(AuditEvent.seq)))


def test_a_whole_chain(db: Session, ward: cast.Ward, kari: Patient, ring: KeyRing, now: datetime) -> None:
    assert privacy.verify_chain(db, ring) is None
    seen(db, ward, kari, now)
    db.expire_all()
    assert privacy.verify_chain(db, ring) is None
    count, head = privacy.chain_head(db)
    assert count == 5
    assert head == db.scalars(select(AuditEvent.hash).order_by(AuditEvent.seq.desc())).first()


TEARS: dict[str, Callable[[int], dict[str, Any]]] = {
    "another person": lambda seq: {"actor_id": uuid4()},
    "another time": lambda seq: {"at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")},
    "another action": lambda seq: {"action": "nothing"},
    "nobody's data": lambda seq: {"patient_id": None},
    "another fingerprint": lambda seq: {"hash": f"{seq:064}"},
}


@pytest.mark.parametrize("tear", TEARS)
def test_a_changed_link_shows(
    db: Session, ward: cast.Ward, kari: Patient, ring: KeyRing, now: datetime, tear: str
) -> None:
    numbers = seen(db, ward, kari, now)
    db.execute(
        update(AuditEvent)
        .where(AuditEvent.seq == numbers[2])
        .values(**TEARS[tear](numbers[2]))
        .execution_options(synchronize_session=False)
    )
    assert privacy.verify_chain(db, ring) == numbers[2]


def test_a_link_taken_out_shows_at_the_next(
    db: Session, ward: cast.Ward, kari: Patient, ring: KeyRing, now: datetime
) -> None:
    numbers = seen(db, ward, kari, now)
    db.connection().exec_driver_sql(f"DELETE FROM audit_event WHERE seq = {numbers[2]}")
    assert privacy.verify_chain(db, ring) == numbers[3]


def test_the_chain_needs_the_key(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    numbers = seen(db, ward, kari, now)
    other = KeyRing({"k0": b"0" * 32}, b"1" * 32)
    assert privacy.verify_chain(db, other) == numbers[0]


def test_kari_sees_who_looked(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    privacy.record_access(db, ward.sofia, kari.id, "case.read", purpose="follow_up", now=now)
    privacy.record_access(db, cast.actor(kari), kari.id, "passport.read", now=now)
    privacy.record_access(db, ward.geir, cast.ola(db, now).id, "case.read", now=now)

    log = privacy.access_log(db, cast.actor(kari), kari.id, now=now)

    assert [(one.who, one.unit, one.action) for one in log] == [
        ("Kari Nilsen", None, "passport.read"),
        ("Sofia Berg", "Post 3, UNN Tromsø", "case.read"),
    ]
    with pytest.raises(NotFound):
        privacy.access_log(db, ward.sofia, kari.id, now=now)


def everything(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    """Something in the tables that matter most."""
    passport.write_line(db, ward.sofia, kari.id, "talk", "Snakk rolig", now=now)
    draft = GrantDraft(
        "Anne Nilsen", cast.ANNE_PHONE, None, "datter", ("passport",), now.date() + cast.days(90)
    )
    share.give(db, ward.sofia, kari.id, draft, now=now)
    letter = db.scalars(select(Message).where(Message.patient_id == kari.id)).one()
    letter.params = {"when": "i morgen"}
    db.add(
        post.Delivery(
            id="d1",
            message_id=letter.id,
            attempt=1,
            fence=1,
            channel="sandbox",
            address=cast.KARI_PHONE,
            body="Hei Kari",
            started_at=now,
        )
    )
    db.add(
        post.Inbound(
            provider_id="SM1", phone=cast.KARI_PHONE, phone_index=cast.KARI_PHONE, body="JA takk", at=now
        )
    )
    db.add(
        post.PushSubscription(
            patient_id=kari.id,
            endpoint="https://push.example/1",
            endpoint_index="https://push.example/1",
            p256dh="p",
            auth="a",
            created_at=now,
            seen_at=now,
        )
    )
    db.add(LinkToken(token_hash="h" * 64, purpose="home", patient_id=kari.id, created_at=now, expires_at=now))
    privacy.record_access(db, ward.sofia, kari.id, "case.read", now=now)
    db.flush()


def test_the_export_holds_everything(db: Session, ward: cast.Ward, kari: Patient, now: datetime) -> None:
    everything(db, ward, kari, now)
    cast.ola(db, now)

    tables = privacy.export_patient(db, SYSTEM, kari.id, now=now)["tables"]

    assert tables["patient"][0]["name"] == "Kari Nilsen"
    assert [row["title"] for row in tables["measure"]] == [
        cast.PHYSIO.title,
        cast.WALK.title,
        cast.CLINIC.title,
    ]
    assert tables["passport_line"][0]["text"] == "Snakk rolig"
    assert tables["message"][0]["params"] == {"when": "i morgen"}
    assert tables["delivery"][0]["body"] == "Hei Kari"
    assert tables["inbound"][0]["body"] == "JA takk"
    assert [len(tables[name]) for name in ("stay", "plan", "plan_event", "check_in", "relative_grant")] == [
        1,
        1,
        1,
        6,
        1,
    ]
    written = json.dumps(tables, ensure_ascii=False)
    assert "h" * 64 not in written
    assert "Ola" not in written


def test_no_table_with_a_patient_is_forgotten(db: Session, kari: Patient, now: datetime) -> None:
    tables = privacy.export_patient(db, SYSTEM, kari.id, now=now)["tables"]
    inspector = inspect(db.connection())
    with_patient = {
        name
        for name in inspector.get_table_names()
        if any(column["name"] == "patient_id" for column in inspector.get_columns(name))
    }
    children = {
        "answer",
        "measure_status",
        "plan_event",
        "flag_event",
        "meeting_event",
        "passport_confirmation",
    }
    assert with_patient | children | {"patient", "delivery", "inbound"} <= tables.keys()


def test_erased_is_what_is_no_part_of_the_record(
    db: Session, ward: cast.Ward, kari: Patient, ring: KeyRing, now: datetime
) -> None:
    everything(db, ward, kari, now)

    privacy.erase_patient(db, SYSTEM, kari.id, now=now)
    db.flush()
    db.expire_all()

    assert (kari.phone, kari.phone_index, kari.contact_by) == (None, None, "call")
    for gone in (post.PushSubscription, post.Inbound, LinkToken):
        assert db.scalar(select(func.count()).select_from(gone)) == 0
    delivery = db.scalars(select(post.Delivery)).one()
    assert (delivery.body, delivery.address) == (None, "")
    assert {letter.patient_id: letter.params for letter in db.scalars(select(Message))}[kari.id] == {}
    assert db.scalars(select(Plan.state)).one() == "stopped"
    assert all(grant.withdrawn_at for grant in share.grants_of(db, SYSTEM, kari.id, now=now))
    assert db.scalar(select(func.count()).select_from(Measure)) == 3
    assert privacy.verify_chain(db, ring) is None
    privacy.erase_patient(db, SYSTEM, kari.id, now=now)


def test_only_the_administrator_exports_and_erases(
    db: Session, ward: cast.Ward, kari: Patient, now: datetime
) -> None:
    for verb in (privacy.export_patient, privacy.erase_patient):
        with pytest.raises(NotAllowed):
            verb(db, ward.sofia, kari.id, now=now)
        with pytest.raises(NotFound):
            verb(db, SYSTEM, uuid4(), now=now)
