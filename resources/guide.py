from vel_tutor_mcp.doors.completion import topics
from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.errors import NotFound
from vel_tutor_mcp.leaves import guides


@resource("guide://{topic}", "Guide", mime_type="text/markdown", topic=topics)
async def guide(_: Desk, topic: str) -> str:
    """How to use this server. Topics: start, agents, tasks, workflows, routing, money, errors."""
    pages = guides()
    if topic not in pages:
        raise NotFound(f"There is no guide on this topic; the topics are {', '.join(pages)}; read one of them.")
    return pages[topic].read_text(encoding="utf-8")
