"""The URL of a PostgreSQL database, as hosting services print it: what we take of it, and as each driver reads it."""

from string import punctuation
from urllib.parse import quote

import sqlalchemy as sa

_CHOICES = {
    "sslmode": ("allow", "disable", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "read-write"),
}
# A name that leads to a standby while another server takes over would leave connections there for ever.
_UNLESS_NAMED = {"target_session_attrs": "primary"}
# Both drivers read these in the same way.
_SHARED = frozenset({
    "application_name", "host", "passfile", "sslcert", "sslcrl", "sslkey", "sslmode", "sslpassword", "sslrootcert",
    "ssl_max_protocol_version", "ssl_min_protocol_version", "target_session_attrs",
})  # fmt: skip
# libpq knows these; asyncpg would hand them to the server as settings of its own.
_ONLY_LIBPQ = frozenset({"channel_binding", "gssencmode", "sslcompression"})
# Hosting services print these; we have limits of our own.
_OURS = frozenset({
    "connect_timeout", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout",
})  # fmt: skip
_LAST_PORT = 65_535


def unfit(url: sa.URL) -> str | None:
    """What is wrong with it, in words that repeat nothing of it but a parameter's name; None where nothing is."""
    if "@" in f"{url.host or ''}{url.database or ''}":
        return "its password holds an @, / or : that must be written as %40, %2F or %3A"
    if "%00" in url.render_as_string(hide_password=False):
        return "it holds a NUL"
    if not 0 < (url.port or 1) <= _LAST_PORT:
        return "its port is out of range"
    for name in sorted(url.query.keys() & _CHOICES.keys()):
        if url.query[name] not in _CHOICES[name]:
            return f"its {name} is none of {', '.join(_CHOICES[name])}"
    unknown = sorted(set(url.query) - _SHARED - _ONLY_LIBPQ - _OURS)
    return f"its parameter {unknown[0][:40]} is none that we know" if unknown else None


def for_libpq(url: sa.URL) -> str:
    """For psycopg, and whoever uses it; with the password."""
    return _written(url.difference_update_query(_OURS))


def for_asyncpg(url: sa.URL) -> str:
    """As `for_libpq`."""
    return _written(url.difference_update_query(_OURS | _ONLY_LIBPQ))


def host_of(url: sa.URL) -> str:
    """Which server it names, in words."""
    host = url.host or url.query.get("host") or "the local socket"
    return f"{host}:{url.port}" if url.port else str(host)


def _written(url: sa.URL) -> str:
    """So that no driver stumbles over it: their errors tell all of it, the password too.

    SQLAlchemy leaves a space as it is, which libpq refuses, or makes it a plus, which libpq takes for one. A plus of
    the query's own it has encoded by then.
    """
    named = url.set(drivername="postgresql", query=_UNLESS_NAMED | url.query)
    text = named.render_as_string(hide_password=False)
    head, mark, query = text.partition("?")
    return quote(head, safe=punctuation) + mark + query.replace("+", "%20")
