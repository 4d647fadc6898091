"""Kinds of enquiry, the legal clock, versions of answers, signatures, notices, damages, LER's interface."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _text(name: str, default: str | None = None, *, key: bool = False) -> sa.Column[str]:
    """Return a text column; one with a default is never null."""
    needed = key or default is not None
    return sa.Column(name, sa.Text(), nullable=not needed, server_default=default)


def _number(name: str, *, counts: bool = False) -> sa.Column[int]:
    """Return a column of numbers that grow for ever; SQLite's integers are wide."""
    wide = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, wide, autoincrement=counts, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def upgrade() -> None:
    """Add columns with what rows written before mean, and the new tables."""
    for column in (_text("dispensation_from"), _text("dispensation_to"), _flag("shows_for_planning")):
        op.add_column("organisations", column)
    _extend_interest_areas()
    _extend_enquiries()
    _extend_answers()
    for column in (
        _flag("complete"),
        _text("key_id"),
        _text("acknowledged_at"),
    ):
        op.add_column("packages", column)
    _create_answer_versions()
    _create_signing_keys()
    _create_notices()
    _create_damages()
    _create_exchanges()
    if op.get_bind().dialect.name == "postgresql":
        _widen_numbers()


def _widen_numbers() -> None:
    """Give the numbers that grow for ever 64 bits, and the sequences that make them."""
    growing = [("outbox", "event_id"), ("grants", "grant_id"), ("audit", "entry"), ("counters", "value")]
    for table, column in growing:
        op.alter_column(table, column, type_=sa.BigInteger(), existing_nullable=False)
    for sequence in ("outbox_event_id_seq", "grants_grant_id_seq"):
        op.execute(f"ALTER SEQUENCE {sequence} AS bigint")


def _extend_interest_areas() -> None:
    for column in (
        _text("state", "live"),
        _text("contacts", "{}"),
        _text("reviewed_by"),
        _text("reviewed_at"),
        _text("proposal"),
    ):
        op.add_column("interest_areas", column)


def _extend_enquiries() -> None:
    for column in (
        _text("kind", "planned"),
        _text("filer", "professional"),
        _text("reason", ""),
        _text("grounds", "[]"),
        _flag("begun"),
        _text("purpose", "99"),
        _text("supplies", "[]"),
        sa.Column("depth_m", sa.Float(), nullable=True),
        _text("own_number", ""),
        _text("original"),
        _text("project"),
        sa.Column("part", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("parts", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("surroundings_m", sa.Float(), nullable=False, server_default="0"),
        _text("fee_dkk", "0.00"),
        _text("erased_at"),
    ):
        op.add_column("enquiries", column)
    op.create_index("ix_enquiries_project", "enquiries", ["project"], unique=False)
    op.drop_column("enquiries", "state")  # it is derived from answers, package and clock


def _extend_answers() -> None:
    for column in (
        _text("scope", "dig"),
        _text("due_at"),
        _text("acknowledged_at"),
        _text("taken_at"),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("nudges", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("answers", column)
    op.create_index("ix_answers_status_due", "answers", ["status", "due_at"], unique=False)


def _create_answer_versions() -> None:
    op.create_table(
        "answer_versions",
        sa.Column("enquiry", sa.String(length=16), nullable=False),
        sa.Column("owner_cvr", sa.String(length=8), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("status", key=True),
        sa.Column("delivery_id", sa.String(length=26), nullable=True),
        sa.Column("features", sa.Integer(), nullable=True),
        _text("valid_to"),
        _text("header", key=True),
        _text("at", key=True),
        _text("principal", key=True),
        _text("reason", key=True),
        _text("report", key=True),
        sa.ForeignKeyConstraint(["enquiry"], ["enquiries.number"], name="fk_answer_versions_enquiry"),
        sa.ForeignKeyConstraint(["owner_cvr"], ["organisations.cvr"], name="fk_answer_versions_owner_cvr"),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.delivery_id"], name="fk_answer_versions_delivery_id"
        ),
        sa.PrimaryKeyConstraint("enquiry", "owner_cvr", "version", name="pk_answer_versions"),
    )


def _create_signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        _text("created_at", key=True),
        _text("retired_at"),
        sa.PrimaryKeyConstraint("key_id", name="pk_signing_keys"),
    )


def _create_notices() -> None:
    op.create_table(
        "channels",
        sa.Column("channel_id", sa.String(length=26), nullable=False),
        sa.Column("organisation", sa.String(length=8), nullable=False),
        _text("kind", key=True),
        _text("target", key=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        _text("events", key=True),
        _text("created_at", key=True),
        _text("disabled_at"),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.cvr"], name="fk_channels_organisation"),
        sa.PrimaryKeyConstraint("channel_id", name="pk_channels"),
    )
    op.create_index("ix_channels_organisation", "channels", ["organisation"], unique=False)
    op.create_table(
        "notices",
        _number("notice_id", counts=True),
        sa.Column("channel_id", sa.String(length=26), nullable=False),
        _number("event_id"),
        _text("state", key=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _text("next_at", key=True),
        _text("sent_at"),
        _text("error", key=True),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.channel_id"], name="fk_notices_channel_id"),
        sa.PrimaryKeyConstraint("notice_id", name="pk_notices"),
        sa.UniqueConstraint("channel_id", "event_id", name="uq_notices_channel_id_event_id"),
    )
    op.create_index("ix_notices_waiting", "notices", ["state", "next_at"], unique=False)


def _create_damages() -> None:
    op.create_table(
        "damages",
        sa.Column("damage_id", sa.String(length=26), nullable=False),
        sa.Column("organisation", sa.String(length=8), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        _text("document", key=True),
        _text("created_at", key=True),
        _text("principal", key=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.cvr"], name="fk_damages_organisation"),
        sa.PrimaryKeyConstraint("damage_id", name="pk_damages"),
    )
    op.create_index("ix_damages_organisation", "damages", ["organisation"], unique=False)
    op.create_index("ix_damages_year", "damages", ["year"], unique=False)


def _create_exchanges() -> None:
    op.create_table(
        "exchanges",
        sa.Column("organisation", sa.String(length=8), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        _text("call", key=True),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        _text("response"),
        _text("created_at", key=True),
        sa.PrimaryKeyConstraint("organisation", "request_id", name="pk_exchanges"),
    )
