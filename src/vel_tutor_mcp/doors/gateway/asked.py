"""What a chat request asks for, as a task. (Pure.)"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from vel_tutor_mcp.doors.gateway.refusals import NOT_DONE
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS, AgentConfig, TaskRequest
from vel_tutor_mcp.services.inputs import asked_first

_SYSTEM = ("system", "developer")
_MOST_MESSAGES = 2000
_EMPTY: tuple[Any, ...] = (None, False, [], {})


def _only(*idle: Any) -> BeforeValidator:
    """Takes the values by which nothing is asked, and refuses all others."""

    def taken(value: Any) -> None:
        if value not in idle:
            raise PydanticCustomError(NOT_DONE, "it cannot be used here")

    return BeforeValidator(taken)


def _text_alone(content: Any) -> Any:
    parts = content if isinstance(content, list) else [content]
    is_text = isinstance(content, str) or all(isinstance(part, dict) and part.get("type") == "text" for part in parts)
    if not is_text:
        raise PydanticCustomError("text_alone", "only text is taken, and parts of the type text")
    return content


_NotDone = Annotated[None, _only(*_EMPTY)]
_NoChoice = Annotated[None, _only(*_EMPTY, "none", "auto")]


class Ignoring(BaseModel):
    """What belongs to a parameter and means nothing here is ignored, as is all that only tunes the answer."""

    model_config = ConfigDict(extra="ignore")


class TextPart(Ignoring):
    type: Literal["text"]
    text: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)]


class Message(Ignoring):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)] | Annotated[list[TextPart], Field(min_length=1)],
        BeforeValidator(_text_alone),
    ]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class NamedSchema(Ignoring):
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class ResponseFormat(Ignoring):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class StreamOptions(Ignoring):
    include_usage: bool = False


class Chat(BaseModel):
    """The parameters that are heard, those that are ignored, and those that are refused by their name; no others."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"model": "auto", "messages": [{"role": "user", "content": "Say hello."}]}]},
    )

    model: Annotated[str, Field(max_length=200, description="`auto`, the name of an agent, or a model of /v1/models")]
    messages: Annotated[list[Message], Field(min_length=1, max_length=_MOST_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    n: Annotated[Literal[1] | None, Field(description="one answer is given")] = None
    # Only tune or label what is asked for.
    frequency_penalty: Any = None
    logit_bias: Any = None
    metadata: Any = None
    parallel_tool_calls: Any = None
    prediction: Any = None
    presence_penalty: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    reasoning_effort: Any = None
    safety_identifier: Any = None
    seed: Any = None
    service_tier: Any = None
    store: Any = None
    top_p: Any = None
    user: Any = None
    verbosity: Any = None
    # Cannot be done; many clients send them without asking for anything.
    tools: _NotDone = None
    functions: _NotDone = None
    tool_choice: _NoChoice = None
    function_call: _NoChoice = None
    audio: _NotDone = None
    logprobs: _NotDone = None
    modalities: Annotated[None, _only(*_EMPTY, ["text"])] = None
    moderation: _NotDone = None
    stop: _NotDone = None
    top_logprobs: _NotDone = None
    web_search_options: Annotated[None, _only(None)] = None  # {} asks for a search

    @property
    def with_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def schema_wanted(self) -> dict[str, Any] | None:
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        if wanted.type == "json_schema":
            if wanted.json_schema is None:
                raise InputError("The response_format has no json_schema; its type says that it has; add it.")
            return wanted.json_schema.schema_
        return {"type": "object"}


def request_of(chat: Chat, agent: str, config: AgentConfig, model: str | None, key: str | None) -> TaskRequest:
    """The task: for an agent with this configuration, on this model where one is pinned.

    Raises:
        InputError: nothing is asked.
    """
    said = [message for message in chat.messages if message.role not in _SYSTEM]
    if not said:
        raise InputError("There is no message of a user; there is nothing to answer; add one.")
    return TaskRequest(
        prompt=_prompt(said),
        agent=agent,
        response_schema=chat.schema_wanted,
        idempotency_key=key,
        config=_changes(chat, config, model) or None,
    )


def _prompt(said: list[Message]) -> str:
    """A single message as it is; a conversation as one text."""
    if len(said) == 1:
        return said[0].text
    lines = [f"{message.role.capitalize()}: {message.text}" for message in said]
    return "\n\n".join(["This is a conversation; give the assistant's next answer, and that alone.", *lines])


def _changes(chat: Chat, config: AgentConfig, model: str | None) -> dict[str, Any]:
    """What is to be other than the agent has it."""
    changes: dict[str, Any] = {}
    instructions = [message.text for message in chat.messages if message.role in _SYSTEM]
    if instructions:
        changes["system_prompt"] = "\n\n".join(filter(None, [config.system_prompt, *instructions]))
    if (most := chat.max_completion_tokens or chat.max_tokens) is not None:
        changes["max_output_tokens"] = most
    if chat.temperature is not None:
        changes["temperature"] = chat.temperature
    if model is not None:
        changes |= asked_first(model)
    return changes
