"""Webhooks: addresses that are told of events, with their log. Bodies and answers of these routes are here too."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.bearer import answer
from vel_tutor_mcp.doors.rest.answers import Listed, Open
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, Key, Part, Visit, listed, once
from vel_tutor_mcp.doors.rest.bodies import Body
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.webhooks.hooks import Change, shown, shown_delivery
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.store.webhook_tables import LONGEST_DESCRIPTION, LONGEST_WEBHOOK_URL

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], responses=documented(400, 401, 403, 429, 503))
_WITH_BODY = documented(409, 413, 415)
_OF_ONE = documented(404)
_TOLD = (
    "The webhook was made for the first request with this key; its secret was told then, and is told no more; use that "
    "one, or have a new one made."
)
_UNSTORED = {"cache-control": "no-store"}

Url = Annotated[
    str, Field(max_length=LONGEST_WEBHOOK_URL, examples=["https://example.org/hooks/vel"], description="https, public")
]
Events = Annotated[list[Event], Field(min_length=1, max_length=len(Event), examples=[["task.completed"]])]
Description = Annotated[str, Field(max_length=LONGEST_DESCRIPTION)]


class NewWebhook(Body):
    url: Url
    events: Events
    description: Description = ""


class WebhookChange(Body):
    """What is to change."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    active: Annotated[bool | None, Field(description="false: nothing is sent, and what waits is given up")] = None


class Webhook(Open):
    """`off_because` says why it was switched off, where its owner did not do so."""

    id: str
    owner_id: str
    url: str
    events: list[str]
    description: str
    active: bool
    off_because: str | None
    created_at: str
    updated_at: str
    last_delivery: dict[str, Any] | None


class ToldWebhook(Webhook):
    """With the secret, which is told this once."""

    secret: str


class Delivery(Open):
    """`state` is waiting, delivered or failed; each of `attempts` has `at`, `status`, `error` and `ms`."""

    id: str
    event: str
    created_at: str
    state: str
    attempts: list[dict[str, Any]]
    next_at: str | None


@router.post("", status_code=201, response_model=ToldWebhook, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def create_webhook(visit: Visit, body: NewWebhook, key: Key = None) -> Response:
    """Have a URL told of events. `secret` signs what is sent; it is told this once: with the same key it is 409."""

    async def create() -> JSONResponse:
        made, secret = await visit.app.webhooks.create(visit.me, body.url, body.events, body.description)
        headers = _UNSTORED | {"location": f"/api/webhooks/{made.id}"}
        return JSONResponse(shown(made) | {"secret": secret}, status_code=201, headers=headers)

    return await once(visit, key, "webhooks", body, create, again=answer(409, "CONFLICT", _TOLD))


@router.get("", response_model=Listed[Webhook])
async def list_webhooks(visit: Visit, part: Part) -> JSONResponse:
    """One's own; administrators have all of their organisation."""
    return listed(await visit.app.webhooks.list(visit.me, limit=part.limit, cursor=part.offset), part, shown)


@router.get("/{webhook}", response_model=Webhook, responses=_OF_ONE)
async def get_webhook(visit: Visit, webhook: Id) -> JSONResponse:
    """The webhook, and how it stands with its receiver."""
    return JSONResponse(shown(await visit.app.webhooks.get(visit.me, webhook)))


@router.put("/{webhook}", response_model=Webhook, responses=_OF_ONE | _WITH_BODY, dependencies=TAKES_JSON)
async def update_webhook(visit: Visit, webhook: Id, body: WebhookChange) -> JSONResponse:
    """Change what is given; `active` true switches it on again, also where it was switched off for its failures."""
    change = Change(body.url, body.events, body.description, body.active)
    return JSONResponse(shown(await visit.app.webhooks.update(visit.me, webhook, change)))


@router.delete("/{webhook}", status_code=204, response_class=Response, responses=_OF_ONE)
async def delete_webhook(visit: Visit, webhook: Id) -> Response:
    """Forget it, and what was sent to it."""
    await visit.app.webhooks.delete(visit.me, webhook)
    return Response(status_code=204)


@router.post("/{webhook}/test", response_model=Delivery, responses=_OF_ONE | documented(409))
async def check_webhook(visit: Visit, webhook: Id) -> JSONResponse:
    """Send it one event `webhook.test`, now and once, switched off or not; `attempts` says what came of it."""
    return JSONResponse(shown_delivery(await visit.app.webhooks.test(visit.me, webhook)))


@router.post("/{webhook}/secret", response_model=ToldWebhook, responses=_OF_ONE)
async def renew_webhook_secret(visit: Visit, webhook: Id) -> JSONResponse:
    """A new secret, told this once. For a day the one before it signs as well: each delivery has both signatures."""
    renewed, secret = await visit.app.webhooks.renew_secret(visit.me, webhook)
    return JSONResponse(shown(renewed) | {"secret": secret}, headers=_UNSTORED)


@router.get("/{webhook}/deliveries", response_model=Listed[Delivery], responses=_OF_ONE)
async def list_deliveries(visit: Visit, webhook: Id, part: Part) -> JSONResponse:
    """What was sent to it in the last 30 days and what waits to be sent, newest first."""
    page = await visit.app.webhooks.deliveries(visit.me, webhook, limit=part.limit, cursor=part.offset)
    return listed(page, part, shown_delivery)


@router.post("/{webhook}/deliveries/{delivery}/resend", response_model=Delivery, responses=_OF_ONE | documented(409))
async def resend_delivery(visit: Visit, webhook: Id, delivery: Id) -> JSONResponse:
    """Send it again, with the same id and body, whatever came of it before."""
    return JSONResponse(shown_delivery(await visit.app.webhooks.resend(visit.me, webhook, delivery)))
