"""What the services can be asked for somebody."""

import inspect
from dataclasses import fields
from typing import Any

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal

# They are parts of operations that were allowed already.
WITHIN = {"tasks.cancel_pending_of", "routes.request_for"}


def operations() -> dict[str, Any]:
    """Each method that a door can call for a principal, by where the open product has it, such as `tasks.submit`."""
    found: dict[str, Any] = {}
    for field in fields(App):
        service = field.type
        if not isinstance(service, type) or not service.__module__.startswith("vel_tutor_mcp.services."):
            continue
        for name, method in inspect.getmembers(service, inspect.isfunction):
            takes = [parameter.annotation for parameter in inspect.signature(method).parameters.values()]
            if not name.startswith("_") and Principal in takes:
                found[f"{field.name}.{name}"] = method
    return found
