"""Guests at meetings who come by the link in an SMS, colleagues of other units, and people who need not come after all.

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-29 01:10:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    # In place: SQLite would otherwise build the tables anew, and drop ones that other rows point at.
    unit = sa.ForeignKey("unit.id", name="fk_participant_unit_id_unit")
    op.add_column("participant", sa.Column("unit_id", sa.Uuid(), unit, nullable=True), inline_references=True)
    op.add_column("participant", sa.Column("guest_name", sa.LargeBinary(), nullable=True))
    op.add_column("participant", sa.Column("guest_phone", sa.LargeBinary(), nullable=True))
    op.add_column("participant", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    for table in ("message", "link_token"):
        whose = sa.ForeignKey("participant.id", name=f"fk_{table}_participant_id_participant")
        op.add_column(
            table, sa.Column("participant_id", sa.Uuid(), whose, nullable=True), inline_references=True
        )
    op.create_index("ix_message_participant_id", "message", ["participant_id"])


def downgrade() -> None:
    op.drop_index("ix_message_participant_id", table_name="message")
    for table in ("link_token", "message"):
        op.drop_column(table, "participant_id")
    for column in ("removed_at", "guest_phone", "guest_name", "unit_id"):
        op.drop_column("participant", column)
