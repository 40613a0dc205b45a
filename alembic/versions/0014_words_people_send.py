"""What the provider has obeyed by itself is known with the SMS it came with.

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-29 00:50:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("inbound", sa.Column("obeyed", sa.String(length=5), nullable=True))


def downgrade() -> None:
    op.drop_column("inbound", "obeyed")
