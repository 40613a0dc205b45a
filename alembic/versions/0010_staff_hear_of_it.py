"""Staff hear of it: how each wants to be told, of what each has been told, and the work phones that take push.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-29 00:55:00.000000+00:00
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None

MOMENT = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "duty",
        sa.Column("professional_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.String(4), nullable=False),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("hours", sa.String(6), nullable=False),
        sa.Column("chosen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["professional_id"], ["professional.id"], name="fk_duty_professional_id_professional"
        ),
        sa.PrimaryKeyConstraint("professional_id", name="pk_duty"),
    )
    whose = sa.ForeignKey("professional.id", name="fk_message_professional_id_professional")
    op.add_column(
        "message", sa.Column("professional_id", sa.Uuid(), whose, nullable=True), inline_references=True
    )
    op.create_index("ix_message_professional_id", "message", ["professional_id"])
    _told()
    _work_device()


def downgrade() -> None:
    op.drop_table("work_device")
    op.drop_table("told")
    op.drop_index("ix_message_professional_id", table_name="message")
    op.drop_column("message", "professional_id")
    op.drop_table("duty")


def _told() -> None:
    op.create_table(
        "told",
        sa.Column("id", KEY, nullable=False),
        sa.Column("professional_id", sa.Uuid(), nullable=False),
        sa.Column("flag_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("what", sa.String(12), nullable=False),
        sa.Column("step", sa.String(24), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["professional_id"], ["professional.id"], name="fk_told_professional_id_professional"
        ),
        sa.ForeignKeyConstraint(["flag_id"], ["flag.id"], name="fk_told_flag_id_flag"),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name="fk_told_unit_id_unit"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_told_message_id_message"),
        sa.PrimaryKeyConstraint("id", name="pk_told"),
        sa.UniqueConstraint(
            "professional_id", "flag_id", "what", "step", name="uq_told_professional_id_flag_id_what_step"
        ),
    )
    op.create_index("ix_told_flag_id", "told", ["flag_id"])
    op.create_index("ix_told_message_id", "told", ["message_id"])


def _work_device() -> None:
    op.create_table(
        "work_device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("professional_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint", sa.LargeBinary(), nullable=False),
        sa.Column("endpoint_index", sa.String(64), nullable=False),
        sa.Column("p256dh", sa.String(120), nullable=False),
        sa.Column("auth", sa.String(40), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["professional_id"], ["professional.id"], name="fk_work_device_professional_id_professional"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_work_device"),
        sa.UniqueConstraint("endpoint_index", name="uq_work_device_endpoint_index"),
    )
    op.create_index("ix_work_device_professional_id", "work_device", ["professional_id"])
