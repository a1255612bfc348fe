"""Owners' keys of providers: they come in, are tested, and never go out."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Part, Visit, listed
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.models import LONGEST_PROVIDER
from vel_tutor_mcp.services.integrations import shown

router = APIRouter(prefix="/api/integrations", tags=["integrations"], responses=documented(400, 401, 403, 429, 503))
_OF_ONE = documented(404)
Provider = Annotated[str, Path(max_length=LONGEST_PROVIDER, examples=["groq"], description="such as openai")]


@router.get("", response_model=answers.Listed[answers.Integration])
async def list_integrations(visit: Visit, part: Part) -> JSONResponse:
    """One's own; administrators have all of their organisation."""
    return listed(await visit.app.integrations.list(visit.me, limit=part.limit, cursor=part.offset), part, shown)


@router.post("/rotate", response_model=answers.Rotation)
async def rotate_integrations(visit: Visit) -> JSONResponse:
    """Seal every stored key anew by the first of the secret keys; may be stopped and repeated at any point."""
    done = await visit.app.integrations.rotate(visit.me)
    return JSONResponse({"sealed": done.sealed, "current": done.current, "unopened": list(done.unopened)})


@router.get("/{provider}", response_model=answers.Integration, responses=_OF_ONE)
async def get_integration(visit: Visit, provider: Provider) -> JSONResponse:
    """One's key at the provider: how it ends and how it stands, never the key itself."""
    return JSONResponse(shown(await visit.app.integrations.get(visit.me, provider)))


@router.put("/{provider}", response_model=answers.Integration, responses=documented(413, 415), dependencies=TAKES_JSON)
async def put_integration(visit: Visit, provider: Provider, body: bodies.ProviderKey) -> JSONResponse:
    """Store one's key, in the place of an earlier one; it is used once a test has found it good."""
    return JSONResponse(shown(await visit.app.integrations.put(visit.me, provider, body.key, body.base_url)))


@router.post("/{provider}/test", response_model=answers.Integration, responses=_OF_ONE | documented(409))
async def check_integration(visit: Visit, provider: Provider) -> JSONResponse:
    """Ask the provider whether it takes the key, which costs nothing; `status` and `error` say what it answered."""
    return JSONResponse(shown(await visit.app.integrations.test(visit.me, provider)))


@router.delete("/{provider}", status_code=204, response_class=Response, responses=_OF_ONE)
async def delete_integration(
    visit: Visit,
    provider: Provider,
    owner_id: Annotated[str | None, Query(max_length=200, description="whose; one's own, if left out")] = None,
) -> Response:
    """Forget the key."""
    await visit.app.integrations.delete(visit.me, provider, owner_id)
    return Response(status_code=204)
