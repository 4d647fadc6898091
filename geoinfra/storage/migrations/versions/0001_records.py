"""The records as geoinfra 0.1 keeps them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "audit",
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("entry", name="pk_audit"),
    )
    op.create_table(
        "collections",
        sa.Column("collection_id", sa.Text(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", name="pk_collections"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.String(length=26), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("min_e", sa.Float(), nullable=True),
        sa.Column("min_n", sa.Float(), nullable=True),
        sa.Column("max_e", sa.Float(), nullable=True),
        sa.Column("max_n", sa.Float(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("valid_to", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_dataset_source", "deliveries", ["dataset", "source"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("run_after", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name="pk_jobs"),
        sa.UniqueConstraint("key", name="uq_jobs_key"),
    )
    op.create_index("ix_jobs_principal", "jobs", ["principal", "created_at"], unique=False)
    op.create_index("ix_jobs_queue", "jobs", ["state", "run_after"], unique=False)
    op.create_table(
        "organisations",
        sa.Column("cvr", sa.String(length=8), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cvr", name="pk_organisations"),
    )
    op.create_table(
        "outbox",
        sa.Column("event_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_waiting", "outbox", ["delivered_at", "event_id"], unique=False)
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    op.create_table(
        "current_deliveries",
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.delivery_id"], name="fk_current_deliveries_delivery_id"
        ),
        sa.PrimaryKeyConstraint("dataset", "source", name="pk_current_deliveries"),
    )
    op.create_table(
        "enquiries",
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("organisation", sa.String(length=8), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("filed_at", sa.Text(), nullable=False),
        sa.Column("polygon", sa.LargeBinary(), nullable=False),
        sa.Column("area_m2", sa.Float(), nullable=False),
        sa.Column("period_from", sa.Text(), nullable=False),
        sa.Column("period_to", sa.Text(), nullable=False),
        sa.Column("methods", sa.Text(), nullable=False),
        sa.Column("methods_other", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("formats", sa.Text(), nullable=False),
        sa.Column("valid_to", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.cvr"], name="fk_enquiries_organisation"),
        sa.PrimaryKeyConstraint("number", name="pk_enquiries"),
        sa.UniqueConstraint("request_key", name="uq_enquiries_request_key"),
    )
    op.create_index("ix_enquiries_organisation", "enquiries", ["organisation"], unique=False)
    op.create_table(
        "interest_areas",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner_cvr", sa.String(length=8), nullable=False),
        sa.Column("supply_types", sa.Text(), nullable=False),
        sa.Column("min_e", sa.Float(), nullable=False),
        sa.Column("min_n", sa.Float(), nullable=False),
        sa.Column("max_e", sa.Float(), nullable=False),
        sa.Column("max_n", sa.Float(), nullable=False),
        sa.Column("polygon", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=False),
        sa.Column("valid_to", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["owner_cvr"], ["organisations.cvr"], name="fk_interest_areas_owner_cvr"),
        sa.PrimaryKeyConstraint("number", name="pk_interest_areas"),
    )
    op.create_index(
        "ix_interest_areas_bounds",
        "interest_areas",
        ["min_e", "max_e", "min_n", "max_n", "number"],
        unique=False,
    )
    op.create_index("ix_interest_areas_owner_cvr", "interest_areas", ["owner_cvr"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=8), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.cvr"], name="fk_tokens_organisation"),
        sa.PrimaryKeyConstraint("token_id", name="pk_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_tokens_secret_hash"),
    )
    op.create_table(
        "answers",
        sa.Column("enquiry", sa.String(length=16), nullable=False),
        sa.Column("owner_cvr", sa.String(length=8), nullable=False),
        sa.Column("interest_areas", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.String(length=26), nullable=True),
        sa.Column("features", sa.Integer(), nullable=True),
        sa.Column("valid_to", sa.Text(), nullable=True),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.delivery_id"], name="fk_answers_delivery_id"),
        sa.ForeignKeyConstraint(["enquiry"], ["enquiries.number"], name="fk_answers_enquiry"),
        sa.ForeignKeyConstraint(["owner_cvr"], ["organisations.cvr"], name="fk_answers_owner_cvr"),
        sa.PrimaryKeyConstraint("enquiry", "owner_cvr", name="pk_answers"),
    )
    op.create_index("ix_answers_owner", "answers", ["owner_cvr"], unique=False)
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("enquiry", sa.String(length=16), nullable=False),
        sa.Column("organisation", sa.String(length=8), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.String(length=26), nullable=False),
        sa.Column("polygon", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.Text(), nullable=False),
        sa.Column("valid_to", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.delivery_id"], name="fk_grants_delivery_id"),
        sa.ForeignKeyConstraint(["enquiry"], ["enquiries.number"], name="fk_grants_enquiry"),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.cvr"], name="fk_grants_organisation"),
        sa.PrimaryKeyConstraint("grant_id", name="pk_grants"),
        sa.UniqueConstraint("enquiry", "dataset", "source", name="uq_grants_enquiry_dataset_source"),
    )
    op.create_index("ix_grants_reader", "grants", ["organisation", "dataset", "valid_to"], unique=False)
    op.create_table(
        "packages",
        sa.Column("enquiry", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("features", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["enquiry"], ["enquiries.number"], name="fk_packages_enquiry"),
        sa.PrimaryKeyConstraint("enquiry", "sequence", name="pk_packages"),
    )
