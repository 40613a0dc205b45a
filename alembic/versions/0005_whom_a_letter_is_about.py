"""Whom a letter to a relative is about, and the letters of a day.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-26 17:20:00.000000+00:00
"""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    # In place: SQLite would otherwise build the table anew, and drop one that other rows point at.
    patient = sa.ForeignKey("patient.id", name="fk_message_about_id_patient")
    op.add_column("message", sa.Column("about_id", sa.Uuid(), patient, nullable=True), inline_references=True)
    op.create_index("ix_message_about_id", "message", ["about_id"])
    op.create_index(
        "ix_message_day",
        "message",
        ["lane", "next_attempt_at"],
        postgresql_where=sa.text("state <> 'queued'"),
        sqlite_where=sa.text("state <> 'queued'"),
    )
    _say_whom()


def downgrade() -> None:
    op.drop_index("ix_message_day", table_name="message")
    op.drop_index("ix_message_about_id", table_name="message")
    op.drop_column("message", "about_id")


def _say_whom() -> None:
    """For letters written before: by the meeting they invite to, or by the grant they tell of."""
    message = sa.table(
        "message",
        sa.column("id", sa.BigInteger()),
        sa.column("relative_id", sa.Uuid()),
        sa.column("meeting_id", sa.Uuid()),
        sa.column("about_id", sa.Uuid()),
        sa.column("dedupe_key", sa.String()),
    )
    meeting = sa.table("meeting", sa.column("id", sa.Uuid()), sa.column("patient_id", sa.Uuid()))
    grant = sa.table("relative_grant", sa.column("id", sa.Uuid()), sa.column("patient_id", sa.Uuid()))
    invited_to = sa.select(meeting.c.patient_id).where(meeting.c.id == message.c.meeting_id).scalar_subquery()
    op.execute(
        message.update()
        .where(message.c.relative_id.is_not(None), message.c.meeting_id.is_not(None))
        .values(about_id=invited_to)
    )
    db = op.get_bind()
    invitations = sa.select(message.c.id, message.c.dedupe_key)
    for number, key in db.execute(
        invitations.where(message.c.dedupe_key.startswith("relative_invited:"))
    ).all():
        told = sa.select(grant.c.patient_id).where(grant.c.id == UUID(key.removeprefix("relative_invited:")))
        db.execute(message.update().where(message.c.id == number).values(about_id=told.scalar_subquery()))
