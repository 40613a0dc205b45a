"""The post complete: what became of a letter is asked for, a lane can be stopped, a reply that fails is tried again later.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-22 00:30:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

UNDERWAY = sa.text("state IN ('accepted', 'sent')")


def upgrade() -> None:
    op.create_table(
        "circuit",
        sa.Column("lane", sa.String(length=5), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_circuit")),
    )
    op.add_column("heartbeat", sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("delivery", sa.Column("polled", sa.Integer(), server_default="0", nullable=False))
    op.add_column("inbound", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("inbound", sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("message", sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_message_underway",
        "message",
        ["settled_at"],
        unique=False,
        postgresql_where=UNDERWAY,
        sqlite_where=UNDERWAY,
    )


def downgrade() -> None:
    op.drop_index("ix_message_underway", table_name="message")
    op.drop_column("message", "waiting_since")
    op.drop_column("inbound", "next_try_at")
    op.drop_column("inbound", "tries")
    op.drop_column("delivery", "polled")
    op.drop_column("heartbeat", "accepted_at")
    op.drop_table("circuit")
