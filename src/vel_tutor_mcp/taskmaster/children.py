"""The children of this process: one Task Master for each project, and one writer that writes through it."""

import asyncio
from pathlib import Path

from vel_tutor_mcp.taskmaster.child import Child, command_of
from vel_tutor_mcp.taskmaster.project import Project
from vel_tutor_mcp.taskmaster.writing import Writer


class Children:
    """`command` starts a Task Master, which gets `home` as its home folder; none is started before it is called."""

    def __init__(self, command: str, home: Path) -> None:
        self._command = command
        self._home = home
        self._made: dict[Path, Child] = {}

    def check(self) -> None:
        """Raises:
        ConfigurationError: Task Master, or node, is not on the PATH.
        """
        command_of(self._command)

    def of(self, project: Project) -> Child:
        """The project's child, which ends with `close`."""
        if project.root not in self._made:
            self._made[project.root] = Child(self._command, project, self._home)
        return self._made[project.root]

    def writer(self, project: Project) -> Writer:
        return Writer(project, self.of(project))

    async def close(self) -> None:
        """End all children; one that is called again is started again."""
        await asyncio.gather(*(child.close() for child in self._made.values()))
