"""The tables of people: who may come in, by what, and how often. `tables` has the others."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from vel_tutor_mcp.models import LONGEST_ISSUER, LONGEST_NAME, LONGEST_SUBJECT
from vel_tutor_mcp.store.columns import Id, Json, Sequence, moment, owned, row_id

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


organisations = Table(
    "organisations",
    metadata,
    row_id(),
    Column("name", sa.String(100), nullable=False, unique=True),
    moment("created_at"),
    # Of each of its members, who have none of their own; None: the settings'.
    Column("tasks_per_hour", sa.Integer),
    Column("requests_per_minute", sa.Integer),
)

users = Table(
    "users",
    metadata,
    row_id(),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("name", sa.String(LONGEST_NAME), nullable=False),
    Column("role", sa.String(20), nullable=False),
    moment("created_at"),
    moment("updated_at"),
    # The operating system's users have none of these: they come in without signing in.
    Column("email", sa.String(LONGEST_NAME)),
    Column("password_hash", sa.String(200)),
    moment("disabled_at", nullable=True),
    Column("tasks_per_hour", sa.Integer),
    Column("requests_per_minute", sa.Integer),
    # By what an outside issuer's tokens name them.
    Column("oidc_issuer", sa.String(LONGEST_ISSUER)),
    Column("oidc_subject", sa.String(LONGEST_SUBJECT)),
    UniqueConstraint("organisation_id", "name"),
    Index("uq_users_email", "email", unique=True),
    Index("uq_users_oidc", "oidc_issuer", "oidc_subject", unique=True),
)

# What tokens are good by: a sign-in with all that was refreshed from it, a token that was issued to a client, or what
# somebody allowed a client by OAuth, whose `client_id` is a row of `oauth_clients` or the address of a document.
grants = Table(
    "grants",
    metadata,
    row_id(),
    *owned(),
    Column("kind", sa.String(20), nullable=False),
    Column("name", sa.String(100)),
    moment("created_at"),
    moment("expires_at"),
    moment("revoked_at", nullable=True),
    Column("client_id", sa.String(300)),
    Index(None, "owner_id", "created_at"),
)

# Kept as hashes, and after they were used: whoever brings one again has stolen it, or was stolen from.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", sa.String(64), primary_key=True),
    *owned(),
    Column("grant_id", Id, ForeignKey("grants.id"), nullable=False),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Index(None, "grant_id"),
    Index(None, "owner_id", "expires_at"),
)

# Clients that registered themselves, before anybody is signed in: they belong to the installation.
oauth_clients = Table(
    "oauth_clients",
    metadata,
    row_id(),
    Column("name", sa.String(100), nullable=False),
    Column("redirect_uris", Json, nullable=False),
    moment("created_at"),
    moment("used_at", nullable=True),
    moment("expires_at"),
    Index(None, "used_at", "created_at"),
    Index(None, "expires_at"),
)

# A sign-in on the page of OAuth: of a browser until its user decides, by a code once they allowed a client to come in.
authorizations = Table(
    "authorizations",
    metadata,
    Column("grant_id", Id, ForeignKey("grants.id"), primary_key=True),
    *owned(),
    Column("session_hash", sa.String(64)),
    Column("code_hash", sa.String(64)),
    Column("redirect_uri", sa.String(500)),
    Column("challenge", sa.String(43)),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Index("uq_authorizations_session_hash", "session_hash", unique=True),
    Index("uq_authorizations_code_hash", "code_hash", unique=True),
    Index(None, "owner_id"),
)

# The public halves, by which every process verifies what any has signed. They belong to the installation.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", sa.String(40), primary_key=True),
    Column("public", sa.LargeBinary, nullable=False),
    moment("created_at"),
    moment("good_until"),
)

# Of the last minute, by account and by address; nobody is signed in yet, so nobody owns them.
tries = Table(
    "tries",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("subject", sa.String(80), nullable=False),
    moment("at"),
    Column("refused", sa.Boolean, nullable=False),
    Index(None, "subject", "at"),
    Index(None, "at"),
)

# How much of their limits people have used in the present hour or minute; processes take it in small lots.
allowances = Table(
    "allowances",
    metadata,
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("kind", sa.String(20), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    moment("begins_at"),
    Column("taken", sa.Integer, nullable=False),
)

# What requests with a key were answered, for those who send them again; no status while one is still at work.
repeats = Table(
    "repeats",
    metadata,
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("key", sa.String(200), primary_key=True),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("body_hash", sa.String(64), nullable=False),
    Column("status", sa.Integer),
    Column("answer", sa.Text),
    moment("at"),
    Index(None, "at"),
)
