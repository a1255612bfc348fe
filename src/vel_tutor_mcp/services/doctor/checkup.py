"""The whole checkup: everything at once, each check bounded in time, and none able to end the others.

It only looks: it makes no folder and no database, and migrates nothing.
"""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from vel_tutor_mcp.auth.sealing import unopened
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError, VelError
from vel_tutor_mcp.providers.visit import visit
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.doctor import probes, verdicts
from vel_tutor_mcp.services.doctor.verdicts import Access, Finding
from vel_tutor_mcp.services.secret_keys import secret_keys_of
from vel_tutor_mcp.settings import TASK_MASTER, Settings
from vel_tutor_mcp.store import inspection
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.schema import revisions
from vel_tutor_mcp.store.sqlite import SqliteDatabase
from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.tracing.wanted import wanted

Findings = Sequence[Finding]

_PROVIDER_SECONDS = 5.0
_CHECK_SECONDS = 15.0
# How long a file of SQLite is checked for damage, by who waits for it and by who looks in passing.
_QUICK_CHECK_SECONDS, _GLANCE_SECONDS = 5.0, 0.2
_DEPENDENT = ("home folder", "database", "providers")


async def check_up(load: Callable[[], Settings], database_of: Callable[[Settings], Database]) -> list[Finding]:
    """All findings, causes before effects.

    Args:
        load: the settings, or a ConfigurationError.
        database_of: the database that they name, not yet connected to, or a ConfigurationError.
    """
    command = TASK_MASTER
    try:
        settings = load()
        of_settings, command = _of_settings(settings, database_of), settings.task_master_command
    except ConfigurationError as problem:
        of_settings = _without_settings(problem)
    found = await asyncio.gather(
        of_settings,
        bounded("traces", _traces()),
        bounded("node", _node()),
        bounded("task master", _task_master(command)),
    )
    return list(chain.from_iterable(found))


async def standing(settings: Settings, catalog: Catalog, database_of: Callable[[Settings], Database]) -> list[Finding]:
    """Those of these findings for which nobody outside is asked, of a product that is open: for whoever looks often."""
    checks = await asyncio.gather(
        bounded("home folder", _home(settings, database_of)),
        bounded("database", _database(settings, database_of, {}, _GLANCE_SECONDS)),
        bounded("sealed keys", _sealed(settings, database_of)),
        bounded("audit key", _signed(settings, database_of)),
    )
    traces = verdicts.of_traces(wanted(os.environ), taken=not spans.lost())
    return [*chain.from_iterable(checks), *verdicts.of_providers(_providers(settings, catalog)), traces]


async def bounded(check: str, work: Awaitable[Findings], seconds: float = _CHECK_SECONDS) -> Findings:
    """The findings, or the finding that there are none."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        advice = "look for a disk or a network that does not answer"
        return [verdicts.failed(check, f"no result within {seconds:g} s", advice)]
    except VelError as problem:
        return [verdicts.of_error(check, problem)]
    except Exception as problem:  # noqa: BLE001 - no check may end the others, and a stranger's text may hold a secret
        return [verdicts.failed(check, f"the check itself failed ({type(problem).__name__})", "report this as a bug")]


async def _without_settings(problem: ConfigurationError) -> Findings:
    found, advice = "not checked: it depends on the settings", "correct the settings first"
    return [
        verdicts.of_error("settings", problem),
        *(verdicts.warning(check, found, advice) for check in _DEPENDENT),
    ]


async def _of_settings(settings: Settings, database_of: Callable[[Settings], Database]) -> Findings:
    ahead: dict[str, float] = {}
    catalog, fault = _catalog(settings)
    providers = _providers(settings, catalog)
    read = f"read {settings.config}" if settings.config else "no configuration file"
    checks = await asyncio.gather(
        bounded("home folder", _home(settings, database_of)),
        bounded("database", _database(settings, database_of, ahead)),
        bounded("sealed keys", _sealed(settings, database_of)),
        bounded("audit key", _signed(settings, database_of)),
        *(bounded(f"provider {provider.name}", _provider(provider, ahead)) for provider in providers),
    )
    return [
        fault or verdicts.ok("settings", f"{read}, no unknown name"),
        *chain.from_iterable(checks),
        *verdicts.of_providers(providers),
        verdicts.of_clocks(ahead),
    ]


def _catalog(settings: Settings) -> tuple[Catalog, Finding | None]:
    """The catalog; where the user's rows have a fault, that of the shipped ones."""
    try:
        return Catalog.load(settings.catalog), None
    except ConfigurationError as problem:
        return Catalog.load(), verdicts.of_error("settings", problem)


def _providers(settings: Settings, catalog: Catalog) -> list[Access]:
    return [_access(settings, row.name, row.variable, row.base_url) for row in catalog.providers.values()]


def _access(settings: Settings, name: str, variable: str, base_url: str) -> Access:
    key = (settings.key_of(name, variable) or "").strip() or None
    own_url = settings.base_url_of(name)
    return Access(name, variable, own_url or base_url, key, is_local=name == "local", is_set=bool(key or own_url))


async def _home(settings: Settings, database_of: Callable[[Settings], Database]) -> Findings:
    file: Path | None = None
    with suppress(ConfigurationError):  # told by the check of the database
        database = database_of(settings)
        file = database.path if isinstance(database, SqliteDatabase) else None

    def look() -> Findings:
        folder = probes.folder(settings.home)
        files = list(probes.private_files(settings.home, file))
        return [verdicts.of_folder(folder), *verdicts.of_modes(folder, files)]

    return await in_thread(look)


async def _database(
    settings: Settings,
    database_of: Callable[[Settings], Database],
    ahead: dict[str, float],
    seconds: float = _QUICK_CHECK_SECONDS,
) -> Findings:
    database = database_of(settings)
    if isinstance(database, SqliteDatabase):
        return [await _file(database, seconds)]
    try:
        contents, ahead["the database"] = await inspection.postgresql(database)
    finally:
        await database.close()
    return [verdicts.of_contents(database.place, contents, revisions())]


async def _file(database: SqliteDatabase, seconds: float) -> Finding:
    if not await in_thread(database.path.exists):
        return verdicts.ok("database", f"{database.place} is made at the first start")
    try:
        contents = await in_thread(lambda: inspection.sqlite(database.path, seconds))
    except (sqlite3.Error, OSError) as problem:
        return verdicts.unreadable(database.place, str(problem))
    return verdicts.of_contents(database.place, contents, revisions())


async def _sealed(settings: Settings, database_of: Callable[[Settings], Database]) -> Findings:
    def look() -> Findings:
        # What is wrong with the database is told by its own check.
        with suppress(VelError):
            found = inspection.sealed(database_of(settings))
            return verdicts.of_sealed(len(found), unopened(secret_keys_of(settings), found))
        return []

    return await in_thread(look)


async def _signed(settings: Settings, database_of: Callable[[Settings], Database]) -> Findings:
    def look() -> Findings:
        known, last = Keys(settings).known(), None
        with suppress(VelError):
            last = inspection.last_checkpoint(database_of(settings))
        return verdicts.of_signature(last.public_key, known) if last else []

    return await in_thread(look)


async def _provider(provider: Access, ahead: dict[str, float]) -> Findings:
    if not (provider.is_used and provider.is_sendable):
        return [verdicts.of_provider(provider, None)]
    seen = await visit(provider.base_url, provider.key, _PROVIDER_SECONDS)
    if seen.seconds_ahead is not None:
        ahead[provider.name] = seen.seconds_ahead
    return [verdicts.of_provider(provider, seen)]


async def _traces() -> Findings:
    asked = wanted(os.environ)
    taken = asked.endpoint is not None and await in_thread(probes.collector)
    return [verdicts.of_traces(asked, taken=taken)]


async def _node() -> Findings:
    return [verdicts.of_node(await probes.node_version())]


async def _task_master(command: str) -> Findings:
    return [verdicts.of_task_master(await in_thread(lambda: probes.task_master(command)))]
