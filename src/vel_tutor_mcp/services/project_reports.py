"""What is told of a Task Master project, the same for every door."""

from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.models import Page
from vel_tutor_mcp.taskmaster.graph import Graph, Standing
from vel_tutor_mcp.taskmaster.items import Item, named

_FAULTS_SHOWN = 20
_TAGS_SHOWN = 50


@dataclass(frozen=True)
class ToldProject:
    """A project as it stands: one of its tags, the page of items asked for, and what else there is."""

    id: str
    tags: tuple[str, ...]
    graph: Graph
    items: Page[Item]

    def counts(self) -> dict[str, int]:
        standings = list(self.graph.standings.values())
        return {standing.value: standings.count(standing) for standing in Standing}

    def shown(self) -> dict[str, Any]:
        """Everything but the items."""
        faults = self.graph.faults
        return {
            "project": self.id,
            "tag": self.graph.tag.name,
            "tags": list(self.tags[:_TAGS_SHOWN]),
            "counts": self.counts(),
            "next": next(iter(self.graph.ready), None),
            "faults": [{"kind": fault.kind.value, "text": fault.text} for fault in faults[:_FAULTS_SHOWN]],
            "more_faults": max(0, len(faults) - _FAULTS_SHOWN),
        }

    def shown_item(self, item: Item) -> dict[str, Any]:
        return {
            "id": item.id,
            "title": item.title,
            "standing": self.graph.standings[item.id].value,
            "status": item.status and item.status.value,
            "priority": item.importance.value,
            "dependencies": list(item.dependencies),
            "waits_for": list(self._waits_for(item)),
        }

    def line(self, item: Item) -> str:
        waits_for = self._waits_for(item)
        why = f", waits for {named(waits_for)}" if waits_for else ""
        return f"{item.id} {self.graph.standings[item.id].value}: {item.title}{why}"

    def _waits_for(self, item: Item) -> tuple[str, ...]:
        return () if item.settled else self.graph.waits_for(item.id)
