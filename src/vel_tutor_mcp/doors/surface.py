"""Which of all tools, prompts and resources a server offers: those that its settings leave and that can work here."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from vel_tutor_mcp.errors import ConfigurationError, Forbidden
from vel_tutor_mcp.settings import TOOLSETS, Settings, parts_of

if TYPE_CHECKING:
    from vel_tutor_mcp.doors.desk import ToolCard

# By the first word of a tool's name, or of a resource's URI; what has none of these words is of no toolset.
_TOOLSET_OF = {
    **dict.fromkeys(("agent", "agents"), "agents"),
    **dict.fromkeys(("task", "tasks"), "tasks"),
    **dict.fromkeys(("workflow", "run"), "workflows"),
    **dict.fromkeys(("route", "usage", "models"), "routing"),
    "audit": "audit",
    "taskmaster": "taskmaster",
    **dict.fromkeys(("dashboard", "ui"), "dashboard"),
}
# `taskmaster_list` reads the file by itself.
_NEEDS_TASK_MASTER = frozenset({"taskmaster_plan", "taskmaster_run"})


@dataclass(frozen=True, slots=True)
class Surface:
    """`task_master` is the command that starts Task Master, None where that is not looked for."""

    toolsets: frozenset[str] = frozenset(TOOLSETS)
    read_only: bool = False
    task_master: str | None = None

    def check(self, tool: str, card: "ToolCard") -> None:
        """Raises:
        Forbidden: the server is told not to offer the tool; says by which setting.
        """
        toolset = toolset_of(tool)
        if toolset is not None and toolset not in self.toolsets:
            raise Forbidden(
                f"{tool} is switched off; this server offers the toolsets {', '.join(sorted(self.toolsets))} alone "
                f"(VEL_TUTOR_TOOLSETS); use a tool that tools/list has, or have {toolset} added."
            )
        if self.read_only and not card.annotations.read_only_hint:
            raise Forbidden(
                f"{tool} is switched off; this server is read-only (VEL_TUTOR_READ_ONLY); use a tool that tools/list "
                "has, or have that setting changed."
            )

    def offers(self, tool: str, card: "ToolCard") -> bool:
        """Whether the tool is worth being listed: it is not switched off, and has what it needs."""
        try:
            self.check(tool, card)
        except Forbidden:
            return False
        return self.task_master is None or tool not in _NEEDS_TASK_MASTER or _is_there(self.task_master)


EVERYTHING = Surface()


def toolset_of(name: str) -> str | None:
    """The toolset of a tool, or of a resource by its URI."""
    return _TOOLSET_OF.get(name.partition(":")[0].partition("_")[0])


def surface_of(settings: Settings) -> Surface:
    return Surface(
        toolsets=frozenset(parts_of(settings.toolsets) or TOOLSETS),
        read_only=settings.read_only,
        task_master=settings.task_master_command,
    )


@cache
def _is_there(command: str) -> bool:
    """Looked for once: what is listed does not change while the server runs, for nobody would be told."""
    from vel_tutor_mcp.taskmaster.child import command_of  # not before the first answer

    try:
        command_of(command)
    except ConfigurationError:
        return False
    return True
