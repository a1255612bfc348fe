"""The page of settings."""

from collections.abc import Iterator

from generate import schemas
from generate.docstrings import behind
from generate.markdown import table
from vel_tutor_mcp.settings import PREFIX, Settings

_HEAD = """\
# Settings
Environment variables. How they, the TOML file and the defaults go together, and rows for providers and models:
[settings](../settings.md).

"""
_NEVER_SET = frozenset({"catalog"})


def page() -> str:
    return _HEAD + table(("variable", "type", "limits", "default", "meaning"), _rows())


def _rows() -> Iterator[tuple[str, ...]]:
    told = Settings.model_json_schema(by_alias=False)["properties"]
    texts = behind(Settings)
    for name, field in Settings.model_fields.items():
        if name not in _NEVER_SET:
            row, variable = told[name], name.upper() if field.validation_alias else f"{PREFIX}{name.upper()}"
            yield f"`{variable}`", schemas.kind(row), schemas.limits(row), schemas.default(row), texts.get(name, "")
