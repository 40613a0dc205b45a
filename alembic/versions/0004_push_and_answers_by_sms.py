"""Push beside SMS, and check-ins answered by SMS itself.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-26 17:10:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("message", sa.Column("channel", sa.String(length=4), nullable=True))
    op.add_column("check_in", sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("patient", sa.Column("sms_agreed_at", sa.DateTime(timezone=True), nullable=True))
    # Nothing has written here before this revision.
    with op.batch_alter_table("push_subscription") as subscription:
        subscription.add_column(sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False))
        subscription.drop_column("gone_at")


def downgrade() -> None:
    with op.batch_alter_table("push_subscription") as subscription:
        subscription.add_column(sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True))
        subscription.drop_column("seen_at")
    op.drop_column("patient", "sms_agreed_at")
    op.drop_column("check_in", "heard_at")
    op.drop_column("message", "channel")
