"""What is asked for, when models are to be compared."""

from dataclasses import dataclass

from vel_tutor_mcp.models import TaskType

FEWEST_MODELS, MOST_MODELS = 2, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest:
    """The prompt for each of the models, as the agent (an id or a name) would send it; `max_cost_usd` is for all."""

    prompt: str
    models: tuple[str, ...]
    agent: str = "default"
    task_type: TaskType | None = None
    max_cost_usd: float | None = None
    idempotency_key: str | None = None
