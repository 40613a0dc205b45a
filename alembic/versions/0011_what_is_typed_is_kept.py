"""What is typed and not sent has a row of its own; whose page a form stood on is found by what it carried.

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-29 00:25:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "draft",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=True),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_draft_patient_id_patient")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
        sa.UniqueConstraint("owner_id", "place", name=op.f("uq_draft_owner_id_place")),
    )
    op.create_index(op.f("ix_draft_patient_id"), "draft", ["patient_id"])
    op.create_index(op.f("ix_draft_saved_at"), "draft", ["saved_at"])
    op.create_index(op.f("ix_sign_in_csrf"), "sign_in", ["csrf"])


def downgrade() -> None:
    op.drop_index(op.f("ix_sign_in_csrf"), table_name="sign_in")
    op.drop_table("draft")
