"""Every environment variable, once: `VEL_TUTOR_*`, the providers' keys, then the TOML file, then defaults."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.models import LONGEST_ISSUER, MAX_USD

PREFIX = "VEL_TUTOR_"
TASK_MASTER = "task-master-mcp"
TOOLSETS = ("agents", "tasks", "workflows", "routing", "audit", "taskmaster", "dashboard")
_CATALOG = "catalog"
_KEY_FORM = r"[A-Za-z0-9+/_-]{43}="
_PRIVATE_WAY = r"(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)(/\S*)?"
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


class Settings(BaseSettings):
    """What an installation can be told.

    `home` holds the SQLite file, locks and logs. `config` is a TOML file with the same names in lower case, plus
    `[providers.<name>]` and `[[models]]` rows that add to or override the catalogue (`catalog`).
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    home: Path = Field(default_factory=_default_home)
    config: Path | None = None
    database_url: SecretStr | None = None
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "WARNING"
    log_format: Literal["text", "json"] = "text"
    local_base_url: str | None = None
    tasks_in_progress: Annotated[int, Field(ge=1, le=1000)] = 10
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = 100
    allow_unpriced: bool = False
    learned_routing: bool = True
    routing_weights: Path | None = None
    exploration: Annotated[float, Field(ge=0, le=0.2)] = 0.02
    budget_usd_day: Annotated[float | None, Field(gt=0, le=MAX_USD)] = None
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 5
    first_token_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 20
    reasoning_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 90
    between_tokens_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 15
    hedging: bool = False
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0
    tasks_per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 600
    public_url: str = "http://127.0.0.1:4000"
    oidc_issuer: str | None = None
    allowed_hosts: str = ""
    trusted_proxies: str = ""
    stateless: bool = False
    private_networks: str = ""
    toolsets: str = ""
    read_only: bool = False
    history_days: Annotated[int, Field(ge=1)] = 30
    secret_key: SecretStr | None = None
    task_master_command: str = TASK_MASTER
    audit_days: Annotated[int, Field(ge=1)] = 90
    audit_archive: Path | None = None
    audit_key: SecretStr | None = None
    audit_trusted_keys: str = ""

    openai_api_key: SecretStr | None = _variable("OPENAI_API_KEY")
    openai_base_url: str | None = _variable("OPENAI_BASE_URL")
    groq_api_key: SecretStr | None = _variable("GROQ_API_KEY")
    groq_base_url: str | None = _variable("GROQ_BASE_URL")
    perplexity_api_key: SecretStr | None = _variable("PERPLEXITY_API_KEY")
    perplexity_base_url: str | None = _variable("PERPLEXITY_BASE_URL")

    catalog: dict[str, Any] = Field(default_factory=dict, exclude=True)

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#@]+/?", url):
            raise ValueError("must be http:// or https:// and a host, without a path")
        return url.rstrip("/").lower()

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
        if url is not None and not re.fullmatch(r"https?://[^\s/]+\S*", url):
            raise ValueError("must start with http:// or https://")
        return url

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
        try:
            return home.expanduser().absolute()
        except RuntimeError:
            raise ValueError("names a user that does not exist") from None

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
