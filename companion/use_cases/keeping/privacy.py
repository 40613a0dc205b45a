"""Who looked at what: the audit chain; and the person's rights to have everything, and to have the rest forgotten."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    MetaData,
    Table,
    Uuid,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from companion.crypto import KeyRing
from companion.errors import NotAllowed, NotFound
from companion.models import (
    AuditEvent,
    Base,
    CalendarFeed,
    Draft,
    Grant,
    LinkToken,
    Message,
    OneTimeCode,
    Patient,
    Plan,
    PlanEvent,
    Professional,
    Relative,
    SignIn,
    Unit,
)
from companion.models.types import JsonEncrypted
from companion.rules.access import Actor

LOG_SHOWN = 500
# One chain, so one writer at a time; the number only has to be ours.
_CHAIN_LOCK = 0x466F6C6765
_START = "0" * 64
_HOLD_CHAIN = text(f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK})")
_LAST_HASH = select(AuditEvent.hash).order_by(AuditEvent.seq.desc()).limit(1)
_ADD_LINKS = insert(cast(Table, AuditEvent.__table__))
_TOLD_AS_IT_IS = ("actor_kind", "level", "action", "object", "purpose", "request_id", "previous")
_SECRETS = frozenset({"token_hash", "csrf", "p256dh", "auth", "hash", "previous", "idp_sid"})


@dataclass(frozen=True)
class Access:
    """One line of the access log as the patient reads it. `who` is None where the person is not in the records any more."""

    at: datetime
    kind: str
    who: str | None
    unit: str | None
    action: str
    object: str
    purpose: str


@dataclass(frozen=True)
class Line:
    """Somebody saw or did something with a patient's data, or looked at a list that named nobody (`patient_id` None)."""

    at: datetime
    who: Actor
    patient_id: UUID | None
    action: str
    object: str = ""
    purpose: str = ""
    request_id: str = ""


def record_access(
    db: Session,
    who: Actor,
    patient_id: UUID | None,
    action: str,
    *,
    object: str = "",
    purpose: str = "",
    now: datetime,
) -> None:
    """Adds a link to the audit chain, in the same transaction as what it tells of: neither exists without the other."""
    record(db, [Line(now, who, patient_id, action, object, purpose)])


def record(db: Session, lines: Iterable[Line]) -> None:
    """As `record_access`, for several, all in one statement."""
    links = [_link(line) for line in lines]
    if not links:
        return
    connection, ring = db.connection(), _ring(db)
    if connection.dialect.name == "postgresql":
        # Held to the end of the transaction, so that nobody links to a row that is then rolled back.
        connection.execute(_HOLD_CHAIN)
    previous = connection.scalar(_LAST_HASH) or _START
    for link in links:
        link["previous"] = previous
        previous = link["hash"] = _hash(link, ring)
    connection.execute(_ADD_LINKS, links)


def _link(line: Line) -> dict[str, Any]:
    return {
        "at": line.at.astimezone(UTC),
        "actor_kind": line.who.kind,
        "actor_id": line.who.id,
        "unit_id": line.who.unit_id,
        "level": line.who.level.name,
        "patient_id": line.patient_id,
        "action": line.action,
        "object": line.object,
        "purpose": line.purpose,
        "request_id": line.request_id,
    }


def verify_chain(db: Session, ring: KeyRing) -> int | None:
    """The number of the first event that was changed, put in or left out; None when the chain is whole.

    What was cut off at the end leaves no trace in the chain itself: compare `chain_head` with one noted elsewhere.
    """
    previous = _START
    in_order = select(AuditEvent).order_by(AuditEvent.seq)
    with db.scalars(in_order.execution_options(yield_per=1000, populate_existing=True)) as events:
        for event in events:
            if event.previous != previous or event.hash != _hash(vars(event), ring):
                return event.seq
            previous = event.hash
    return None


def chain_head(db: Session) -> tuple[int, str]:
    """How many events there are, and the fingerprint of the last: noted outside, it shows later whether some were cut off."""
    count = db.scalar(select(func.count()).select_from(AuditEvent)) or 0
    last = db.scalar(_LAST_HASH)
    return count, last or _START


def access_log(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> list[Access]:
    """Who has looked at the patient's data, the latest first; for the patient alone."""
    if who.kind != "patient" or who.id != patient_id:
        raise NotFound("patient")
    rows = db.execute(
        select(AuditEvent, Professional.name, Relative.name, Patient.name, Unit.name)
        .outerjoin(Professional, Professional.id == AuditEvent.actor_id)
        .outerjoin(Relative, Relative.id == AuditEvent.actor_id)
        .outerjoin(Patient, Patient.id == AuditEvent.actor_id)
        .outerjoin(Unit, Unit.id == AuditEvent.unit_id)
        .where(AuditEvent.patient_id == patient_id, AuditEvent.at <= now)
        .order_by(AuditEvent.seq.desc())
        .limit(LOG_SHOWN)
    )
    return [
        Access(
            at=event.at,
            kind=event.actor_kind,
            who=professional or relative or patient,
            unit=unit,
            action=event.action,
            object=event.object,
            purpose=event.purpose,
        )
        for event, professional, relative, patient, unit in rows
    ]


def export_patient(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> dict[str, Any]:
    """Everything about the patient, opened, by table: driven by the schema, so that a new table cannot be forgotten.

    Left out are only fingerprints and secrets, which tell nothing about anybody.
    """
    _for_the_administrator(who)
    _patient(db, patient_id)
    record_access(db, who, patient_id, "export", now=now)
    schema = _schema(db)
    conditions = _conditions(schema, patient_id, _phone_index(db, patient_id))
    return {
        "patient_id": str(patient_id),
        "exported_at": now.astimezone(UTC).isoformat(),
        "tables": {name: _rows(db, schema.tables[name], condition) for name, condition in conditions.items()},
    }


def erase_patient(db: Session, who: Actor, patient_id: UUID, *, now: datetime) -> None:
    """Forgets what is not part of the patient record, and stops all asking.

    Gone at once: telephone number, sign-ins, links and codes, drafts (their own, and those of pages about them), devices that
    take push, the words of every letter sent and received, relatives' access. Kept, because the law on patient records forbids
    us to delete them on our own: the stay, measures, answers, flags, passport, meetings, and the audit log. Their deletion
    (helsepersonelloven § 43) is a case for whoever answers for the record. The audit chain holds opaque ids only and stays whole.
    """
    _for_the_administrator(who)
    patient = _patient(db, patient_id)
    schema = _schema(db)
    phone = _phone_index(db, patient_id)
    _stop_everything(db, who, patient, now)
    _forget_the_post(db, schema, patient_id, phone)
    patient.phone, patient.phone_index = None, None
    patient.phone_state, patient.contact_by = "opted_out", "call"
    patient.hour, patient.color_scheme, patient.text_size = None, "auto", "md"
    record_access(db, who, patient_id, "erase", now=now)
    db.flush()


def _for_the_administrator(who: Actor) -> None:
    if who.kind != "system":
        raise NotAllowed("for the administrator")


def _patient(db: Session, patient_id: UUID) -> Patient:
    patient = db.get(Patient, patient_id)
    if patient is None:
        raise NotFound("patient")
    return patient


def _ring(db: Session) -> KeyRing:
    ring: KeyRing = db.get_bind().dialect.companion_keys  # type: ignore[attr-defined]
    return ring


def _hash(event: Mapping[str, Any], ring: KeyRing) -> str:
    told = {
        "at": event["at"].astimezone(UTC).isoformat(),
        "actor_id": str(event["actor_id"] or ""),
        "unit_id": str(event["unit_id"] or ""),
        "patient_id": str(event["patient_id"] or ""),
    } | {name: event[name] for name in _TOLD_AS_IT_IS}
    return ring.index(json.dumps(told, sort_keys=True, ensure_ascii=False), "audit_event")


def _schema(db: Session) -> MetaData:
    """The tables that are really there: those of `notifications`, which the domain does not know, among them."""
    schema = MetaData()
    schema.reflect(db.connection())
    return schema


def _conditions(
    schema: MetaData, patient_id: UUID, phone_index: str | None
) -> dict[str, ColumnElement[bool]]:
    """For each table that holds something about the patient, which rows: the patient's own, and what hangs on them."""
    conditions: dict[str, ColumnElement[bool]] = {
        "patient": schema.tables["patient"].c.id == literal(patient_id, Uuid())
    }
    for table in schema.sorted_tables:
        found = [table.c.patient_id == literal(patient_id, Uuid())] if "patient_id" in table.c else []
        found += [
            key.parent.in_(select(key.column).where(conditions[key.column.table.name]))
            for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
            if key.column.table.name in conditions
            and key.column.table is not table
            # A letter to a relative is the relative's, with the relative's number in it.
            and key.parent.name not in ("patient_id", "about_id")
        ]
        if (
            "phone_index" in table.c
            and "patient_id" not in table.c
            and table.name == "inbound"
            and phone_index
        ):
            found.append(table.c.phone_index == phone_index)
        if found:
            conditions.setdefault(table.name, or_(*found))
    return conditions


def _phone_index(db: Session, patient_id: UUID) -> str | None:
    return db.scalar(select(Patient.phone_index).where(Patient.id == patient_id))


def _columns(table: Table) -> list[Any]:
    return [
        column
        for column in table.columns
        if column.name not in _SECRETS and not column.name.endswith("_index")
    ]


def _rows(db: Session, table: Table, condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    found = db.execute(select(*_columns(table)).where(condition))
    return [dict(_opened(db, table, row)) for row in found.mappings()]


def _opened(db: Session, table: Table, row: Any) -> Iterator[tuple[str, Any]]:
    """The row's values as JSON takes them; what is sealed is opened by its place, `table.column`."""
    known = Base.metadata.tables.get(table.name)
    for column in table.columns:
        if column.name not in row:
            continue
        value = row[column.name]
        if value is not None and isinstance(column.type, LargeBinary):
            opened = _ring(db).decrypt(bytes(value), f"{table.name}.{column.name}")
            is_json = known is not None and isinstance(known.c[column.name].type, JsonEncrypted)
            yield column.name, json.loads(opened) if is_json else opened
        elif value is None or isinstance(value, bool | int | float):
            yield column.name, value
        else:
            yield column.name, str(value)


def _stop_everything(db: Session, who: Actor, patient: Patient, now: datetime) -> None:
    for plan in db.scalars(
        select(Plan).where(Plan.patient_id == patient.id, Plan.state.in_(("active", "paused")))
    ):
        plan.state = "stopped"
        plan.events.append(PlanEvent(kind="stopped", reason="erased", at=now, by_kind=who.kind, by_id=who.id))
        for check_in in plan.check_ins:
            if check_in.state in ("planned", "asked", "postponed"):
                check_in.state, check_in.ended_at = "skipped", now
    for grant in db.scalars(
        select(Grant).where(Grant.patient_id == patient.id, Grant.withdrawn_at.is_(None))
    ):
        grant.withdrawn_at, grant.withdrawn_by_kind = now, who.kind


def _forget_the_post(db: Session, schema: MetaData, patient_id: UUID, phone_index: str | None) -> None:
    # The session of somebody who has only opened a link knows the link alone.
    links = select(LinkToken.id).where(LinkToken.patient_id == patient_id)
    db.execute(delete(SignIn).where(SignIn.link_token_id.in_(links)))
    for mine in (SignIn, OneTimeCode, LinkToken, CalendarFeed):
        db.execute(delete(mine).where(mine.patient_id == patient_id))
    db.execute(update(Message).where(Message.patient_id == patient_id).values(params={}, phone=None))
    letters = select(Message.id).where(Message.patient_id == patient_id)
    delivery, inbound = schema.tables["delivery"], schema.tables["inbound"]
    empty = _ring(db).encrypt("", "delivery.address")
    db.execute(update(delivery).where(delivery.c.message_id.in_(letters)).values(body=None, address=empty))
    if phone_index:
        db.execute(delete(inbound).where(inbound.c.phone_index == phone_index))
    # A page about the patient has the patient's id in its address.
    db.execute(
        delete(Draft).where(or_(Draft.patient_id == patient_id, Draft.place.contains(str(patient_id))))
    )
    push = schema.tables["push_subscription"]
    db.execute(delete(push).where(push.c.patient_id == literal(patient_id, Uuid())))
