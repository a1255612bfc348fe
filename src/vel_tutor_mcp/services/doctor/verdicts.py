"""What the findings mean (pure): from what a probe saw to ok, warning or failed, and what to do about it."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path

from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.providers.visit import Visit
from vel_tutor_mcp.services.audit.keys import KEY_FILE, key_id
from vel_tutor_mcp.store.inspection import Contents
from vel_tutor_mcp.store.isolation import ROLE
from vel_tutor_mcp.store.schema import State, state_of
from vel_tutor_mcp.store.sqlite import NO_ROOM
from vel_tutor_mcp.taskmaster.child import INSTALL
from vel_tutor_mcp.tracing.wanted import Destination

OLDEST_NODE = 20
OLDEST_POSTGRESQL = 14
MOST_CLOCK_SECONDS = 60
LEAST_FREE, LITTLE_FREE = 10_000_000, 200_000_000

_OTHERS = 0o077
_READ_BY_GROUP, _READ_BY_ALL = 0o040, 0o004
_ENTERED_BY_GROUP, _ENTERED_BY_ALL = 0o010, 0o001
_ELSEWHERE = "choose another place with VEL_TUTOR_HOME or VEL_TUTOR_DATABASE_URL"
# By words of SQLite and the system. What is sound and cannot be read just now is not to be moved away.
_SOUND = {
    NO_ROOM: "make room on its disk; where there is room, look whether that disk is sound",
    ("database is locked",): "try again, and end the process that writes it if it does not let go",
    ("unable to open", "Permission denied"): "let the user of this process read and write it and its folder",
}
_NEEDS_MASTER = "only for work with Task Master's task lists"


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one check: what was found, and what to do about it."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it was found; `problem` says why it cannot be used, `mode` is None where the system has none."""

    path: Path
    exists: bool = True
    problem: str | None = None
    free_bytes: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file that others should not read, with its mode and its folder's."""

    path: Path
    mode: int
    folder_mode: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class Access:
    """How a provider is to be called; `variable` makes it usable, and `is_set` says that something was set for it."""

    name: str
    variable: str
    base_url: str
    key: str | None = None
    is_local: bool = False
    is_set: bool = False

    @property
    def is_used(self) -> bool:
        return self.key is not None or (self.is_local and self.is_set)

    @property
    def is_sendable(self) -> bool:
        return self.key is None or (self.key.isascii() and self.key.isprintable())


def ok(check: str, found: str) -> Finding:
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Verdict.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Verdict.FAILED, found, advice)


def worst(findings: Iterable[Finding]) -> Verdict:
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)


def of_error(check: str, problem: VelError) -> Finding:
    """Our sentences end with what to do."""
    found, _, advice = str(problem).rpartition("; ")
    return failed(check, found or advice, advice if found else "")


def of_folder(folder: Folder) -> Finding:
    check, place = "home folder", str(folder.path)
    if folder.problem:
        advice = "make it writable, or choose another one with VEL_TUTOR_HOME"
        return failed(check, f"{place} cannot be used: {folder.problem}", advice)
    free = folder.free_bytes
    room = "" if free is None else f", {in_words(free)} free"
    if free is not None and free < LITTLE_FREE:
        verdict = Verdict.FAILED if free < LEAST_FREE else Verdict.WARNING
        return Finding(check, verdict, f"{place}{room}", "make room on its disk")
    return ok(check, f"{place}{room}" if folder.exists else f"{place}{room}; made at the first start")


def of_modes(folder: Folder, files: Sequence[File]) -> list[Finding]:
    """Whether other users of this machine are kept out; nothing where the system has no modes, or there is nothing."""
    check = "file modes"
    if folder.mode is None and not files:
        return []
    if keys := [file for file in files if file.is_key and is_exposed(file)]:
        return [failed(check, f"other users can read the key {_names(keys)}", f"chmod 600 {_paths(keys)}")]
    if readable := [file for file in files if is_exposed(file)]:
        return [warning(check, f"other users can read {_names(readable)}", f"chmod 600 {_paths(readable)}")]
    if folder.mode is not None and folder.mode & _OTHERS:
        found = f"other users may use the home folder (mode {folder.mode:04o})"
        return [warning(check, found, f"chmod 700 {folder.path}")]
    return [ok(check, "other users are kept out")]


def is_exposed(file: File) -> bool:
    """Whether others can read the file: a closed folder keeps its files."""
    to_group = file.mode & _READ_BY_GROUP and file.folder_mode & _ENTERED_BY_GROUP
    to_all = file.mode & _READ_BY_ALL and file.folder_mode & _ENTERED_BY_ALL
    return bool(to_group or to_all)


def unreadable(place: str, problem: str) -> Finding:
    sound = (advice for words, advice in _SOUND.items() if any(word in problem for word in words))
    advice = next(sound, f"move it away, or {_ELSEWHERE}")
    return failed("database", f"{place} cannot be read: {problem}", advice)


def of_contents(place: str, contents: Contents, known: Sequence[str]) -> Finding:
    """A database that was reached. `known` are this version's revisions, oldest first."""
    check = "database"
    if contents.version is not None and contents.version < OLDEST_POSTGRESQL:
        found = f"{place} is PostgreSQL {contents.version}"
        return failed(check, found, f"use PostgreSQL {OLDEST_POSTGRESQL} or newer")
    if contents.damage:
        return failed(check, f"{place} is damaged: {contents.damage}", f"restore a backup, or {_ELSEWHERE}")
    if not contents.writable:
        return failed(check, f"{place} cannot be written", "make the file writable")
    return of_revision(place, contents, known) or _of_sound(place, contents)


def of_revision(place: str, contents: Contents, known: Sequence[str]) -> Finding | None:
    """What is to be said of the schema; None where it is this version's."""
    check, revision = "database", contents.revision
    match state_of(revision, contents.tables, known):
        case State.CURRENT:
            return None
        case State.BEHIND:
            found = f"{place} is of revision {revision}, this version's is {known[-1]}"
            return warning(check, found, "back it up: the next start upgrades it")
        case State.EMPTY:
            return ok(check, f"{place} is empty; filled at the first start")
        case State.NEWER:
            found = f"{place} is of revision {revision}, which a newer vel-tutor-mcp made; this one knows {known[-1]}"
            return failed(check, found, f"upgrade vel-tutor-mcp, or {_ELSEWHERE}")
        case State.FOREIGN:
            return failed(check, f"{place} holds tables that are not ours", _ELSEWHERE)


def _of_sound(place: str, contents: Contents) -> Finding:
    check = "database"
    if contents.journal not in {None, "wal"}:
        found = f"{place} has the journal mode {contents.journal}: readers and writers wait for each other"
        return warning(check, found, "put it on a disk of this machine, and start again: a start sets it to wal")
    if contents.isolated is False:
        found = f"{place}: its role goes around row-level security, so our own checks alone keep organisations apart"
        role = f"CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO {contents.role}"
        return warning(check, found, f"as its administrator: {role}; then start again; or use a role without BYPASSRLS")
    facts = [f"revision {contents.revision}"]
    if contents.version is not None:
        facts.append(f"PostgreSQL {contents.version}")
    if contents.journal:
        facts.append("too big for a quick check" if contents.unfinished else "sound")
    return ok(check, f"{place}: {', '.join(facts)}")


def of_sealed(keys: int, unopened: Sequence[str]) -> list[Finding]:
    """Whether what is sealed opens here; nothing where there is none. `unopened` says why, of each that does not."""
    check = "sealed keys"
    if not keys:
        return []
    if not unopened:
        return [ok(check, f"{keys} of integrations and webhooks, all open")]
    found, _, advice = unopened[0].rstrip(".").rpartition("; ")
    return [failed(check, f"{len(unopened)} of {keys}: {found}", advice)]


def of_signature(signer: str, known: Container[str]) -> list[Finding]:
    """Whether the public key that signed the audit trail last is one of those that count here."""
    check, told = "audit key", f"the last checkpoint is signed with the key {key_id(signer)}"
    if signer in known:
        return [ok(check, f"{told}, which is known here")]
    found = f"{told}, which this installation does not have: it signs nothing, and that checkpoint is told as forged"
    own = f"set VEL_TUTOR_AUDIT_KEY to that key, or put it into {KEY_FILE} in VEL_TUTOR_HOME"
    return [warning(check, found, f"{own}; if it was yours and is lost, VEL_TUTOR_AUDIT_TRUSTED_KEYS={signer}")]


def of_providers(providers: Sequence[Access]) -> list[Finding]:
    """Nothing where there is one to call."""
    if any(provider.is_used for provider in providers):
        return []
    variables = [provider.variable for provider in providers]
    return [failed("providers", "none has a key, so no task can be answered", f"set one of {', '.join(variables)}")]


def of_provider(provider: Access, visit: Visit | None) -> Finding:
    """One provider; `visit` is None where it was not called."""
    check, key = f"provider {provider.name}", _key_advice(provider)
    if not provider.is_sendable:
        return failed(check, "its key holds a character that no key can hold", key)
    if visit is None:
        return ok(check, f"not used: {provider.variable} is not set")
    if visit.problem:
        return failed(check, f"it cannot be reached: {visit.problem}", _address_advice(provider))
    return _of_answer(check, provider, visit)


def _of_answer(check: str, provider: Access, visit: Visit) -> Finding:
    answered, address = f"it answered {visit.status}", _address_advice(provider)
    match visit.status:
        case HTTPStatus.OK if visit.models is None:
            found = failed(check, "its answer is no list of models", address)
        case HTTPStatus.OK if not visit.models and provider.is_local:
            found = warning(check, "it has no model", "load one into the local server")
        case HTTPStatus.OK:
            models = "1 model" if visit.models == 1 else f"{visit.models} models"
            found = ok(check, f"answers in {visit.seconds:.2f} s, {models}")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            found = failed(check, f"it refuses the key ({visit.status})", _key_advice(provider))
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED if provider.is_local:
            found = warning(check, f"{answered} to the question for its models", address)
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:  # Perplexity has no such list
            found = ok(check, "reachable; it lists no models, so the key was not tried")
        case HTTPStatus.PAYMENT_REQUIRED | HTTPStatus.TOO_MANY_REQUESTS:
            found = warning(check, f"{answered}: its rate limit or credit is used up", "wait, or look at its account")
        case _:
            found = failed(check, answered, "try later; until then other providers take its place")
    return found


def _key_advice(provider: Access) -> str:
    return f"set {provider.variable} anew"


def _address_advice(provider: Access) -> str:
    if provider.is_local:
        return f"start the local server, or correct {provider.variable}: it mostly ends in /v1"
    return "check the network, the proxy and the provider's base URL"


def of_clocks(ahead: Mapping[str, float]) -> Finding:
    """`ahead` holds by how many seconds others' clocks are ahead of this machine's."""
    check = "clock"
    if not ahead:
        return ok(check, "not compared: nobody else's clock was reached")
    other, seconds = max(ahead.items(), key=lambda pair: abs(pair[1]))
    if abs(seconds) > MOST_CLOCK_SECONDS:
        direction = "behind" if seconds > 0 else "ahead of"
        found = f"{abs(seconds):.0f} s {direction} that of {other}"
        return warning(check, found, "let this machine set its clock by the network (NTP)")
    return ok(check, f"agrees with that of {', '.join(sorted(ahead))}")


def of_node(version: str | None) -> Finding:
    """`version` as node tells it, None where there is no node that runs."""
    check, wanted = "node", f"install Node.js {OLDEST_NODE} or newer, needed {_NEEDS_MASTER}"
    if version is None:
        return warning(check, "not found on the PATH", wanted)
    told = re.match(r"v?(\d+)\.[\d.]+", version)
    if told is None:
        return warning(check, "it does not tell its version", wanted)
    if int(told[1]) < OLDEST_NODE:
        return warning(check, f"{told[0]} is too old", wanted)
    return ok(check, told[0])


def of_task_master(path: str | None) -> Finding:
    if path is None:
        advice = f"{INSTALL}, needed {_NEEDS_MASTER}"
        return warning("task master", "not found on the PATH", advice)
    return ok("task master", path)


def of_traces(asked: Destination, *, taken: bool) -> Finding:
    """`taken`: the collector takes what is sent, where something is sent at all."""
    check = "traces"
    if asked.advice:
        return warning(check, f"cannot be exported: {asked.why}", asked.advice)
    if asked.endpoint is None:
        return ok(check, f"off: {asked.why}")
    if not taken:
        found = f"exported to {asked.endpoint}, which does not take them"
        return warning(check, found, "look whether the collector runs, and at the OTEL_ variables")
    return ok(check, f"exported to {asked.endpoint}")


def in_words(size: int) -> str:
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB")):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size / 1000:.0f} kB"


def _names(files: Sequence[File]) -> str:
    return ", ".join(file.path.name for file in files)


def _paths(files: Sequence[File]) -> str:
    return " ".join(str(file.path) for file in files)
