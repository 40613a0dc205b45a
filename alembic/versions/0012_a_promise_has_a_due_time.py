"""A case that was to be seen by a moment is overdue after it, and climbs; people may be away.

What stands keeps its promise: it is watched from now on, and what is overdue already climbs one step at a time.

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-29 00:20:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | None = None
depends_on: str | None = None

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("state <> 'closed'")


def upgrade() -> None:
    op.add_column("professional", sa.Column("away_from", sa.Date()))
    op.add_column("professional", sa.Column("away_until", sa.Date()))
    with op.batch_alter_table("flag") as flag:
        flag.add_column(sa.Column("promised_by", MOMENT))
        flag.add_column(sa.Column("seen_at", MOMENT))
        flag.add_column(sa.Column("seen_by_id", sa.Uuid()))
        flag.add_column(sa.Column("rung", sa.String(20), nullable=False, server_default=""))
        flag.add_column(sa.Column("next_step_at", MOMENT))
        flag.add_column(sa.Column("arrived_at", MOMENT))
        flag.add_column(sa.Column("from_unit_id", sa.Uuid()))
        flag.add_column(sa.Column("because", sa.String(12)))
    op.execute(
        "UPDATE flag SET promised_by = respond_by, arrived_at = opened_at, seen_at = claimed_at, seen_by_id = claimed_by_id,"
        " next_step_at = CASE WHEN state <> 'closed' THEN respond_by END"
    )
    with op.batch_alter_table("flag") as flag:
        flag.alter_column("promised_by", existing_type=MOMENT, nullable=False)
        flag.alter_column("arrived_at", existing_type=MOMENT, nullable=False)
        flag.alter_column("rung", existing_type=sa.String(20), server_default=None)
        flag.create_foreign_key("fk_flag_seen_by_id_professional", "professional", ["seen_by_id"], ["id"])
        flag.create_foreign_key("fk_flag_from_unit_id_unit", "unit", ["from_unit_id"], ["id"])
        flag.create_index("ix_flag_next_step_at", ["next_step_at"], postgresql_where=OPEN, sqlite_where=OPEN)


def downgrade() -> None:
    with op.batch_alter_table("flag") as flag:
        flag.drop_index("ix_flag_next_step_at")
        flag.drop_constraint("fk_flag_seen_by_id_professional", type_="foreignkey")
        flag.drop_constraint("fk_flag_from_unit_id_unit", type_="foreignkey")
        for column in (
            "because",
            "from_unit_id",
            "arrived_at",
            "next_step_at",
            "rung",
            "seen_by_id",
            "seen_at",
            "promised_by",
        ):
            flag.drop_column(column)
    op.drop_column("professional", "away_until")
    op.drop_column("professional", "away_from")
