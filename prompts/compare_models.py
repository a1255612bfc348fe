from typing import Annotated

from pydantic import Field

from vel_tutor_mcp.doors.completion import models as known_models
from vel_tutor_mcp.doors.completion import task_types
from vel_tutor_mcp.doors.desk import prompt

_TOOLS = ("route_explain", "agent_create", "task_submit", "task_get", "task_rate", "agent_delete")


@prompt("Compare models", *_TOOLS, models=known_models, task_type=task_types)
async def compare_models(
    prompt: Annotated[str, Field(description="what each model is to answer")],
    models: Annotated[str, Field(description="provider/model, with commas between; three if left out")] = "",
    task_type: Annotated[str, Field(description="such as summarization; inferred if left out")] = "",
) -> str:
    """Have several models answer the same prompt, and compare answers, cost and time."""
    which = models or "the first three candidates of the route, each of another provider if there are so many"
    kind = task_type or "the task_type of the route"
    return (
        f"Compare {which} on the prompt at the end, as tasks of one type: {kind}.\n\n"
        "1. Ask route_explain for the route of the prompt. Tell me what all answers together may cost, and ask me "
        "before going on if that is more than a few cents. A model that is excluded is left out; tell me why.\n"
        '2. Make an agent for each model: agent_create(name="compare <model>", config={"policy": "fixed", "fallback": '
        'false, "model_preferences": {"<task type>": "<provider/model>"}}).\n'
        "3. Give each of them the prompt, word for word, with task_submit(agent, task_type, wait_seconds=0), all "
        "together, and follow them with task_get.\n"
        "4. Show me a table: model, cost in US dollars, seconds, tokens out. Then the answers one below the other, "
        "where they differ, and which errors you see in them. Judge what is written, not by whom.\n"
        "5. Ask me to rate each answer from 1 to 5, and store that with task_rate: routing learns from it. In the end "
        "take the agents away with agent_delete.\n\n"
        f"The prompt:\n{prompt}"
    )
