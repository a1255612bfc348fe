"""What the doctor concludes from what it saw."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vel_tutor_mcp.errors import ConfigurationError, Unavailable
from vel_tutor_mcp.providers.visit import Visit, seconds_ahead
from vel_tutor_mcp.services.doctor import verdicts
from vel_tutor_mcp.services.doctor.verdicts import Access, File, Finding, Folder, Verdict
from vel_tutor_mcp.store.inspection import Contents

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
HOME = Path("home")
KNOWN = ["0001", "0002"]
GB = 1_000_000_000


@pytest.mark.parametrize(
    ("folder", "verdict", "found"),
    [
        (Folder(HOME, free_bytes=12 * GB, mode=0o700), OK, "home, 12.0 GB free"),
        (Folder(HOME, exists=False, free_bytes=3000 * GB), OK, "home, 3.0 TB free; made at the first start"),
        (Folder(HOME, free_bytes=150_000_000), WARNING, "home, 150.0 MB free"),
        (Folder(HOME, free_bytes=5000), FAILED, "home, 5 kB free"),
        (Folder(HOME, problem="Permission denied"), FAILED, "home cannot be used: Permission denied"),
    ],
)
def test_the_home_folder(folder: Folder, verdict: Verdict, found: str) -> None:
    told = verdicts.of_folder(folder)
    assert (told.verdict, told.found) == (verdict, found)
    assert bool(told.advice) == (verdict is not OK)


@pytest.mark.parametrize(
    ("mode", "folder_mode", "exposed"),
    [
        (0o644, 0o700, False),
        (0o600, 0o755, False),
        (0o640, 0o701, False),
        (0o604, 0o710, False),
        (0o640, 0o710, True),
        (0o604, 0o701, True),
        (0o666, 0o777, True),
    ],
)
def test_a_closed_folder_keeps_its_files(mode: int, folder_mode: int, exposed: bool) -> None:
    assert verdicts.is_exposed(File(Path("f"), mode, folder_mode, is_key=False)) is exposed


@pytest.mark.parametrize(
    ("folder_mode", "files", "expected"),
    [
        (0o700, [("vel-tutor.db", 0o644, False), ("audit.key", 0o600, True)], (OK, "")),
        (0o755, [("vel-tutor.db", 0o600, False)], (WARNING, "chmod 700 home")),
        (0o755, [("vel-tutor.db", 0o644, False)], (WARNING, "chmod 600 vel-tutor.db")),
        (0o755, [("vel-tutor.db", 0o644, False), ("audit.key", 0o644, True)], (FAILED, "chmod 600 audit.key")),
    ],
)
def test_file_modes(folder_mode: int, files: list[tuple[str, int, bool]], expected: tuple[Verdict, str]) -> None:
    seen = [File(Path(name), mode, folder_mode, is_key) for name, mode, is_key in files]
    (told,) = verdicts.of_modes(Folder(HOME, mode=folder_mode), seen)
    assert (told.verdict, told.advice) == expected


def test_nothing_is_said_of_modes_where_there_are_none() -> None:
    assert verdicts.of_modes(Folder(HOME), []) == []


@pytest.mark.parametrize(
    ("contents", "verdict", "found"),
    [
        (Contents("0002", 9, journal="wal"), OK, "the database: revision 0002, sound"),
        (Contents("0002", 9, journal="wal", unfinished=True), OK, "too big for a quick check"),
        (Contents("0002", 9, version=14), OK, "revision 0002, PostgreSQL 14"),
        (Contents(None, 0, journal="delete"), OK, "is empty; filled at the first start"),
        (Contents(None, 0, version=17), OK, "is empty"),
        (Contents("0001", 9, journal="wal"), WARNING, "revision 0001, this version's is 0002"),
        (Contents("0002", 9, journal="delete"), WARNING, "journal mode delete"),
        (Contents("0003", 9, journal="wal"), FAILED, "0003, which a newer vel-tutor-mcp made"),
        (Contents("1a2b3c4d", 9, version=16), FAILED, "tables that are not ours"),
        (Contents("99", 9, version=16), FAILED, "tables that are not ours"),
        (Contents(None, 3, journal="wal"), FAILED, "tables that are not ours"),
        (Contents("0002", 9, "row 7 missing", journal="wal"), FAILED, "is damaged: row 7 missing"),
        (Contents("0002", 9, journal="wal", writable=False), FAILED, "cannot be written"),
        (Contents("0002", 9, version=13), FAILED, "is PostgreSQL 13"),
    ],
)
def test_the_database(contents: Contents, verdict: Verdict, found: str) -> None:
    told = verdicts.of_contents("the database", contents, KNOWN)
    assert told.verdict is verdict
    assert found in told.found
    assert bool(told.advice) == (verdict is not OK)


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        ("file is not a database", "move it away"),
        ("database disk image is malformed", "move it away"),
        ("[Errno 21] Is a directory: 'vel-tutor.db'", "move it away"),
        ("disk I/O error", "make room"),
        ("database or disk is full", "make room"),
        ("database is locked", "try again"),
        ("unable to open database file", "let the user of this process"),
        ("[Errno 13] Permission denied: 'vel-tutor.db'", "let the user of this process"),
    ],
)
def test_only_what_is_no_sound_database_is_to_be_moved_away(problem: str, advice: str) -> None:
    told = verdicts.unreadable("the database", problem)
    assert (told.verdict, told.found) == (FAILED, f"the database cannot be read: {problem}")
    assert told.advice.startswith(advice)


GROQ = Access("groq", "GROQ_API_KEY", "https://groq.example/v1", "gsk-1", is_set=True)
LOCAL = Access("local", "VEL_TUTOR_LOCAL_BASE_URL", "http://127.0.0.1:1/v1", is_local=True, is_set=True)


@pytest.mark.parametrize(
    ("provider", "visit", "verdict", "told"),
    [
        (GROQ, Visit(status=200, models=2, seconds=0.25), OK, "answers in 0.25 s, 2 models"),
        (GROQ, Visit(status=200, models=1), OK, "1 model"),
        (GROQ, Visit(status=404), OK, "the key was not tried"),
        (GROQ, Visit(status=429), WARNING, "its account"),
        (GROQ, Visit(status=402), WARNING, "credit"),
        (GROQ, Visit(status=401), FAILED, "set GROQ_API_KEY anew"),
        (GROQ, Visit(status=403), FAILED, "set GROQ_API_KEY anew"),
        (GROQ, Visit(status=400), FAILED, "it answered 400"),
        (GROQ, Visit(status=503), FAILED, "it answered 503"),
        (GROQ, Visit(status=200), FAILED, "no list of models"),
        (GROQ, Visit(problem="no answer within 5 s"), FAILED, "cannot be reached: no answer within 5 s"),
        (LOCAL, Visit(status=200, models=3), OK, "3 models"),
        (LOCAL, Visit(status=200, models=0), WARNING, "load one"),
        (LOCAL, Visit(status=404), WARNING, "VEL_TUTOR_LOCAL_BASE_URL"),
        (LOCAL, Visit(problem="refused"), FAILED, "start the local server"),
        (Access("openai", "OPENAI_API_KEY", "https://x.example"), None, OK, "not used: OPENAI_API_KEY is not set"),
        (Access("groq", "GROQ_API_KEY", "https://x.example", "kéy"), None, FAILED, "no key can hold"),
    ],
)
def test_a_provider(provider: Access, visit: Visit | None, verdict: Verdict, told: str) -> None:
    finding = verdicts.of_provider(provider, visit)
    assert finding.verdict is verdict
    assert told in f"{finding.found} {finding.advice}"
    assert provider.key is None or provider.key not in f"{finding.found} {finding.advice}"


def test_without_any_usable_provider_no_task_can_be_answered() -> None:
    unused = [Access(name, f"{name}_KEY", "https://x.example") for name in ("a", "b")]
    (told,) = verdicts.of_providers(unused)
    assert (told.verdict, told.advice) == (FAILED, "set one of a_KEY, b_KEY")
    assert verdicts.of_providers([*unused, LOCAL]) == []
    # An address alone makes only a local server usable.
    assert verdicts.of_providers([Access("a", "a_KEY", "https://x.example", is_set=True)]) != []


@pytest.mark.parametrize(
    ("ahead", "verdict", "found"),
    [
        ({}, OK, "not compared: nobody else's clock was reached"),
        ({"groq": 59.0, "the database": -1.0}, OK, "agrees with that of groq, the database"),
        ({"groq": 1.0, "the database": 61.0}, WARNING, "61 s behind that of the database"),
        ({"groq": -3600.0}, WARNING, "3600 s ahead of that of groq"),
    ],
)
def test_the_clock(ahead: dict[str, float], verdict: Verdict, found: str) -> None:
    told = verdicts.of_clocks(ahead)
    assert (told.verdict, told.found) == (verdict, found)


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 11:59:00 -0000", -60),
        ("Mon, 23 Nov 2026 13:00:00 +0100", 0),
        ("yesterday", None),
        ("Mon, 23 Nov 2026 12:00:00 +99999999999999", None),
        ("", None),
    ],
)
def test_a_date_header_tells_how_far_its_clock_is_ahead(date: str, ahead: float | None) -> None:
    assert seconds_ahead(date, datetime(2026, 11, 23, 12, tzinfo=UTC)) == ahead


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("v20.0.0", OK), ("v24.1.0", OK), ("v18.20.4", WARNING), ("hello", WARNING), (None, WARNING)],
)
def test_node(version: str | None, verdict: Verdict) -> None:
    assert verdicts.of_node(version).verdict is verdict


@pytest.mark.parametrize(("path", "verdict"), [("/bin/task-master", OK), (None, WARNING)])
def test_task_master(path: str | None, verdict: Verdict) -> None:
    assert verdicts.of_task_master(path).verdict is verdict


@pytest.mark.parametrize(
    ("problem", "found", "advice"),
    [
        (ConfigurationError("A; b; do c."), "A; b", "do c."),
        (Unavailable("All is lost."), "All is lost.", ""),
    ],
)
def test_an_error_is_divided_into_what_was_found_and_what_to_do(
    problem: ConfigurationError | Unavailable, found: str, advice: str
) -> None:
    assert verdicts.of_error("x", problem) == Finding("x", FAILED, found, advice)


@pytest.mark.parametrize(
    ("found", "worst"), [([], OK), ([OK, WARNING], WARNING), ([FAILED, OK], FAILED), ([WARNING, FAILED], FAILED)]
)
def test_the_worst_verdict_is_that_of_all(found: list[Verdict], worst: Verdict) -> None:
    assert verdicts.worst(Finding("x", verdict, "") for verdict in found) is worst
