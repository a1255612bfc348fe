"""Every environment variable, once: `VEL_TUTOR_*`, the providers' keys, then the TOML file, then defaults."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.models import LONGEST_ISSUER, MAX_USD

PREFIX = "VEL_TUTOR_"
TASK_MASTER = "task-master-mcp"
TOOLSETS = ("agents", "tasks", "workflows", "routing", "audit", "taskmaster", "dashboard")
_CATALOG = "catalog"
# 32 bytes in base64: 43 characters and one that fills up.
_KEY_FORM = r"[A-Za-z0-9+/_-]{43}="
_PRIVATE_WAY = r"(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)(/\S*)?"
# In days. Dates much further back do not exist: what reckons with them would fail.
_A_CENTURY = 36_500
_NOT_ASCII = "must have hosts as they are sent, in ASCII, such as xn--e1afmkfd.example"
_ROUTING_TABLES = frozenset({"providers", "models"})


def _default_home() -> Path:
    try:
        home = Path(platformdirs.user_data_dir("vel-tutor-mcp", appauthor=False))
    except RuntimeError:  # a container's user without a name, and HOME is not set
        raise ConfigurationError(
            "There is no folder for the database and keys; this user has no home folder; set VEL_TUTOR_HOME to one "
            "that they can write to."
        ) from None
    if home.is_absolute():
        return home
    # An empty HOME makes every per-user folder relative: fall back to what the system says of this user.
    return Path(os.path.expanduser(f"~{user_name()}")) / ".local" / "share" / "vel-tutor-mcp"  # noqa: PTH111 - `~name` form


def user_name() -> str:
    """What the operating system calls this user; a container may run one without a name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"


def _variable(name: str) -> Any:
    """A setting with a variable name of its own; the file has it in lower case."""
    return Field(default=None, validation_alias=AliasChoices(name, name.lower()))


def base_url(url: str) -> str:
    """A URL below which a provider is called.

    Raises:
        ValueError: it is none.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
    except ValueError:  # of a port above 65535, or of half an IPv6 address
        whole = False
    if not whole or re.search(r"[\s?#]", url):
        raise ValueError("must be http:// or https:// with a host and a port that exists, without ? and #")
    return url


class Settings(BaseSettings):
    """What an installation can be told: docs/reference/settings.md has the text behind each.

    `catalog` has the `[providers.<name>]` and `[[models]]` rows of the TOML file.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Path = Field(default_factory=_default_home)
    """Folder of the SQLite file, keys, and locks of running processes; left out: the platform's data folder."""
    config: Path | None = None
    """A TOML file with settings, and rows for providers and models (docs/settings.md)."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host/name`, the password percent-encoded, with libpq's parameters for TLS, such as
    `?sslmode=require`; or `sqlite:////absolute/path.db`; left out: `vel-tutor.db` in the home (docs/deploy.md)."""
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    """`NORMAL`: a crash of the process loses nothing, a power cut may lose the last commits; `FULL`: neither does."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "WARNING"
    """Of the log on stderr."""
    log_format: Literal["text", "json"] = "text"
    """`json`: each line on stderr is one object, with the ids of what it is about (docs/observability.md#logs)."""
    local_base_url: str | None = None
    """A local OpenAI-compatible server; its models are found by asking it, and cost nothing."""
    tasks_in_progress: Annotated[int, Field(ge=1, le=1000)] = 10
    """Tasks of one user at once, in all processes on the database together, which must all have the same value; the
    others wait, by priority then age."""
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Tasks that this process runs at once; its free places go to the user with the fewest in progress; 0 leaves all to
    other processes on the database."""
    allow_unpriced: bool = False
    """Use models without a known price; they count as 0."""
    learned_routing: bool = True
    """Read a prompt, its task type and how hard it is, by the weights that come with the program
    (docs/routing.md#task-type); with false by the rules alone."""
    routing_weights: Path | None = None
    """A file of your own from `route train`; one that cannot be used is told in the log, and routing goes on without
    it."""
    exploration: Annotated[float, Field(ge=0, le=0.2)] = 0.02
    """The share of tasks for which a model that may be better than believed is asked first (docs/routing.md#learning);
    never where an agent's policy is `fixed` or it names a model for the task type."""
    budget_usd_day: Annotated[float | None, Field(gt=0, le=MAX_USD)] = None
    """A hard budget in US dollars for each day (UTC) of the organisation, beside those of `budget set`; it holds for
    the calls of the processes that have it, so give it to all of them."""
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 5
    """Until a provider accepts the connection."""
    first_token_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 20
    """Until the first token."""
    reasoning_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 90
    """Until the first token of models that reason first: five times what their answer is expected to take, at most this
    and at least the one above."""
    between_tokens_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 15
    """Between two tokens."""
    hedging: bool = False
    """Ask a second provider where a model's first token is later than nine of ten of its own lately; both are paid for;
    at most one in ten requests (docs/routing.md#resilience)."""
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0
    """How long running calls may go on when the process is stopped; what is cut is repeated by another one, or at the
    next start."""
    tasks_per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """Tasks that a user may submit over REST and `/v1` in an hour of the clock, all processes together; 0: no limit
    (docs/rest.md#limits)."""
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    """Their other requests in a minute, likewise."""
    public_url: str = "http://127.0.0.1:4000"
    """How clients reach the server over HTTP, without a path: tokens are good at this address alone
    (docs/accounts.md)."""
    oidc_issuer: str | None = None
    """An OpenID Connect provider whose access tokens are good for the accounts that are linked with it, as its own
    document writes `issuer`; https://, or http:// on this machine (docs/accounts.md#an-outside-issuer)."""
    client_documents: bool = True
    """Clients that sign in may be known by a document on their own site; with false they register themselves instead,
    as is needed where the server cannot reach such sites directly (docs/sign-in.md#what-is-spoken)."""
    allowed_hosts: str = ""
    """Further names by which clients ask for the server, with commas between."""
    trusted_proxies: str = ""
    """Addresses or networks of proxies, with commas between, whose `X-Forwarded-For` tells from where a request
    comes."""
    stateless: bool = False
    """Clients of the older protocol have no session over HTTP, so that any server behind a balancer may answer each of
    their requests (docs/deploy.md#several-servers-behind-a-balancer); they are then asked and told nothing but what
    they call for."""
    private_networks: str = ""
    """Networks, with commas between, that users' own base URLs and webhooks may lead to though they are not public,
    also with http:// (docs/integrations.md#where-a-url-of-yours-may-lead)."""
    toolsets: str = ""
    """Which are offered over MCP, with commas between: `agents`, `tasks`, `workflows`, `routing`, `audit`,
    `taskmaster`, `dashboard`; left out: all (docs/settings.md#what-is-offered-over-mcp)."""
    read_only: bool = False
    """Offer over MCP only the tools that change nothing."""
    history_days: Annotated[int, Field(ge=1, le=_A_CENTURY)] = 30
    """How long the engine's own records of ended work are kept; tasks are kept always."""
    secret_key: SecretStr | None = None
    """What seals stored keys, secrets of webhooks, and the state of a question while a client has it: 32 random bytes
    in base64, or several with commas between, of which the first seals and every one opens; all processes on a database
    need the same; left out: `secret.key` in the home (docs/integrations.md#the-secret-key)."""
    task_master_command: str = TASK_MASTER
    """How Task Master's MCP server is started: a command on the PATH, or an absolute path, with its arguments
    (docs/task-master.md)."""
    audit_days: Annotated[int, Field(ge=1, le=_A_CENTURY)] = 90
    """How long audit entries stay in the database; older ones go to the archives (docs/audit.md#retention)."""
    audit_archive: Path | None = None
    """The folder for those archives, one that lasts, by its absolute path; left out: `audit` in the home, with
    PostgreSQL none, and nothing is archived."""
    audit_key: SecretStr | None = None
    """64 hexadecimal digits: the key that signs the audit trail; processes on one PostgreSQL must all have the same;
    left out: `audit.key` in the home (docs/audit.md#keys)."""
    audit_trusted_keys: str = ""
    """Public keys, with commas between, whose signatures of the audit trail count as well, such as an earlier one of
    yours; `audit key` prints them."""

    openai_api_key: SecretStr | None = _variable("OPENAI_API_KEY")
    """Without it OpenAI is not used."""
    openai_base_url: str | None = _variable("OPENAI_BASE_URL")
    """Another server that speaks OpenAI's wire."""
    groq_api_key: SecretStr | None = _variable("GROQ_API_KEY")
    """Without it Groq is not used."""
    groq_base_url: str | None = _variable("GROQ_BASE_URL")
    """Another server that speaks Groq's wire."""
    perplexity_api_key: SecretStr | None = _variable("PERPLEXITY_API_KEY")
    """Without it Perplexity is not used."""
    perplexity_base_url: str | None = _variable("PERPLEXITY_BASE_URL")
    """Another server that speaks Perplexity's wire."""

    catalog: dict[str, Any] = Field(default_factory=dict, exclude=True)

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#@]+/?", url):
            raise ValueError("must be http:// or https:// and a host, without a path")
        if not url.isascii():
            raise ValueError(_NOT_ASCII)
        url = url.rstrip("/").lower()
        # Browsers leave it out of the origin that they name.
        return url.removesuffix(":443" if url.startswith("https:") else ":80")

    @field_validator("oidc_issuer")
    @classmethod
    def _is_issuer(cls, url: str | None) -> str | None:
        if url is not None and (not is_private_way(url) or len(url) > LONGEST_ISSUER or set("?#") & set(url)):
            raise ValueError(
                "must be https:// (http:// only on this machine), as the issuer's own document has it, without ? and #"
            )
        return url

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, names: str) -> str:
        if not all(re.fullmatch(r"[^\s/:*]+|\[[0-9a-fA-F:.]+\]", name) for name in parts_of(names)):
            raise ValueError("must be names of hosts with commas between, without scheme, port and path")
        if not names.isascii():
            raise ValueError(_NOT_ASCII)
        return names.lower()

    @field_validator("toolsets")
    @classmethod
    def _are_toolsets(cls, names: str) -> str:
        if not set(parts_of(names.lower())) <= set(TOOLSETS):
            raise ValueError(f"must be names with commas between, out of {', '.join(TOOLSETS)}")
        return names.lower()

    @field_validator("trusted_proxies", "private_networks")
    @classmethod
    def _are_networks(cls, addresses: str) -> str:
        try:
            for address in parts_of(addresses):
                ipaddress.ip_network(address)
        except ValueError:
            raise ValueError("must be addresses or networks with commas between") from None
        return addresses

    @field_validator("openai_base_url", "groq_base_url", "perplexity_base_url", "local_base_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return None if url is None else base_url(url)

    @field_validator("secret_key")
    @classmethod
    def _are_secret_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None and not re.fullmatch(rf"\s*{_KEY_FORM}(\s*,\s*{_KEY_FORM})*\s*", keys.get_secret_value()):
            raise ValueError("must be keys of 32 random bytes in base64, with commas between")
        return keys

    @field_validator("audit_key", "audit_trusted_keys")
    @classmethod
    def _is_hexadecimal(cls, keys: SecretStr | str | None) -> SecretStr | str | None:
        text = keys.get_secret_value() if isinstance(keys, SecretStr) else keys or ""
        if not all(re.fullmatch(r"\s*[0-9a-fA-F]{64}\s*", key) for key in filter(None, text.split(","))):
            raise ValueError("a key has 64 hexadecimal digits")
        return keys

    @field_validator("home")
    @classmethod
    def _is_absolute(cls, home: Path) -> Path:
        return _expanded(home).absolute()

    @field_validator("audit_archive")
    @classmethod
    def _is_one_folder(cls, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        folder = _expanded(folder)
        # A relative one would be another one wherever a process is started: the trail would be scattered.
        if not folder.is_absolute():
            raise ValueError("must be an absolute path, or begin with ~")
        return folder

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base's signature, as are the next ones
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment above the TOML file, which arrives as init arguments.
        return env_settings, init_settings

    def key_of(self, provider: str, variable: str) -> str | None:
        """The provider's API key, None where it has none; a provider of the user's own has it in `variable`."""
        if provider == "local":
            return None
        if f"{provider}_api_key" not in type(self).model_fields:
            return os.environ.get(variable) or None
        secret: SecretStr | None = getattr(self, f"{provider}_api_key")
        return secret.get_secret_value() if secret is not None else None

    def base_url_of(self, provider: str) -> str | None:
        """The base URL set for the provider, None where its own is to be used."""
        url: str | None = getattr(self, f"{provider}_base_url", None)
        return url


def _expanded(path: Path) -> Path:
    name = str(path)
    if "\0" in name or name != name.encode(errors="replace").decode():
        raise ValueError("must be a path in UTF-8")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("names a user that does not exist") from None


def is_private_way(url: str) -> bool:
    """Whether nobody on the way can change what is answered there."""
    return bool(re.fullmatch(_PRIVATE_WAY, url))


def parts_of(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: a `VEL_TUTOR_*` name is unknown, a value is bad, or the TOML file cannot be read.
    """
    # pydantic-settings reads names in any case, so what is refused as unknown is looked up likewise.
    environment = {name.upper(): value for name, value in os.environ.items()}
    _refuse_unknown_names(environment)
    try:
        return Settings(**_file_values(environment.get(f"{PREFIX}CONFIG")))
    except ValidationError as problem:
        raise ConfigurationError(_bad_value_sentence(problem)) from None


def _known_names() -> list[str]:
    own = [name for name, row in Settings.model_fields.items() if row.validation_alias is None and name != _CATALOG]
    return sorted(f"{PREFIX}{name.upper()}" for name in own)


def _refuse_unknown_names(environment: Mapping[str, str]) -> None:
    known = _known_names()
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            raise _unknown(name, name, known)


def _unknown(shown: str, name: str, known: list[str]) -> ConfigurationError:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known names: {', '.join(known)}."
    return ConfigurationError(f"Unknown setting {shown}; it would have been ignored; {hint}")


def _file_values(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        # Notepad begins its files with a byte order mark.
        values = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except (OSError, RuntimeError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise ConfigurationError(
            f"Cannot read the configuration file {path}; {problem}; correct it or unset {PREFIX}CONFIG."
        ) from None
    catalog = {name: values.pop(name) for name in _ROUTING_TABLES & values.keys()}
    known = sorted(Settings.model_fields.keys() - {_CATALOG, "config"})
    for name in values:
        if name not in known:
            raise _unknown(f"{name} in {path}", name.lower().removeprefix(PREFIX.lower()), known)
    return values | ({_CATALOG: catalog} if catalog else {})


def _bad_value_sentence(problem: ValidationError) -> str:
    first = problem.errors(include_input=False, include_url=False)[0]
    place = str(first["loc"][0]) if first["loc"] else "configuration"
    name = place if place.isupper() else f"{PREFIX}{place.upper()}"
    message = first["msg"].removeprefix("Value error, ")
    return f"Bad value for {name}; {message}; correct it in the environment or the configuration file."
