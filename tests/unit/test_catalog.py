from typing import Any

import pytest

from vel_tutor_mcp.errors import ConfigurationError, InputError
from vel_tutor_mcp.models import Limits, TaskType
from vel_tutor_mcp.routing.catalog import Catalog

CATALOG = Catalog.load()
LLAMA = {"provider": "local", "model": "llama3.2", "tier": "small", "context_window": 8192}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("openai:gpt-4o", "openai/gpt-4o"),
        ("openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("groq:openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("mixtral-8x7b-32768", "groq/mixtral-8x7b-32768"),
    ],
)
def test_a_model_is_found_by_each_of_its_names(name: str, found: str) -> None:
    assert CATALOG.find(name).name == found


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("gpt4o", "did you mean openai/gpt-4o"),
        ("groq/gpt-oss-120b", "did you mean groq/openai/gpt-oss-120b"),
        ("xyz", "see models://catalog"),
    ],
)
def test_an_unknown_model_is_answered_with_what_is_close(name: str, answer: str) -> None:
    with pytest.raises(InputError, match=answer):
        CATALOG.find(name)


def test_a_name_that_two_providers_offer_must_be_qualified() -> None:
    catalog = Catalog.load({"models": [{**LLAMA, "model": "openai/gpt-oss-20b"}]})
    with pytest.raises(InputError, match="say groq/openai/gpt-oss-20b or local/openai/gpt-oss-20b"):
        catalog.find("openai/gpt-oss-20b")
    assert catalog.find("local:openai/gpt-oss-20b").provider == "local"


def test_a_users_row_changes_only_the_fields_it_gives() -> None:
    catalog = Catalog.load({"models": [{"provider": "openai", "model": "gpt-4o", "p_ok_offset": 0.1}]})
    row, shipped = catalog.find("gpt-4o"), CATALOG.find("gpt-4o")
    assert row == shipped.model_copy(update={"p_ok_offset": 0.1})
    assert [other.name for other in catalog.models] == [other.name for other in CATALOG.models]


def test_a_user_adds_a_model_with_few_fields() -> None:
    row = Catalog.load({"models": [{**LLAMA, "strengths": {"translation": 0.1}}]}).find("llama3.2")
    assert (row.name, row.max_output_tokens, row.strengths) == ("local/llama3.2", 4096, {TaskType.TRANSLATION: 0.1})


def test_a_provider_has_the_limits_that_a_user_gives_it_and_none_before() -> None:
    rows = {"groq": {"max_concurrent": 3}, "openai": {"max_concurrent": 2, "max_per_minute": 10}}
    catalog = Catalog.load({"providers": rows})

    assert CATALOG.limits == {}
    assert catalog.limits == {"openai": Limits(concurrent=2, per_minute=10), "groq": Limits(concurrent=3)}
    assert catalog.provider("groq").base_url == CATALOG.provider("groq").base_url


def test_a_user_adds_a_provider_whose_key_variable_follows_its_name() -> None:
    rows = {"providers": {"my-vendor": {"base_url": "https://x/v1"}}, "models": [{**LLAMA, "provider": "my-vendor"}]}
    assert Catalog.load(rows).provider("my-vendor").variable == "MY_VENDOR_API_KEY"


@pytest.mark.parametrize(
    ("rows", "place", "field"),
    [
        ({"providers": {"groq": {"max_concurrent": 0}}}, "providers.groq", "max_concurrent: input should be greater"),
        ({"providers": {"groq": {"max_per_minute": "a"}}}, "providers.groq", "max_per_minute: input should be a valid"),
        ({"models": [{"provider": "openai", "model": "gpt-4o", "tier": "best"}]}, "models openai/gpt-4o", "tier"),
        ({"models": [{"provider": "openai", "model": "gpt-4o", "colour": 1}]}, "models openai/gpt-4o", "colour"),
        ({"models": [{"provider": "openai", "model": "new"}]}, "models openai/new", "tier"),
        ({"models": [{"model": "new"}]}, "models row 1", "provider"),
        ({"models": [{**LLAMA, "provider": "nobody"}]}, "models nobody/llama3.2", "provider"),
        ({"models": [{**LLAMA, "price": {"input_usd_per_mtok": -1}}]}, "models local/llama3.2", "input_usd_per_mtok"),
        ({"models": [{**LLAMA, "model": "m" * 161}]}, "models local/mmm", "model: string should have at most 160"),
        ({"models": [{**LLAMA, "model": "a\0b"}]}, "models local/a", "model: only printable characters are taken"),
        (
            {"providers": {"p" * 61: {"base_url": "https://x/v1"}}},
            "providers.ppp",
            "name: string should have at most 60",
        ),
        (
            {"models": [{**LLAMA, "price": {"input_usd_per_mtok": 1e7}}]},
            "models local/llama3.2",
            "input_usd_per_mtok: input should be less than or equal to 1000000",
        ),
        ({"models": ["gpt-4o"]}, "row 1", "table"),
        ({"models": {}}, "top level", "models"),
        ({"providers": {"x": {}}}, "providers.x", "base_url"),
        (
            {"providers": {"x": {"base_url": "nope"}}},
            "providers.x",
            "base_url: must be http:// or https:// with a host",
        ),
        ({"prices": {}}, "top level", "prices"),
    ],
)
def test_an_error_in_a_users_row_names_the_row_and_the_field(rows: dict[str, Any], place: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Catalog.load(rows)
    assert place in str(caught.value)
    assert field in str(caught.value)


def test_a_found_model_with_a_name_that_cannot_be_stored_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    found = CATALOG.with_found("local", ["m" * 160, "m" * 161, "", "a\0b"])

    assert [row.model for row in found.models if row.provider == "local"] == ["m" * 160]
    assert [line.getMessage().partition(":")[2] for line in caplog.records] == [
        " string should have at most 160 characters.",
        " string should have at least 1 character.",
        " only printable characters are taken.",
    ]


def test_a_model_that_a_server_lists_twice_is_found_once() -> None:
    assert CATALOG.with_found("local", ["llama", "gemma", "llama"]).find("local/llama").model == "llama"


def test_an_unknown_provider_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match="openai, groq, perplexity, local"):
        CATALOG.provider("anthropic")


def test_every_provider_but_local_has_a_model_that_is_not_retired() -> None:
    live = {row.provider for row in CATALOG.models if not row.retired}
    assert live == set(CATALOG.providers) - {"local"}


def test_a_model_is_asked_for_no_more_than_its_vendor_takes() -> None:
    row = CATALOG.find("groq/qwen/qwen3.8-27b")
    assert (row.context_window, row.max_output_tokens) == (131_042, 16_384)
