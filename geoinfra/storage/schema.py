"""The tables of the records: transactional and small. The same on SQLite and PostgreSQL.

Times are ISO 8601 text in UTC with milliseconds and ``Z`` (they sort as text), geometry is WKB in EPSG:25832,
documents are JSON text. A change here needs a revision under ``migrations/``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "answer_versions",
    "answers",
    "audit",
    "channels",
    "collections",
    "counters",
    "current_deliveries",
    "current_grids",
    "damages",
    "deliveries",
    "enquiries",
    "exchanges",
    "grants",
    "grids",
    "interest_areas",
    "jobs",
    "metadata",
    "notices",
    "organisations",
    "outbox",
    "packages",
    "secrets",
    "signing_keys",
    "tokens",
]

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # what grows for ever; SQLite's integers are wide

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

organisations = Table(
    "organisations",
    metadata,
    Column("cvr", String(8), primary_key=True),
    Column("name", Text, nullable=False),
    Column("contact", Text, nullable=False, default="{}"),  # {"name", "email", "phone"}
    Column("created_at", Text, nullable=False),
    Column("dispensation_from", Text),  # from when he sends his answers to excavators himself
    Column("dispensation_to", Text),
    Column("shows_for_planning", Boolean, nullable=False, default=False),  # hosted lines, also without a dig
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(16), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),  # SHA-256 of 256 random bits
    Column("organisation", ForeignKey("organisations.cvr"), nullable=False),
    Column("roles", Text, nullable=False),  # JSON list
    Column("label", Text, nullable=False, default=""),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("revoked_at", Text),
)

interest_areas = Table(
    "interest_areas",
    metadata,
    Column("number", Integer, primary_key=True),  # LER's indberetningsNr
    Column("owner_cvr", ForeignKey("organisations.cvr"), nullable=False, index=True),
    Column("supply_types", Text, nullable=False),  # JSON list
    Column("min_e", Float, nullable=False),
    Column("min_n", Float, nullable=False),
    Column("max_e", Float, nullable=False),
    Column("max_n", Float, nullable=False),
    Column("polygon", LargeBinary, nullable=False),
    Column("valid_from", Text, nullable=False),
    Column("valid_to", Text),
    Column("state", Text, nullable=False, default="live"),  # draft, review, live, retired
    Column("contacts", Text, nullable=False, default="{}"),  # JSON: purpose -> {"name", "email", "phone"}
    Column("reviewed_by", Text),
    Column("reviewed_at", Text),
    Column("proposal", Text),  # JSON: what it shall be like once it is reviewed
    Index("ix_interest_areas_bounds", "min_e", "max_e", "min_n", "max_n", "number"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String(26), primary_key=True),  # sorts by time of staging
    Column("dataset", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("min_e", Float),
    Column("min_n", Float),
    Column("max_e", Float),
    Column("max_n", Float),
    Column("sha256", String(64), nullable=False),
    Column("schema", Text, nullable=False),  # DatasetSchema.to_json
    Column("published", Boolean, nullable=False),  # False: attached to one answer only
    Column("valid_to", Text),  # date
    Column("details", Text, nullable=False, default="{}"),  # header of the answer, licence, file name ...
    Column("created_at", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Index("ix_deliveries_dataset_source", "dataset", "source"),
)

current_deliveries = Table(
    "current_deliveries",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("delivery_id", ForeignKey("deliveries.delivery_id"), nullable=False),
)

grids = Table(
    "grids",
    metadata,
    Column("grid_id", String(26), primary_key=True),  # sorts by time of staging
    Column("dataset", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),  # raster, cube
    Column("description", Text, nullable=False),  # JSON: parameters, axes, files, origin
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Index("ix_grids_dataset_source", "dataset", "source"),
)

current_grids = Table(
    "current_grids",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("grid_id", ForeignKey("grids.grid_id"), nullable=False),
)

enquiries = Table(
    "enquiries",
    metadata,
    Column("number", String(16), primary_key=True),  # 2026-000001
    Column("organisation", ForeignKey("organisations.cvr"), nullable=False, index=True),
    Column("principal", Text, nullable=False),
    Column("request_key", Text, unique=True),  # idempotent filing
    Column("filed_at", Text, nullable=False),
    Column("polygon", LargeBinary, nullable=False),
    Column("area_m2", Float, nullable=False),
    Column("period_from", Text, nullable=False),  # date
    Column("period_to", Text, nullable=False),  # date
    Column("methods", Text, nullable=False),  # JSON list of LER graveart numbers
    Column("methods_other", Text, nullable=False, default=""),
    Column("description", Text, nullable=False, default=""),
    Column("contact", Text, nullable=False),  # JSON
    Column("formats", Text, nullable=False),  # JSON list
    Column("valid_to", Text, nullable=False),
    Column("kind", Text, nullable=False, default="planned"),  # planned, emergency, planning
    Column("filer", Text, nullable=False, default="professional"),  # professional, private
    Column("reason", Text, nullable=False, default=""),  # of an emergency
    Column("grounds", Text, nullable=False, default="[]"),  # JSON list, of an emergency
    Column("begun", Boolean, nullable=False, default=False),  # an emergency whose digging has begun
    Column("purpose", Text, nullable=False, default="99"),  # LER formaal number
    Column("supplies", Text, nullable=False, default="[]"),  # JSON list of LER forsyningsart numbers
    Column("depth_m", Float),
    Column("own_number", Text, nullable=False, default=""),
    Column("original", Text),  # number of the enquiry that this one sends again
    Column("project", Text),  # number of the first of the enquiries that one large area was split into
    Column("part", Integer, nullable=False, default=1),
    Column("parts", Integer, nullable=False, default=1),
    Column("surroundings_m", Float, nullable=False, default=0.0),
    Column("fee_dkk", Text, nullable=False, default="0.00"),
    Column("erased_at", Text),
    Index("ix_enquiries_project", "project"),
)

answers = Table(
    "answers",
    metadata,
    Column("enquiry", ForeignKey("enquiries.number"), primary_key=True),
    Column("owner_cvr", ForeignKey("organisations.cvr"), primary_key=True),
    Column("interest_areas", Text, nullable=False),  # JSON list of numbers
    Column("status", Text, nullable=False),
    Column("delivery_id", ForeignKey("deliveries.delivery_id")),
    Column("features", Integer),
    Column("valid_to", Text),  # date, LER's gyldigTil
    Column("header", Text, nullable=False, default="{}"),  # contact, supplementary information ...
    Column("answered_at", Text),
    Column("scope", Text, nullable=False, default="dig"),  # dig, or surroundings only
    Column("due_at", Text),  # the legal clock
    Column("acknowledged_at", Text),
    Column("taken_at", Text),  # taken for manual handling
    Column("version", Integer, nullable=False, default=1),
    Column("nudges", Integer, nullable=False, default=0),  # reminders and alarms sent
    Index("ix_answers_owner", "owner_cvr"),
    Index("ix_answers_status_due", "status", "due_at"),
)

answer_versions = Table(
    "answer_versions",
    metadata,
    Column("enquiry", ForeignKey("enquiries.number"), primary_key=True),
    Column("owner_cvr", ForeignKey("organisations.cvr"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("status", Text, nullable=False),
    Column("delivery_id", ForeignKey("deliveries.delivery_id")),
    Column("features", Integer),
    Column("valid_to", Text),
    Column("header", Text, nullable=False, default="{}"),
    Column("at", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("reason", Text, nullable=False, default=""),  # of a correction
    Column("report", Text, nullable=False, default="{}"),  # JSON: counts of the check
)

grants = Table(
    "grants",
    metadata,
    Column("grant_id", _NUMBER, primary_key=True, autoincrement=True),
    Column("enquiry", ForeignKey("enquiries.number"), nullable=False),
    Column("organisation", ForeignKey("organisations.cvr"), nullable=False),  # who may read
    Column("dataset", Text, nullable=False),
    Column("source", Text, nullable=False),  # whose rows
    Column("delivery_id", ForeignKey("deliveries.delivery_id"), nullable=False),
    Column("polygon", LargeBinary, nullable=False),
    Column("valid_from", Text, nullable=False),
    Column("valid_to", Text, nullable=False),
    UniqueConstraint("enquiry", "dataset", "source"),
    Index("ix_grants_reader", "organisation", "dataset", "valid_to"),
)

packages = Table(
    "packages",
    metadata,
    Column("enquiry", ForeignKey("enquiries.number"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("blob", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("features", Integer, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("complete", Boolean, nullable=False, default=False),
    Column("key_id", Text),  # of the signature
    Column("acknowledged_at", Text),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("private_key", LargeBinary, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("retired_at", Text),
)

channels = Table(
    "channels",
    metadata,
    Column("channel_id", String(26), primary_key=True),
    Column("organisation", ForeignKey("organisations.cvr"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # mail, webhook
    Column("target", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("events", Text, nullable=False),  # JSON list
    Column("created_at", Text, nullable=False),
    Column("disabled_at", Text),
)

notices = Table(
    "notices",
    metadata,
    Column("notice_id", _NUMBER, primary_key=True, autoincrement=True),
    Column("channel_id", ForeignKey("channels.channel_id"), nullable=False),
    Column("event_id", _NUMBER, nullable=False),
    Column("state", Text, nullable=False),  # waiting, sent, failed
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Text, nullable=False),
    Column("sent_at", Text),
    Column("error", Text, nullable=False, default=""),
    UniqueConstraint("channel_id", "event_id"),
    Index("ix_notices_waiting", "state", "next_at"),
)

damages = Table(
    "damages",
    metadata,
    Column("damage_id", String(26), primary_key=True),
    Column("organisation", ForeignKey("organisations.cvr"), nullable=False, index=True),  # who reports
    Column("year", Integer, nullable=False, index=True),
    Column("document", Text, nullable=False),  # JSON
    Column("created_at", Text, nullable=False),
    Column("principal", Text, nullable=False),
)

exchanges = Table(
    "exchanges",
    metadata,
    Column("organisation", String(8), primary_key=True),
    Column("request_id", String(36), primary_key=True),  # of LER's interface: asked once, answered the same
    Column("call", Text, nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("response", Text),  # JSON; null while the first call is at work
    Column("created_at", Text, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(26), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, unique=True),
    Column("payload", Text, nullable=False),  # JSON
    Column("principal", Text, nullable=False),
    Column("state", Text, nullable=False),  # queued, running, done, failed, cancelled
    Column("progress", Float, nullable=False, default=0.0),  # 0..1
    Column("message", Text, nullable=False, default=""),
    Column("result", Text),  # JSON
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("created_at", Text, nullable=False),
    Column("run_after", Text, nullable=False),
    Column("started_at", Text),
    Column("finished_at", Text),
    Column("lease_owner", Text),
    Column("lease_until", Text),
    Index("ix_jobs_queue", "state", "run_after"),
    Index("ix_jobs_principal", "principal", "created_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("event_id", _NUMBER, primary_key=True, autoincrement=True),
    Column("event", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("created_at", Text, nullable=False),
    Column("delivered_at", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Index("ix_outbox_waiting", "delivered_at", "event_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("entry", _NUMBER, primary_key=True, autoincrement=False),  # 1, 2, 3 ... without gap
    Column("at", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("organisation", Text),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

collections = Table(
    "collections",
    metadata,
    Column("collection_id", Text, primary_key=True),
    Column("entry", Text, nullable=False),  # JSON
    Column("updated_at", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", _NUMBER, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
