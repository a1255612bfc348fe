"""The doctor looks at real folders, databases and providers, and changes nothing."""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from planted import key
from pydantic import SecretStr
from same import vendor
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.models import TaskRequest
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import KEY_FILE, Keys, key_id
from vel_tutor_mcp.services.doctor.checkup import bounded, check_up
from vel_tutor_mcp.services.doctor.verdicts import Finding, Verdict
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.places import FILE_NAME, database_of
from vel_tutor_mcp.store.schema import revisions

pytestmark = pytest.mark.anyio

SECRET = key("gsk")
OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
on_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in await check_up(lambda: settings, database_of)}


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_vendor(home: Path, base_url: str) -> Settings:
    return Settings.model_validate({"home": home, "groq_api_key": SECRET, "groq_base_url": base_url})


async def test_before_the_first_start_all_is_well_and_nothing_is_made(tmp_path: Path, providers: Providers) -> None:
    found = await findings(settings_for(providers, tmp_path / "home"))

    assert [finding.check for finding in found.values() if finding.verdict is FAILED] == []
    assert found["database"].found.endswith("is made at the first start")
    assert found["provider groq"].found.endswith("2 models")
    assert found["provider perplexity"].found == "not used: PERPLEXITY_API_KEY is not set"
    assert list(tmp_path.iterdir()) == []


async def test_an_installation_is_found_sound_while_it_runs_and_after(tmp_path: Path, providers: Providers) -> None:
    settings = settings_for(providers, tmp_path / "home")
    async with open_app(settings):
        running = await findings(settings)
    before = everything_in(tmp_path)
    after = await findings(settings)

    assert running["database"].verdict is after["database"].verdict is OK
    assert after["database"].found.endswith(f"revision {revisions()[-1]}, sound")
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("new_database", ["sqlite", "postgresql"], indirect=True)
async def test_keys_that_cannot_be_opened_here_are_told(settings: Settings) -> None:
    assert "sealed keys" not in await findings(settings)
    async with open_app(settings) as app:
        for provider in ("groq", "openai"):
            await app.integrations.put(app.local_principal, provider, SecretStr(SECRET))
    assert (await findings(settings))["sealed keys"] == Finding(
        "sealed keys", OK, "2 of integrations and webhooks, all open"
    )

    (settings.home / "secret.key").rename(settings.home / "elsewhere")
    told = (await findings(settings))["sealed keys"]
    assert (told.verdict, told.found.partition(":")[0]) == (FAILED, "2 of 2")
    assert (
        told.advice == "put that key behind the first one in VEL_TUTOR_SECRET_KEY, or into secret.key in VEL_TUTOR_HOME"
    )


@pytest.mark.parametrize("new_database", ["sqlite", "postgresql"], indirect=True)
async def test_a_trail_that_was_signed_with_a_key_which_is_not_here_is_told(settings: Settings) -> None:
    assert "audit key" not in await findings(settings)
    async with open_app(settings) as app:
        assert "audit key" not in await findings(settings)
        await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))
        signed = await Keeping(app._parts.database, Keys(settings)).sign()
    assert signed
    assert (await findings(settings))["audit key"].verdict is OK

    (settings.home / KEY_FILE).rename(settings.home / "elsewhere")
    told = (await findings(settings))["audit key"]
    assert (told.verdict, key_id(signed.public_key) in told.found) == (WARNING, True)
    assert ("VEL_TUTOR_AUDIT_KEY" in told.advice, KEY_FILE in told.advice) == (True, True)
    trusting = settings.model_copy(update={"audit_trusted_keys": told.advice.rpartition("=")[2]})
    assert (await findings(trusting))["audit key"].verdict is OK
    assert not (settings.home / KEY_FILE).exists()

    (settings.home / KEY_FILE).write_text("no key", encoding="ascii")
    assert (await findings(settings))["audit key"].verdict is FAILED


def no_database(file: Path) -> None:
    file.write_bytes(b"Dear diary, this is not a database. " * 100)


def damaged(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE t (text)")
        connection.executemany("INSERT INTO t VALUES (?)", [["x" * 100]] * 9999)
        connection.commit()
    content = bytearray(file.read_bytes())
    content[40_960:45_056] = b"\x07" * 4096
    file.write_bytes(content)


def of_revision(revision: str) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
            connection.commit()

    return make


@pytest.mark.parametrize(
    ("make", "verdict", "why"),
    [
        (no_database, FAILED, "not a database"),
        (damaged, FAILED, "is damaged"),
        (Path.mkdir, FAILED, "cannot be read"),
        (Path.touch, OK, "is empty"),
        (of_revision("9999"), FAILED, "a newer vel-tutor-mcp"),
        (of_revision("d3adb33f"), FAILED, "not ours"),
    ],
)
async def test_a_database_that_cannot_be_used_is_told_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], verdict: Verdict, why: str
) -> None:
    make(tmp_path / FILE_NAME)
    before = everything_in(tmp_path)
    found = await findings(Settings(home=tmp_path))

    assert found["database"].verdict is verdict
    assert why in found["database"].found
    assert everything_in(tmp_path) == before


@on_posix
async def test_files_that_others_can_read_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / FILE_NAME).touch(mode=0o644)
    exposed = (await findings(Settings(home=tmp_path)))["file modes"]
    (tmp_path / "audit.key").touch(mode=0o604)
    with_key = (await findings(Settings(home=tmp_path)))["file modes"]
    tmp_path.chmod(0o700)
    closed = (await findings(Settings(home=tmp_path)))["file modes"]

    assert [found.verdict for found in (exposed, with_key, closed)] == [WARNING, FAILED, OK]
    assert "audit.key" in with_key.advice
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@on_posix
async def test_what_is_made_in_a_home_that_others_may_enter_is_for_its_owner_alone(
    tmp_path: Path, providers: Providers
) -> None:
    tmp_path.chmod(0o755)
    settings = settings_for(providers, tmp_path)
    async with open_app(settings):
        stored = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(f"{FILE_NAME}*")}
        told = (await findings(settings))["file modes"]

    assert stored == dict.fromkeys([FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"], 0o600)
    assert told.advice == f"chmod 700 {tmp_path}"


@on_posix
async def test_the_mode_of_a_database_that_was_there_is_its_owner_s_to_change(
    tmp_path: Path, providers: Providers
) -> None:
    (tmp_path / FILE_NAME).touch()
    (tmp_path / FILE_NAME).chmod(0o640)
    async with open_app(settings_for(providers, tmp_path)):
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o640


async def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    found = await findings(Settings(home=tmp_path / "file" / "home"))

    assert found["home folder"].verdict is FAILED
    assert "VEL_TUTOR_HOME" in found["home folder"].advice


@pytest.mark.parametrize("url", ["no URL with a secret", "mysql://user:secret@host/name", "sqlite://"])
async def test_a_database_url_that_cannot_be_used_is_not_repeated(tmp_path: Path, url: str) -> None:
    settings = Settings.model_validate({"home": tmp_path, "database_url": url})
    found = await findings(settings)

    assert found["database"].verdict is FAILED
    assert "VEL_TUTOR_DATABASE_URL" in found["database"].advice
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "status", ["401 Unauthorized", "403 Forbidden", "400 Bad Request", "500 Internal Server Error"]
)
async def test_a_key_that_a_refusal_repeats_is_shown_not_even_in_part(tmp_path: Path, status: str) -> None:
    said = f'{status}\n{{"error": {{"message": "Wrong key {SECRET}, it ends in {SECRET[-6:]}."}}}}'
    async with vendor(said) as base_url:
        found = await findings(one_vendor(tmp_path, base_url))

    assert found["provider groq"].verdict is FAILED
    assert SECRET[-6:] not in str(found)
    assert SECRET[:8] not in str(found)


async def test_a_refused_key_is_told_with_its_variable(tmp_path: Path) -> None:
    async with vendor("401 Unauthorized\n{}") as base_url:
        found = await findings(one_vendor(tmp_path, base_url))

    assert found["provider groq"].advice == "set GROQ_API_KEY anew"


async def test_a_provider_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with vendor("200 OK\n{}") as base_url:
        pass
    found = await findings(one_vendor(tmp_path, base_url))

    assert found["provider groq"].verdict is FAILED
    assert "cannot be reached" in found["provider groq"].found


async def test_a_proxy_that_cannot_be_used_is_told_with_its_variable(
    tmp_path: Path, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:{SECRET}@127.0.0.1:1")
    found = await findings(settings_for(providers, tmp_path))

    assert found["provider groq"].verdict is FAILED
    assert "cannot be reached: the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY" in found["provider groq"].found
    assert SECRET not in str(found)


async def test_a_clock_that_is_off_is_told(tmp_path: Path) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(hours=2), usegmt=True)
    async with vendor('200 OK\n{"data": []}', Date=date) as base_url:
        found = await findings(one_vendor(tmp_path, base_url))

    assert found["clock"].verdict is WARNING
    assert found["clock"].found.endswith("s ahead of that of groq")


async def test_without_any_key_it_is_told_what_to_set(tmp_path: Path) -> None:
    found = await findings(Settings(home=tmp_path))

    assert found["providers"].verdict is FAILED
    assert "OPENAI_API_KEY" in found["providers"].advice


async def test_wrong_settings_are_a_finding_and_the_tools_are_still_checked() -> None:
    def wrong() -> Settings:
        raise ConfigurationError("Unknown setting X; it would have been ignored; did you mean Y?")

    found = {finding.check: finding for finding in await check_up(wrong, database_of)}

    assert (found["settings"].verdict, found["settings"].advice) == (FAILED, "did you mean Y?")
    assert {"home folder", "database", "providers", "node", "task master"} <= found.keys()


async def test_wrong_rows_of_the_catalog_are_a_finding_and_the_providers_are_still_checked(
    tmp_path: Path, providers: Providers
) -> None:
    found = await findings(settings_for(providers, tmp_path, catalog={"models": [{"provider": "groq"}]}))

    assert found["settings"].verdict is FAILED
    assert found["provider groq"].verdict is OK


async def test_a_check_that_never_ends_is_a_finding() -> None:
    never = threading.Event()
    try:
        (found,) = await bounded("disk", in_thread(never.wait), 0.05)  # type: ignore[arg-type]
    finally:
        never.set()

    assert found == Finding("disk", FAILED, "no result within 0.05 s", found.advice)


async def test_a_check_that_breaks_is_a_finding_without_the_fault_s_words() -> None:
    async def broken() -> Sequence[Finding]:
        raise RuntimeError(SECRET)

    (found,) = await bounded("disk", broken())

    assert found.verdict is FAILED
    assert "RuntimeError" in found.found
    assert SECRET not in str(found)


async def test_a_postgresql_database_is_told_without_its_password(
    tmp_path: Path, providers: Providers, postgres_url: str
) -> None:
    settings = settings_for(providers, tmp_path, database_url=postgres_url)
    empty = await findings(settings)
    async with open_app(settings):
        running = await findings(settings)

    assert empty["database"].found.endswith("is empty; filled at the first start")
    assert running["database"].verdict is OK
    assert f"revision {revisions()[-1]}, PostgreSQL " in running["database"].found
    assert running["clock"].found == "agrees with that of the database"
    assert str(urlsplit(postgres_url).password) not in f"{empty} {running}"


async def test_a_postgresql_server_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    async with vendor("") as base_url:
        port = urlsplit(base_url).port
    settings = Settings.model_validate({"home": tmp_path, "database_url": f"postgresql://me:secret@127.0.0.1:{port}/x"})
    found = await findings(settings)

    assert found["database"].verdict is FAILED
    assert "127.0.0.1" in found["database"].found
    assert "secret" not in str(found)
