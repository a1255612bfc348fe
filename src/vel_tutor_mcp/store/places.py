"""Where the database is: what the settings, or a URL, name."""

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.postgresql import PostgresDatabase
from vel_tutor_mcp.store.postgresql_url import unfit
from vel_tutor_mcp.store.sqlite import SqliteDatabase

FILE_NAME = "vel-tutor.db"


def database_of(settings: Settings) -> Database:
    """The database that the settings name; nothing is opened yet.

    Raises:
        ConfigurationError: VEL_TUTOR_DATABASE_URL cannot be read.
    """
    if settings.database_url is None:
        return SqliteDatabase((settings.home / FILE_NAME).resolve(), settings.sqlite_synchronous)
    return database_at(settings.database_url.get_secret_value(), settings.sqlite_synchronous)


def database_at(url_text: str, sqlite_synchronous: str = "NORMAL") -> Database:
    """The database of a URL, which is never repeated in an error: it may hold a password.

    Raises:
        ConfigurationError: it is no URL of a database that we can use.
    """
    try:
        url = make_url(url_text)
    except (ArgumentError, ValueError):
        raise _bad_url("it is no database URL") from None
    match url.drivername.partition("+")[0]:
        case "sqlite" if url.database:
            try:
                return SqliteDatabase(Path(url.database).expanduser().resolve(), sqlite_synchronous)
            except (RuntimeError, ValueError):  # of an unknown user; with a NUL, or not in UTF-8
                raise _bad_url("no file here can have its name") from None
        case "postgresql" | "postgres":
            if problem := unfit(url):
                raise _bad_url(problem)
            return PostgresDatabase(url)
        case kind:
            raise _bad_url(f"{kind} is not supported, or names no file")


def _bad_url(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database URL cannot be used; {why}; write VEL_TUTOR_DATABASE_URL like "
        "postgresql://user:password@host/name or sqlite:////absolute/path.db, or leave it out."
    )
