"""The address by which a person's calendar fetches their meetings.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-29 00:55:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

_WHOSE = ("patient", "relative", "professional")


def upgrade() -> None:
    op.create_table(
        "calendar_feed",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        *(sa.Column(f"{whose}_id", sa.Uuid(), nullable=True) for whose in _WHOSE),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [f"{whose}_id"], [f"{whose}.id"], name=op.f(f"fk_calendar_feed_{whose}_id_{whose}")
            )
            for whose in _WHOSE
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_feed")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_calendar_feed_token_hash")),
    )
    for whose in _WHOSE:
        op.create_index(op.f(f"ix_calendar_feed_{whose}_id"), "calendar_feed", [f"{whose}_id"])


def downgrade() -> None:
    op.drop_table("calendar_feed")
