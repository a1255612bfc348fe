"""What one call is given: the prompt, or the wish to correct an answer, and its limits of time. Pure."""

from vel_tutor_mcp.models import AgentConfig, Candidate, Task
from vel_tutor_mcp.providers.base import ChatRequest, Timeouts
from vel_tutor_mcp.routing.catalog import ModelRow
from vel_tutor_mcp.routing.retry import Failure
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.audit_chain import canonical

_PATIENCE = 5
# Of an answer that is to be corrected so much is sent back.
_MOST_OF_ANSWER = 4000


def chat_request(
    task: Task, config: AgentConfig, settings: Settings, row: ModelRow, candidate: Candidate, max_output_tokens: int,
    repairs: Failure | None = None,
) -> ChatRequest:  # fmt: skip
    """The call to the candidate, which has `row` in the catalog."""
    return ChatRequest(
        model=row.model,
        system=config.system_prompt,
        prompt=composed(task) + (correction(repairs) if repairs else ""),
        max_output_tokens=max_output_tokens,
        timeouts=timeouts(settings, config, row, candidate.expected_latency_ms),
        temperature=config.temperature if row.takes_temperature else None,
        response_schema=task.response_schema,
    )


def correction(repairs: Failure) -> str:
    """What stands under a prompt whose answer did not match the schema."""
    answer = repairs.partial or ""
    shown = answer if len(answer) <= _MOST_OF_ANSWER else f"{answer[:_MOST_OF_ANSWER]}... (shortened)"
    return (
        f"\n\nThis was answered before, and not accepted: {repairs.error}. Answer again, with JSON that matches the "
        f"schema and nothing else. The answer before:\n{shown}"
    )


def composed(task: Task) -> str:
    """The task's prompt with its parameters under it, as JSON."""
    return f"{task.prompt}\n\nParameters (JSON):\n{canonical(task.parameters)}" if task.parameters else task.prompt


def timeouts(settings: Settings, config: AgentConfig, row: ModelRow, expected_ms: int) -> Timeouts:
    """The limits of one call that is expected to take `expected_ms` in all; none is longer than the whole may take.

    A model that reasons shows its first token late: it is given some times what the whole is expected to take.
    """
    first = settings.first_token_timeout_seconds
    if "reasoning" in row.capabilities:
        patience = max(first, _PATIENCE * expected_ms / 1000)
        first = min(patience, settings.reasoning_timeout_seconds)
    total = float(config.timeout_seconds)
    return Timeouts(
        connect=min(total, settings.connect_timeout_seconds),
        first_token=min(total, first),
        between_tokens=min(total, settings.between_tokens_timeout_seconds),
        total=total,
    )
