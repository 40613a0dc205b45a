"""A meeting may be about no patient: guidance between professionals.

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-29 01:30:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None

_INDEXES = ("host_id", "next_at", "patient_id", "starts_at", "unit_id")


def upgrade() -> None:
    _patient_may_be_missing(nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM meeting WHERE patient_id IS NULL")
    _patient_may_be_missing(nullable=False)


def _patient_may_be_missing(*, nullable: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("meeting", "patient_id", existing_type=sa.Uuid(), nullable=nullable)
        return
    # Other rows point at meetings: until the commit SQLite lets them, and then every one of them is there again.
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE kept_meeting AS SELECT * FROM meeting")
    op.drop_table("meeting")
    op.create_table(
        "meeting",
        sa.Column("patient_id", sa.Uuid(), nullable=nullable),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=12), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["professional.id"], name="fk_meeting_host_id_professional"),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name="fk_meeting_patient_id_patient"),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name="fk_meeting_unit_id_unit"),
        sa.PrimaryKeyConstraint("id", name="pk_meeting"),
    )
    columns = "patient_id, unit_id, host_id, kind, starts_at, minutes, state, sequence, created_at, id, next_at, outcome"
    op.execute(f"INSERT INTO meeting ({columns}) SELECT {columns} FROM kept_meeting")
    op.execute("DROP TABLE kept_meeting")
    for column in _INDEXES:
        op.create_index(f"ix_meeting_{column}", "meeting", [column])
