"""A patient's given and family names apart; what stands is kept, and its parts are read from the name where they can be known.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-29 00:45:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("patient", sa.Column("given_name", sa.LargeBinary(), nullable=True))
    op.add_column("patient", sa.Column("family_name", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("patient") as patient:
        patient.drop_column("family_name")
        patient.drop_column("given_name")
