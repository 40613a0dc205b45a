"""A person's letters are found from a day on, not all of them.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-26 22:15:00.000000+00:00
"""

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_index("ix_message_person", "message", ["patient_id", "next_attempt_at"])
    op.drop_index("ix_message_patient_id", table_name="message")


def downgrade() -> None:
    op.create_index("ix_message_patient_id", "message", ["patient_id"])
    op.drop_index("ix_message_person", table_name="message")
