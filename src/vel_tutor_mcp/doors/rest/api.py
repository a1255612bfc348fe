"""The REST application: all routes, one form of errors, and its OpenAPI document."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from vel_tutor_mcp import __version__
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.gateway import chat
from vel_tutor_mcp.doors.health import HEALTH, health_of
from vel_tutor_mcp.doors.rest import (
    accounts,
    agents,
    alerts,
    answers,
    comparisons,
    integrations,
    limits,
    overview,
    records,
    tasks,
    tokens,
    usage,
    webhooks,
    workflows,
)
from vel_tutor_mcp.doors.rest.problems import HANDLERS
from vel_tutor_mcp.doors.rest.wrapping import Wrapping

OPENAPI = "/api/openapi.json"
Answers = dict[int | str, dict[str, Any]]
_ROUTERS = (
    accounts.auth,
    accounts.users,
    limits.router,
    agents.router,
    tasks.router,
    comparisons.router,
    workflows.router,
    records.router,
    overview.router,
    usage.router,
    integrations.router,
    webhooks.router,
    alerts.router,
    tokens.router,
    chat.router,
)
_DESCRIPTION = (
    "The tasks, agents and accounts of a team, as over MCP. Errors are all of one form. Lists take `limit` and "
    "`offset`."
)

_OF_FRAMEWORK = "HTTPValidationError"
_OF_HEALTH = "Whether the server can work, its version and uptime, and what it stands on."


class Rest(FastAPI):
    """Refuses what is not valid with 400, so nothing answers the 422 that the framework documents by itself."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                if _OF_FRAMEWORK in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
        for name in (_OF_FRAMEWORK, "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(name, None)
        return document


def make_rest(desk: Desk, beside: list[BaseRoute], middleware: list[Middleware], **options: Any) -> FastAPI:
    """The application; `beside` are the routes of other doors, the rest is the framework's own."""
    app = Rest(
        title="vel-tutor-mcp",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=dict(HANDLERS),
        middleware=[*middleware, Middleware(Wrapping)],
        telemetry={"tracing": False, "metrics": False, "logs": False},
        **options,
    )
    app.state.desk = desk
    for router in (_health(desk), *_ROUTERS):
        app.include_router(router)
    app.router.routes.extend(beside)
    return app


def _health(desk: Desk) -> APIRouter:
    router = APIRouter(tags=["health"])
    unwell: Answers = {503: {"model": answers.Health, "description": "it cannot work now; `reason` says why"}}
    router.get(HEALTH, name="health", description=_OF_HEALTH, response_model=answers.Health, responses=unwell)(
        health_of(desk)
    )
    return router
