"""What somebody wants done of a project, and the workflow that does it. (Pure.)"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.taskmaster.errands import Asked
from vel_tutor_mcp.taskmaster.reading import ids_of

_MOST_IDS = 1000
_PARALLEL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`ids` are the items, else all that is and becomes ready with `all_ready`, else the next one of the tag.

    A result is reviewed by `review_agent`, if there is one, before it counts as done.
    """

    ids: list[str] | None = None
    all_ready: bool = False
    tag: str | None = None
    agent: str = "default"
    review_agent: str | None = None

    @property
    def agents(self) -> tuple[str, ...]:
        return (self.agent, *([self.review_agent] if self.review_agent else []))

    def asked(self) -> Asked:
        """Raises:
        InputError: ids and all_ready, or what is no id, or too many.
        """
        if self.ids is None:
            return Asked(None, self.all_ready, _PARALLEL)
        if self.all_ready:
            raise InputError("Give ids or all_ready; both were given; leave one out.")
        ids = ids_of(self.ids)
        if ids is None or len(self.ids) > _MOST_IDS:
            raise InputError(
                f"The ids are no list of items; an id is a text such as 1 or 1.2, and 1 to {_MOST_IDS:,} are taken; "
                "see taskmaster_list."
            )
        return Asked(ids, all_ready=False, parallel=_PARALLEL)

    def workflow(self) -> tuple[str, dict[str, Any]]:
        """The workflow that does it, by a name that no other wish has: its project, tag and ids are its inputs."""
        step: dict[str, Any] = {
            "id": "tasks",
            "kind": "taskmaster",
            "project": "{{ inputs.project }}",
            "tag": "{{ inputs.tag }}",
            "agent": self.agent,
            "parallel": _PARALLEL,
        }
        if self.ids is not None:
            step["ids"] = "inputs.ids"
        if self.all_ready:
            step["all_ready"] = True
        if self.review_agent is not None:
            step["review_agent"] = self.review_agent
        text = {"type": "string"}
        properties = {"project": text, "tag": text, "ids": {"type": "array", "items": text}}
        definition = {
            "description": "Made by taskmaster_run.",
            "inputs": {"type": "object", "properties": properties, "required": ["project", "tag"]},
            "steps": [step],
        }
        digest = hashlib.sha256(json.dumps(step, sort_keys=True).encode(errors="replace")).hexdigest()[:8]
        return f"taskmaster-{digest}", definition
