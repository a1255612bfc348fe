"""`webhook`: addresses that are told of events, from the shell."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column, Cursor, Limit
from vel_tutor_mcp.doors.cli.product import with_app

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.models import Page
    from vel_tutor_mcp.store.webhook_deliveries import Delivery
    from vel_tutor_mcp.store.webhooks import Webhook

commands = typer.Typer(no_args_is_help=True, help="Have addresses told when tasks and runs end, and more.")

FAILED = 1
_COLUMNS = (Column("id"), Column("url", share=1), Column("events", share=1), Column("state"))
_DELIVERY_COLUMNS = (Column("id"), Column("event"), Column("at"), Column("state"), Column("last attempt", share=1))

Id = Annotated[str, typer.Argument(metavar="ID", help="As `webhook list` tells.")]


@commands.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it is sent: https, and a public address.")],
    events: Annotated[list[str], typer.Argument(metavar="EVENT...", help="Such as task.completed run.failed.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Have a URL told of events, and print the secret that signs what is sent: this once."""

    async def made(app: "App") -> tuple[dict[str, Any], str]:
        from vel_tutor_mcp.services.webhooks.hooks import shown

        webhook, secret = await app.webhooks.create(app.local_principal, url, events, description)
        return shown(webhook), secret

    told, secret = with_app(made, only_look=True)
    if as_json:
        output.document(told | {"secret": secret})
        return
    output.result(secret)
    output.say(f"Webhook {told['id']} is told of {', '.join(told['events'])}; try it: webhook test {told['id']}")


@commands.command("list")
def list_webhooks(limit: Limit = 20, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List webhooks, newest first."""
    from vel_tutor_mcp.services.webhooks.hooks import shown

    async def found(app: "App") -> "Page[Webhook]":
        return await app.webhooks.list(app.local_principal, limit=limit, cursor=cursor)

    page = with_app(found, only_look=True)
    output.listed("webhooks", page, _COLUMNS, _cells, shown, as_json=as_json)


@commands.command()
def remove(webhook_id: Id) -> None:
    """Forget a webhook, and what was sent to it."""
    with_app(lambda app: app.webhooks.delete(app.local_principal, webhook_id), only_look=True)
    output.say("The webhook is told nothing more.")


@commands.command("test")
def try_out(webhook_id: Id, as_json: AsJson = False) -> None:
    """Send it one event, now; the exit code is 1 where it is not taken."""
    from vel_tutor_mcp.services.webhooks.hooks import shown_delivery

    sent = with_app(lambda app: app.webhooks.test(app.local_principal, webhook_id), only_look=True)
    if as_json:
        output.document(shown_delivery(sent))
    attempt = sent.attempts[-1]
    output.say(f"It was {sent.state.value}: {_told(attempt)}.")
    raise typer.Exit(FAILED if attempt["error"] else 0)


@commands.command()
def deliveries(webhook_id: Id, limit: Limit = 20, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List what was sent to it in the last 30 days and what waits, newest first."""
    from vel_tutor_mcp.services.webhooks.hooks import shown_delivery

    async def found(app: "App") -> "Page[Delivery]":
        return await app.webhooks.deliveries(app.local_principal, webhook_id, limit=limit, cursor=cursor)

    page = with_app(found, only_look=True)
    output.listed("deliveries", page, _DELIVERY_COLUMNS, _delivery_cells, shown_delivery, as_json=as_json)


def _cells(webhook: "Webhook") -> tuple[str, ...]:
    return (webhook.id, webhook.url, " ".join(webhook.events), "on" if webhook.active else webhook.off_because or "off")


def _delivery_cells(delivery: "Delivery") -> tuple[str, ...]:
    last = _told(delivery.attempts[-1]) if delivery.attempts else ""
    return (delivery.id, delivery.event, f"{delivery.created_at:%Y-%m-%d %H:%M}", delivery.state.value, last)


def _told(attempt: dict[str, Any]) -> str:
    return f"{attempt['error'] or attempt['status']}, {attempt['ms']} ms"
