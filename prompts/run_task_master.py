from typing import Annotated

from pydantic import Field

from vel_tutor_mcp.doors.completion import project_paths
from vel_tutor_mcp.doors.desk import prompt


@prompt("Run a Task Master project", "taskmaster_list", "taskmaster_run", "workflow_get", project=project_paths)
async def run_task_master(
    project: Annotated[str, Field(description="absolute path")],
    tag: Annotated[str, Field(description="the current one if left out")] = "",
) -> str:
    """Have the tasks of a Task Master project done by agents, and look at what came of them."""
    tagged = f", tag={tag!r}" if tag else ""
    return (
        f"Have the tasks of the Task Master project in {project} done by the agents of vel-tutor.\n\n"
        f"1. Look at taskmaster_list(project={project!r}{tagged}). If it names faults, tell me and stop. Tell me what "
        "is ready and what waits for it, and ask how far to go, with which agent and reviewer, for at most how much.\n"
        f"2. Start taskmaster_run(project={project!r}{tagged}, all_ready=true or ids=[...], agent, review_agent, "
        "max_cost_usd), and follow it with workflow_get(id, wait_seconds=50) until it ends.\n"
        "3. Report each item: its status, what it cost, and its error where it is not done. Read the results that are "
        "in review, and say whether you would accept them.\n"
        "4. If anything was lost beside our writes, name it and the backup. End with what is ready next."
    )
