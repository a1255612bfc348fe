"""The catalog: which providers and models there are, as rows of data.

It knows no keys (settings do), no prices but a user's own (the ledger asks genai-prices) and no measurements (health).
"""

import logging
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from vel_tutor_mcp.errors import ConfigurationError, InputError
from vel_tutor_mcp.models import LONGEST_NAME, LONGEST_PROVIDER, MAX_USD, Limits, TaskType
from vel_tutor_mcp.settings import base_url

Tier = Literal["frontier", "strong", "standard", "small"]
Capability = Literal["json_schema", "reasoning", "search"]
Money = Annotated[Decimal, Field(ge=0, le=MAX_USD, allow_inf_nan=False)]
Shift = Annotated[float, Field(ge=-1, le=1)]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise PydanticCustomError("unprintable", "only printable characters are taken")
    return name


def _base_url(url: str) -> str:
    try:
        return base_url(url)
    except ValueError as problem:
        raise PydanticCustomError("base_url", str(problem)) from None


ModelName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)]
ProviderName = Annotated[str, Field(min_length=1, max_length=LONGEST_PROVIDER), AfterValidator(_printable)]

# What most local servers allow by default.
FOUND_WINDOW = 8192

RowType = TypeVar("RowType", bound=BaseModel)

_log = logging.getLogger(__name__)


class ProviderRow(BaseModel):
    """A vendor. `variable` is the environment variable that makes it usable; `price_provider` its id in genai-prices,
    None where answers cost nothing unless a row prices them. `stream_usage`: streams are asked for their usage, which
    some vendors refuse, and tell it unasked. `max_concurrent` calls are open at once and `max_per_minute` begun in any
    60 seconds, over all processes on the database; None: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ProviderName
    base_url: Annotated[str, AfterValidator(_base_url)]
    variable: str
    price_provider: str | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    max_concurrent: Annotated[int | None, Field(ge=1)] = None
    max_per_minute: Annotated[int | None, Field(ge=1)] = None


class PriceRow(BaseModel):
    """A user's own price, in US dollars: per million tokens, and per request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_usd_per_mtok: Money
    output_usd_per_mtok: Money
    request_usd: Money = Decimal(0)


class ModelRow(BaseModel):
    """A model at a provider. Tokens; milliseconds; `p_ok_offset` and `strengths` shift P(good enough): see `priors`.

    A model that takes no temperature is not sent one. A retired model can be named, but is never chosen by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: ProviderName
    model: ModelName
    tier: Tier
    context_window: Annotated[int, Field(gt=0)]
    max_output_tokens: Annotated[int, Field(gt=0)] = 4096
    capabilities: frozenset[Capability] = frozenset()
    first_token_ms: Annotated[int, Field(gt=0)] = 1000
    tokens_per_second: Annotated[float, Field(gt=0)] = 50
    p_ok_offset: Shift = 0.0
    strengths: dict[TaskType, Shift] = {}
    takes_temperature: bool = True
    retired: bool = False
    price: PriceRow | None = None

    @cached_property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True)
class Catalog:
    """The known providers by name, and the models in order: within a provider, its default first."""

    providers: Mapping[str, ProviderRow]
    models: tuple[ModelRow, ...]

    @classmethod
    def load(cls, user_rows: Mapping[str, Any] | None = None) -> "Catalog":
        """The shipped rows with a user's over them: `{"providers": {name: row}, "models": [row, ...]}`.

        A user's row of a known provider or (provider, model) may give just the fields that it changes.

        Raises:
            ConfigurationError: names the row and the field at fault.
        """
        shipped = tomllib.loads(files(__package__).joinpath("catalog.toml").read_text("utf-8"), parse_float=Decimal)
        ours, theirs = _raw_rows(shipped), _raw_rows(user_rows or {})
        providers = {name: _provider_row(name, fields) for name, fields in _merged(ours[0], theirs[0]).items()}
        models = tuple(
            _checked(ModelRow, f"models {provider}/{model}", fields)
            for (provider, model), fields in _merged(ours[1], theirs[1]).items()
        )
        _refuse_unknown_providers(models, providers)
        return cls(providers, models)

    @cached_property
    def least_window(self) -> int:
        """The smallest context window of its models."""
        return min((row.context_window for row in self.models), default=0)

    @cached_property
    def places(self) -> dict[str, int]:
        """The providers' places in its order."""
        return {provider: place for place, provider in enumerate(self.providers)}

    @cached_property
    def has_retired(self) -> bool:
        return any(row.retired for row in self.models)

    @cached_property
    def offering(self) -> frozenset[str]:
        """The providers of which there is a model."""
        return frozenset(row.provider for row in self.models)

    @cached_property
    def without_models(self) -> tuple[str, ...]:
        """The other providers."""
        return tuple(provider for provider in self.providers if provider not in self.offering)

    @property
    def limits(self) -> dict[str, Limits]:
        """Of the providers that have any."""
        return {
            row.name: Limits(concurrent=row.max_concurrent, per_minute=row.max_per_minute)
            for row in self.providers.values()
            if row.max_concurrent or row.max_per_minute
        }

    def with_found(self, provider: str, models: Iterable[str]) -> "Catalog":
        """With rows for models that a server of one's own says it has, of which little is known and little assumed."""
        # Some list a model twice, and a name that two rows have can never be called.
        found = [_found(provider, model) for model in dict.fromkeys(models)]
        return Catalog(self.providers, (*self.models, *(row for row in found if row)))

    def provider(self, name: str) -> ProviderRow:
        """Raises:
        InputError: there is no such provider.
        """
        if name not in self.providers:
            raise InputError(f"No such provider; it is not in the catalog; use one of {', '.join(self.providers)}.")
        return self.providers[name]

    def find(self, name: str) -> ModelRow:
        """The row called `model`, `provider/model` or `provider:model` (a model's own id may contain slashes).

        Raises:
            InputError: unknown, with the closest names; or offered by several providers.
        """
        # Whole names first: a model of one provider may be called like the whole name at another.
        qualified = [row for row in self.models if name in (row.name, f"{row.provider}:{row.model}")]
        found = qualified or [row for row in self.models if row.model == name]
        if len(found) == 1:
            return found[0]
        if found:
            names = " or ".join(row.name for row in found)
            raise InputError(f"The model's name is ambiguous; several providers offer it; say {names}.")
        raise InputError(f"No such model; it is not in the catalog; {self._suggestion(name)}")

    def _suggestion(self, name: str) -> str:
        names = {spelling: row.name for row in self.models for spelling in (row.name, row.model)}
        close = dict.fromkeys(names[spelling] for spelling in get_close_matches(name, names, n=4, cutoff=0.5))
        return f"did you mean {' or '.join(list(close)[:3])}?" if close else "see models://catalog for what there is."


def _found(provider: str, model: str) -> ModelRow | None:
    try:
        return ModelRow(provider=provider, model=model, tier="small", context_window=FOUND_WINDOW)
    except ValidationError as problem:
        reason = problem.errors(include_url=False, include_input=False, include_context=False)[0]["msg"].lower()
        _log.warning("A model of %s is left out; its name %.80r is not usable: %s.", provider, model, reason)
        return None


RawRows = dict[Any, Mapping[str, Any]]


def _raw_rows(raw: Mapping[str, Any]) -> tuple[RawRows, RawRows]:
    if unknown := set(raw) - {"providers", "models"}:
        raise _fault("its top level", f"{min(map(str, unknown))}: not a known table")
    providers, models = raw.get("providers", {}), raw.get("models", [])
    if not isinstance(providers, Mapping) or not isinstance(models, list):
        raise _fault("its top level", "providers must be tables [providers.name], models must be [[models]]")
    for place, row in [*providers.items(), *enumerate(models, 1)]:
        if not isinstance(row, Mapping):
            raise _fault(f"row {place}", "it must be a table of fields")
    return dict(providers), {_key(number, row): row for number, row in enumerate(models, 1)}


def _key(number: int, row: Mapping[str, Any]) -> tuple[str, str]:
    for field in ("provider", "model"):
        if not isinstance(row.get(field), str):
            raise _fault(f"models row {number}", f"{field}: it must be given, as text")
    return row["provider"], row["model"]


def _merged(ours: RawRows, theirs: RawRows) -> RawRows:
    # Ours stay in their order, in which a provider's default is the first; a user's own come after.
    return {key: {**ours.get(key, {}), **theirs.get(key, {})} for key in [*ours, *(k for k in theirs if k not in ours)]}


def _provider_row(name: str, fields: Mapping[str, Any]) -> ProviderRow:
    variable = f"{name.upper().replace('-', '_')}_API_KEY"
    return _checked(ProviderRow, f"providers.{name}", {"variable": variable, **fields, "name": name})


def _checked(row_type: type[RowType], place: str, fields: Mapping[str, Any]) -> RowType:
    try:
        return row_type.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _fault(place, f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None


def _refuse_unknown_providers(models: Iterable[ModelRow], providers: Mapping[str, ProviderRow]) -> None:
    for row in models:
        if row.provider not in providers:
            raise _fault(f"models {row.name}", f"provider: unknown, add [providers.{row.provider}] with its base_url")


def _fault(place: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"The catalog has an error; {place}, {what}; correct that row in the configuration file.")
