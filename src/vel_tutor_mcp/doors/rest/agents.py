"""Agents: the same as the tools `agent_...`."""

import json
import time
from uuid import uuid4

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Key, NameOrId, Part, Visit, listed, once
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.doors.rest.shown import shown_test
from vel_tutor_mcp.models import AgentStatus
from vel_tutor_mcp.services.rates import Quota
from vel_tutor_mcp.services.reports import full_agent, shown_agent

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=documented(400, 401, 403, 429, 503))
_WITH_BODY = documented(409, 413, 415)
_OF_ONE = documented(404)


@router.post("", status_code=201, response_model=answers.Agent, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def create_agent(visit: Visit, body: bodies.NewAgent, key: Key = None) -> Response:
    """Save a named agent: its instructions, and how its tasks are routed, limited and answered."""

    async def create() -> JSONResponse:
        agent = await visit.app.agents.create(visit.me, body.name, body.type, body.config)
        return JSONResponse(shown_agent(agent), status_code=201, headers={"location": f"/api/agents/{agent.id}"})

    return await once(visit, key, "agents", body, create)


@router.get("", response_model=answers.Listed[answers.Agent])
async def list_agents(visit: Visit, part: Part, status: AgentStatus | None = None) -> JSONResponse:
    """The agents that one may see, newest first."""
    page = await visit.app.agents.list(visit.me, status=status, limit=part.limit, cursor=part.offset)
    return listed(page, part, shown_agent)


@router.get("/{agent}", response_model=answers.Agent, responses=_OF_ONE)
async def get_agent(visit: Visit, agent: NameOrId) -> JSONResponse:
    """The agent with its configuration and its versions."""
    return JSONResponse(full_agent(*await visit.app.agents.get(visit.me, agent)))


@router.put("/{agent}", response_model=answers.Agent, responses=_OF_ONE | _WITH_BODY, dependencies=TAKES_JSON)
async def update_agent(visit: Visit, agent: NameOrId, body: bodies.AgentChange) -> JSONResponse:
    """Change what is given. Earlier versions are kept; tasks already submitted run with the one they were given."""
    status = AgentStatus(body.status) if body.status else None
    changed = await visit.app.agents.update(visit.me, agent, name=body.name, status=status, config=body.config)
    return JSONResponse(shown_agent(changed))


@router.delete("/{agent}", status_code=204, response_class=Response, responses=_OF_ONE | documented(409))
async def delete_agent(visit: Visit, agent: NameOrId) -> Response:
    """Take the agent away. Its pending tasks are cancelled; what it did is kept."""
    await visit.app.agents.delete(visit.me, agent)
    return Response(status_code=204)


@router.post(
    "/{agent}/test", response_model=answers.AgentTested, responses=_OF_ONE | _WITH_BODY, dependencies=TAKES_JSON
)
async def check_agent(visit: Visit, agent: NameOrId, body: bodies.AgentTest, key: Key = None) -> Response:
    """Check that the agent can work, and what route it would take; free, unless `dry_run` is false."""

    async def test() -> JSONResponse:
        if not body.dry_run:
            await visit.count(Quota.TASK)
        began, payload = time.monotonic(), body.test_payload
        prompt = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
        found = await visit.app.agents.test(visit.me, agent, prompt, live=not body.dry_run)
        return JSONResponse(shown_test(found, str(uuid4()), round((time.monotonic() - began) * 1000)))

    return await once(visit, key, f"agents/{agent}/test", body, test)
