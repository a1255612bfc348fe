"""Ship the leaf folders inside the wheel; an editable install reads them in place."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LEAVES = ("tools", "resources", "prompts", "migrations")


class ShipLeaves(BuildHookInterface):  # type: ignore[type-arg]  # generic only in hatchling's own annotations
    """Adds each leaf folder to the wheel as `vel_tutor_mcp/<leaf>`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"] |= {leaf: f"vel_tutor_mcp/{leaf}" for leaf in LEAVES}
