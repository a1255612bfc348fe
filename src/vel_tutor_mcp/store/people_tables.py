"""The tables of people: who may come in, by what, and how often."""

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from vel_tutor_mcp.models import LONGEST_ISSUER, LONGEST_NAME, LONGEST_SUBJECT
from vel_tutor_mcp.store.columns import Id, Json, Sequence, moment, owned, row_id

metadata = sa.MetaData(
    # Migrations drop constraints by their names, which must be the same on both databases.
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
"""Who shares agents, budgets and a trail. Its limits are those of each member who has none of their own."""

users = Table(
    "users",
    metadata,
    row_id(),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("name", sa.String(LONGEST_NAME), nullable=False),
    Column("role", sa.String(20), nullable=False, doc="what they may do: docs/accounts.md#roles"),
    moment("created_at"),
    moment("updated_at"),
    # The operating system's users have none of these: they come in without signing in.
    Column("email", sa.String(LONGEST_NAME), doc="what they sign in by, with a password"),
    Column("password_hash", sa.String(200), doc="argon2id"),
    moment("disabled_at", nullable=True, doc="since when they are let in no more"),
    Column("tasks_per_hour", sa.Integer),
    Column("requests_per_minute", sa.Integer),
    Column("oidc_issuer", sa.String(LONGEST_ISSUER), doc="the outside issuer that names them"),
    Column("oidc_subject", sa.String(LONGEST_SUBJECT), doc="what its tokens call them: `sub`"),
    UniqueConstraint("organisation_id", "name"),
    Index("uq_users_email", "email", unique=True),
    Index("uq_users_oidc", "oidc_issuer", "oidc_subject", unique=True),
)
"""People, and the operating system's users, who come in without signing in and have no e-mail."""

grants = Table(
    "grants",
    metadata,
    row_id(),
    *owned(),
    Column("kind", sa.String(20), nullable=False, doc="sign_in, client or oauth"),
    Column("name", sa.String(100)),
    moment("created_at"),
    moment("expires_at"),
    moment("revoked_at", nullable=True, doc="when it was taken back"),
    Column("client_id", sa.String(300), doc="a row of `oauth_clients`, or the address of a document"),
    Index(None, "owner_id", "created_at"),
)
"""What tokens are good by: a sign-in with all that was refreshed from it, a token that was issued to a client, or what
somebody allowed a client by OAuth."""

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", sa.String(64), primary_key=True, doc="SHA-256 of the token"),
    *owned(),
    Column("grant_id", Id, ForeignKey("grants.id"), nullable=False, doc="what it renews"),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Index(None, "grant_id"),
    Index(None, "owner_id", "expires_at"),
)
"""Kept as hashes, and after they were used: whoever brings one again has stolen it, or was stolen from."""

oauth_clients = Table(
    "oauth_clients",
    metadata,
    row_id(),
    Column("name", sa.String(100), nullable=False),
    Column("redirect_uris", Json, nullable=False, doc="where its users may be sent back to"),
    moment("created_at"),
    moment("used_at", nullable=True),
    moment("expires_at"),
    Index(None, "used_at", "created_at"),
    Index(None, "expires_at"),
)
"""Clients that registered themselves, before anybody is signed in."""

authorizations = Table(
    "authorizations",
    metadata,
    Column("grant_id", Id, ForeignKey("grants.id"), primary_key=True, doc="what comes of it"),
    *owned(),
    Column("session_hash", sa.String(64), doc="SHA-256 of the browser's session"),
    Column("code_hash", sa.String(64), doc="SHA-256 of the code"),
    Column("redirect_uri", sa.String(500), doc="where the code was sent"),
    Column("challenge", sa.String(43), doc="of PKCE: what the client must know to use the code"),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Index("uq_authorizations_session_hash", "session_hash", unique=True),
    Index("uq_authorizations_code_hash", "code_hash", unique=True),
    Index(None, "owner_id"),
)
"""A sign-in on the page of OAuth: of a browser until its user decides, by a code once they allowed a client to come
in."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", sa.String(40), primary_key=True),
    Column("public", sa.LargeBinary, nullable=False, doc="the key, Ed25519"),
    moment("created_at"),
    moment("good_until", doc="when nothing that it signed is good any more"),
)
"""The public halves, by which every process verifies what any has signed."""

tries = Table(
    "tries",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("subject", sa.String(80), nullable=False, doc="the account or the address that tried"),
    moment("at"),
    Column("refused", sa.Boolean, nullable=False, doc="whether it was one too many"),
    Index(None, "subject", "at"),
    Index(None, "at"),
)
"""Tries to sign in of the last minute; nobody is signed in yet, so nobody owns them."""

allowances = Table(
    "allowances",
    metadata,
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("kind", sa.String(20), primary_key=True, doc="task or request"),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    moment("begins_at", doc="the hour or minute"),
    Column("taken", sa.Integer, nullable=False, doc="how much of it"),
)
"""How much of their limits people have used in the present hour or minute; processes take it in small lots."""

repeats = Table(
    "repeats",
    metadata,
    Column("owner_id", Id, ForeignKey("users.id"), primary_key=True),
    Column("key", sa.String(200), primary_key=True, doc="the request's `Idempotency-Key`"),
    Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
    Column("body_hash", sa.String(64), nullable=False),
    Column("status", sa.Integer, doc="of the answer; nothing while one is still at work"),
    Column("answer", sa.Text, doc="its body"),
    moment("at"),
    Index(None, "at"),
)
"""What requests with a key were answered, for those who send them again."""
