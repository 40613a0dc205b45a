"""Programs hand in discharges: their accounts, the wards of each, and what was answered by key.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-22 01:10:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "integration",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_integration")),
        sa.UniqueConstraint("name", name=op.f("uq_integration_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_integration_token_hash")),
    )
    op.create_table(
        "integration_ward",
        sa.Column("integration_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["integration.id"],
            name=op.f("fk_integration_ward_integration_id_integration"),
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_integration_ward_unit_id_unit")),
        sa.PrimaryKeyConstraint("integration_id", "unit_id", name=op.f("pk_integration_ward")),
    )
    op.create_table(
        "handed_in",
        sa.Column("integration_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("sent_index", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["integration.id"], name=op.f("fk_handed_in_integration_id_integration")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handed_in")),
        sa.UniqueConstraint("integration_id", "key", name=op.f("uq_handed_in_integration_id_key")),
    )


def downgrade() -> None:
    op.drop_table("handed_in")
    op.drop_table("integration_ward")
    op.drop_table("integration")
