"""What a process is told: the environment above the TOML file above the defaults, and no name that would be ignored."""

from pathlib import Path
from typing import Any, Protocol

import pytest

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.settings import Settings, load_settings
from vel_tutor_mcp.store.places import database_at

SECRETS = {
    "OPENAI_API_KEY": "sk-not-to-be-shown",
    "VEL_TUTOR_DATABASE_URL": "sqlite:////not-to-be-shown.db",
}


class Load(Protocol):
    def __call__(self, toml: str | None = None, **environment: str) -> Settings: ...


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads settings from environment variables and, where `toml` is given, a file of that text."""

    def loaded(toml: str | None = None, **environment: str) -> Settings:
        if toml is not None:
            file = tmp_path / "vel-tutor.toml"
            file.write_text(toml, encoding="utf-8")
            environment["VEL_TUTOR_CONFIG"] = str(file)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return loaded


def refusal(load: Load, toml: str | None = None, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(toml, **environment)
    return str(refused.value)


def test_nothing_set_gives_the_defaults(load: Load) -> None:
    settings = load()
    assert settings.home.is_absolute()
    assert (settings.log_level, settings.tasks_in_progress, settings.drain_seconds) == ("WARNING", 10, 0)
    assert (settings.openai_api_key, settings.database_url, settings.catalog) == (None, None, {})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("VEL_TUTOR_HOEM", "VEL_TUTOR_HOME"),
        ("VEL_TUTOR_LOGLEVEL", "VEL_TUTOR_LOG_LEVEL"),
        ("VEL_TUTOR_HISTORY_DAY", "VEL_TUTOR_HISTORY_DAYS"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(load: Load, name: str, meant: str) -> None:
    assert refusal(load, **{name: "1"}) == (
        f"Unknown setting {name}; it would have been ignored; did you mean {meant}?"
    )


def test_an_unknown_name_like_no_other_is_refused_with_all_there_are(load: Load) -> None:
    sentence = refusal(load, VEL_TUTOR_QQQQQQQQQQ="1")
    assert "Unknown setting VEL_TUTOR_QQQQQQQQQQ" in sentence
    assert "known names: VEL_TUTOR_ALLOWED_HOSTS" in sentence


@pytest.mark.parametrize("name", ["VEL_TUTOR_CATALOG", "VEL_TUTOR_CATALOGUE"])
def test_a_refused_name_is_never_what_was_meant(load: Load, name: str) -> None:
    assert "VEL_TUTOR_CATALOG?" not in refusal(load, **{name: "{}"})


def test_an_unknown_name_is_refused_in_any_case(load: Load) -> None:
    assert "did you mean VEL_TUTOR_HOME?" in refusal(load, vel_tutor_hoem="1")


def test_an_unknown_name_in_the_file_is_refused_with_the_file(load: Load, tmp_path: Path) -> None:
    sentence = refusal(load, "tasks_in_progres = 3")
    assert sentence.startswith(f"Unknown setting tasks_in_progres in {tmp_path / 'vel-tutor.toml'}; ")
    assert "tasks_in_progress?" in sentence.lower()


@pytest.mark.parametrize(("name", "meant"), [("tasks_in_progres", "tasks_in_progress"), ("VEL_TUTOR_HOME", "home")])
def test_what_was_meant_in_the_file_is_spelt_as_the_file_takes_it(load: Load, name: str, meant: str) -> None:
    assert refusal(load, f'{name} = "3"').endswith(f"did you mean {meant}?")


def test_the_file_may_set_the_address_and_key_of_a_provider(load: Load) -> None:
    settings = load('groq_base_url = "http://127.0.0.1:1/v1"\ngroq_api_key = "gsk-1"')
    assert (settings.base_url_of("groq"), settings.key_of("groq", "GROQ_API_KEY")) == ("http://127.0.0.1:1/v1", "gsk-1")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("VEL_TUTOR_TASKS_IN_PROGRESS", "none", "Input should be a valid integer"),
        ("VEL_TUTOR_TASKS_IN_PROGRESS", "0", "Input should be greater than or equal to 1"),
        ("VEL_TUTOR_TASKS_IN_PROGRESS", "1001", "Input should be less than or equal to 1000"),
        ("VEL_TUTOR_CONNECT_TIMEOUT_SECONDS", "0", "Input should be greater than 0"),
        ("VEL_TUTOR_CONNECT_TIMEOUT_SECONDS", "nan", "Input should be less than or equal to 600"),
        ("VEL_TUTOR_DRAIN_SECONDS", "inf", "Input should be less than or equal to 600"),
        ("VEL_TUTOR_HISTORY_DAYS", "0", "Input should be greater than or equal to 1"),
        ("VEL_TUTOR_HISTORY_DAYS", "36501", "Input should be less than or equal to 36500"),
        ("VEL_TUTOR_AUDIT_DAYS", "99999999999", "Input should be less than or equal to 36500"),
        ("VEL_TUTOR_AUDIT_ARCHIVE", "archives", "must be an absolute path, or begin with ~"),
        ("VEL_TUTOR_LOG_LEVEL", "loud", "Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        ("VEL_TUTOR_SQLITE_SYNCHRONOUS", "OFF", "Input should be 'NORMAL' or 'FULL'"),
        ("VEL_TUTOR_ALLOW_UNPRICED", "maybe", "Input should be a valid boolean"),
        ("VEL_TUTOR_LOCAL_BASE_URL", "localhost:11434", "must be http:// or https:// with a host"),
        ("OPENAI_BASE_URL", "ftp://example.org", "must be http:// or https:// with a host"),
        ("GROQ_BASE_URL", "https://", "must be http:// or https:// with a host"),
        (
            "GROQ_BASE_URL",
            "http://127.0.0.1:99999/v1",
            "must be http:// or https:// with a host and a port that exists",
        ),
        ("GROQ_BASE_URL", "http://[::1/v1", "must be http:// or https:// with a host"),
        (
            "GROQ_BASE_URL",
            "https://g.example/v1?a=b",
            "must be http:// or https:// with a host and a port that exists, ",
        ),
        ("VEL_TUTOR_PUBLIC_URL", "tutor.example", "must be http:// or https:// and a host, without a path"),
        ("VEL_TUTOR_PUBLIC_URL", "https://tutor.example/mcp", "must be http:// or https:// and a host, without a path"),
        ("VEL_TUTOR_PUBLIC_URL", "https://пример.рф", "must have hosts as they are sent, in ASCII"),
        ("VEL_TUTOR_ALLOWED_HOSTS", "пример.рф", "must have hosts as they are sent, in ASCII"),
        ("VEL_TUTOR_ALLOWED_HOSTS", "a.example, https://b.example", "must be names of hosts with commas between"),
        ("VEL_TUTOR_ALLOWED_HOSTS", "a.example:4000", "must be names of hosts with commas between"),
        ("VEL_TUTOR_ALLOWED_HOSTS", "*", "must be names of hosts with commas between"),
        ("VEL_TUTOR_TRUSTED_PROXIES", "*", "must be addresses or networks with commas between"),
        ("VEL_TUTOR_TOOLSETS", "tasks, money", "must be names with commas between, out of agents, tasks, workflows, "),
        ("VEL_TUTOR_READ_ONLY", "maybe", "Input should be a valid boolean"),
        ("VEL_TUTOR_PRIVATE_NETWORKS", "10.0.0.1/8", "must be addresses or networks with commas between"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_not_repeated(load: Load, name: str, value: str, why: str) -> None:
    sentence = refusal(load, **{name: value})
    assert sentence.startswith(f"Bad value for {name}; {why}")
    assert sentence.endswith("; correct it in the environment or the configuration file.")
    assert value not in sentence.replace(why, "")


def test_the_environment_is_above_the_file_and_the_file_above_the_defaults(load: Load) -> None:
    settings = load("drain_seconds = 5\ntasks_in_progress = 3", VEL_TUTOR_DRAIN_SECONDS="6")
    assert (settings.drain_seconds, settings.tasks_in_progress, settings.history_days) == (6, 3, 30)


def test_an_empty_variable_is_as_if_it_were_not_there(load: Load) -> None:
    settings = load("drain_seconds = 5", VEL_TUTOR_DRAIN_SECONDS="", OPENAI_API_KEY="", VEL_TUTOR_HOME="")
    assert (settings.drain_seconds, settings.openai_api_key) == (5, None)
    assert settings.home.is_absolute()


def test_a_bad_value_in_the_file_is_refused_by_name(load: Load) -> None:
    assert refusal(load, 'log_level = "loud"').startswith("Bad value for VEL_TUTOR_LOG_LEVEL; Input should be")


@pytest.mark.parametrize("toml", ["drain_seconds =", "= 5", "drain_seconds = 5\ndrain_seconds = 6"])
def test_a_file_that_is_no_toml_is_refused_by_its_path(load: Load, tmp_path: Path, toml: str) -> None:
    sentence = refusal(load, toml)
    assert sentence.startswith(f"Cannot read the configuration file {tmp_path / 'vel-tutor.toml'}; ")
    assert sentence.endswith("; correct it or unset VEL_TUTOR_CONFIG.")


def test_a_file_that_is_not_there_is_refused_by_its_path(load: Load, tmp_path: Path) -> None:
    path = str(tmp_path / "missing.toml")
    assert refusal(load, VEL_TUTOR_CONFIG=path).startswith(f"Cannot read the configuration file {path}; ")


def test_a_file_that_is_not_text_is_refused_by_its_path(load: Load, tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "binary.toml" in refusal(load, VEL_TUTOR_CONFIG=str(tmp_path / "binary.toml"))


def test_a_file_with_a_byte_order_mark_is_read(load: Load) -> None:
    assert load("\ufeffdrain_seconds = 5").drain_seconds == 5


@pytest.mark.parametrize("name", ["VEL_TUTOR_CONFIG", "VEL_TUTOR_HOME", "VEL_TUTOR_AUDIT_ARCHIVE"])
def test_a_path_of_an_unknown_user_is_refused_with_a_sentence(load: Load, name: str) -> None:
    assert name in refusal(load, **{name: "~no-such-user-here/x"})


def test_rows_of_the_catalog_come_from_the_file(load: Load) -> None:
    settings = load("""
        drain_seconds = 5
        [providers.mistral]
        base_url = "https://api.mistral.example/v1"
        [[models]]
        provider = "mistral"
        model = "small"
    """)
    assert settings.drain_seconds == 5
    assert settings.catalog == {
        "providers": {"mistral": {"base_url": "https://api.mistral.example/v1"}},
        "models": [{"provider": "mistral", "model": "small"}],
    }


def test_the_database_of_another_project_is_never_taken(load: Load) -> None:
    settings = load(DATABASE_URL="sqlite:////of-another-project.db")
    assert settings.database_url is None


@pytest.mark.parametrize(
    "environment", [{"HOME": ""}, {"HOME": "", "XDG_DATA_HOME": ""}, {"HOME": "", "XDG_DATA_HOME": "data"}]
)
def test_an_empty_home_variable_still_gives_an_absolute_home(load: Load, environment: dict[str, str]) -> None:
    assert load(**environment).home.is_absolute()


def test_a_user_without_a_home_is_asked_for_a_folder(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it answers for whom the system does not know
    for name in ("HOME", "XDG_DATA_HOME", "VEL_TUTOR_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert "this user has no home folder; set VEL_TUTOR_HOME" in refusal(load)
    assert load(VEL_TUTOR_HOME="/somewhere").home == Path("/somewhere").absolute()


@pytest.mark.parametrize("home", ["data", "./data", "~/data"])
def test_a_home_is_made_absolute(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(VEL_TUTOR_HOME=home, HOME=str(tmp_path), USERPROFILE=str(tmp_path)).home == tmp_path / "data"


def test_audit_archives_go_to_the_users_folder(load: Load, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert load(VEL_TUTOR_AUDIT_ARCHIVE="~/archives", **environment).audit_archive == tmp_path / "archives"
    assert load(VEL_TUTOR_AUDIT_ARCHIVE=str(tmp_path)).audit_archive == tmp_path


@pytest.mark.parametrize("name", ["home", "audit_archive"])
def test_a_path_that_no_file_can_have_is_refused(load: Load, name: str) -> None:
    assert "must be a path in UTF-8" in refusal(load, f'{name} = "/a\\u0000b"')
    assert "must be a path in UTF-8" in refusal(load, "", **{f"VEL_TUTOR_{name.upper()}": "/\udcff"})


@pytest.mark.parametrize("path", ["/a\0b", "/\udcff", "~no-such-user-here/x"])
def test_a_database_file_that_cannot_be_is_refused_with_a_sentence(path: str) -> None:
    with pytest.raises(ConfigurationError, match="no file here can have its name; write VEL_TUTOR_DATABASE_URL"):
        database_at(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://tutor.example:443", "https://tutor.example"),
        ("http://tutor.example:80/", "http://tutor.example"),
        ("https://tutor.example:80", "https://tutor.example:80"),
        ("http://Tutor.example:4000", "http://tutor.example:4000"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_the_public_url_is_kept_as_browsers_name_it(load: Load, url: str, kept: str) -> None:
    assert load(VEL_TUTOR_PUBLIC_URL=url).public_url == kept


@pytest.mark.parametrize("show", [repr, str, Settings.model_dump_json, Settings.model_dump])
def test_secrets_are_not_shown(load: Load, show: Any) -> None:
    shown = str(show(load(**SECRETS)))
    assert "not-to-be-shown" not in shown
    assert "**********" in shown


def test_a_bad_secret_is_not_shown(load: Load) -> None:
    assert "31415" not in refusal(load, "database_url = 31415")


def test_settings_cannot_be_changed(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().drain_seconds = 1  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("provider", "variable", "key"),
    [
        ("openai", "OPENAI_API_KEY", "sk-1"),
        ("groq", "GROQ_API_KEY", None),
        ("mistral", "MISTRAL_API_KEY", "ms-1"),
        ("mistral", "OTHER_NAME", None),
        ("empty", "EMPTY_API_KEY", None),
        ("local", "MISTRAL_API_KEY", None),
    ],
)
def test_the_key_of_a_provider(load: Load, provider: str, variable: str, key: str | None) -> None:
    settings = load(OPENAI_API_KEY="sk-1", MISTRAL_API_KEY="ms-1", EMPTY_API_KEY="")
    assert settings.key_of(provider, variable) == key


def test_a_base_url_can_be_set_for_the_known_providers_and_the_local_one(load: Load) -> None:
    settings = load(GROQ_BASE_URL="http://127.0.0.1:1/v1", VEL_TUTOR_LOCAL_BASE_URL="http://localhost:11434/v1")
    urls = [settings.base_url_of(provider) for provider in ("groq", "local", "openai", "mistral")]
    assert urls == ["http://127.0.0.1:1/v1", "http://localhost:11434/v1", None, None]
