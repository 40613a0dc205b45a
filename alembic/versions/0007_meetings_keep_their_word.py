"""Meetings: when something happens next, what came of it, who answered what.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-29 00:30:00.000000+00:00
"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("meeting", sa.Column("next_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("meeting", sa.Column("outcome", sa.String(length=12), nullable=True))
    op.create_index("ix_meeting_next_at", "meeting", ["next_at"])
    op.add_column("participant", sa.Column("answer", sa.String(length=5), nullable=True))
    by = sa.ForeignKey("professional.id", name="fk_meeting_event_by_id_professional")
    op.add_column("meeting_event", sa.Column("by_id", sa.Uuid(), by, nullable=True), inline_references=True)
    op.add_column("meeting_event", sa.Column("text", sa.LargeBinary(), nullable=True))
    _remind_of_those_to_come()


def downgrade() -> None:
    op.drop_column("meeting_event", "text")
    op.drop_column("meeting_event", "by_id")
    op.drop_column("participant", "answer")
    op.drop_index("ix_meeting_next_at", table_name="meeting")
    op.drop_column("meeting", "outcome")
    op.drop_column("meeting", "next_at")


def _remind_of_those_to_come() -> None:
    """Whoever was invited before is reminded too: half an hour before, for the day before may have passed."""
    meeting = sa.table(
        "meeting",
        sa.column("id", sa.Uuid()),
        sa.column("state", sa.String()),
        sa.column("starts_at", sa.DateTime(timezone=True)),
        sa.column("next_at", sa.DateTime(timezone=True)),
    )
    db = op.get_bind()
    to_come = (meeting.c.state == "offered", meeting.c.starts_at > sa.func.now())
    for number, starts_at in db.execute(sa.select(meeting.c.id, meeting.c.starts_at).where(*to_come)).all():
        half_an_hour_before = starts_at - timedelta(minutes=30)
        db.execute(meeting.update().where(meeting.c.id == number).values(next_at=half_an_hour_before))
