from typing import Annotated

from pydantic import Field

from vel_tutor_mcp.doors.desk import prompt


@prompt("Delegate to agents", "agent_list", "agent_create", "route_explain", "task_submit", "task_get")
async def delegate(goal: Annotated[str, Field(description="what is to be reached")]) -> str:
    """Split a goal into tasks, give each to a fitting agent, and put the answers together."""
    return (
        f"Reach this goal with the agents of vel-tutor: {goal}\n\n"
        "1. Look at agent_list. Split the goal into the fewest tasks that make sense, and choose an agent for each; "
        "make one with agent_create where none fits.\n"
        "2. For each task ask route_explain and tell me the expected cost in all. Ask me before going on if it is more "
        "than I would expect.\n"
        "3. Submit independent tasks together with task_submit(wait_seconds=0), and follow them with task_get. Give a "
        "task that needs another's answer that answer in its prompt.\n"
        "4. If a task fails, read what its error says to do, and do that once.\n"
        "5. Put the answers together, say which model gave which, what each cost, and what remains open."
    )
