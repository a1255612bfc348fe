"""`budget`: limits for what agents, users and the organisation spend in a day or a month (UTC), from the shell."""

from typing import TYPE_CHECKING, Annotated

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column
from vel_tutor_mcp.doors.cli.product import with_app
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.store.standing import Period, Scope

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.services.budgets import ToldBudget

commands = typer.Typer(no_args_is_help=True, help="Limit what is spent, and see how the limits stand.")

_NONE = "none"
_COLUMNS = (
    Column("scope"), Column("subject", share=1), Column("period"), Column("kind"), Column("limit"), Column("spent"),
    Column("set aside"), Column("left"), Column("%"),
)  # fmt: skip


@commands.command("set")
def set_budget(
    scope: Annotated[Scope, typer.Option(help="Whose spending is limited.")],
    limit: Annotated[str, typer.Option(metavar="USD|none", help="US dollars; none takes the budget away.")],
    subject: Annotated[str | None, typer.Option(help="Its id or name; left out: you, or your organisation.")] = None,
    period: Annotated[Period | None, typer.Option(help="Of agents, users and organisations: day or month.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Only warn, at 80 % and when it is passed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set a budget, in the place of an earlier one. A hard one is never passed: calls wait, or are not made."""
    if limit == _NONE:
        name = with_app(lambda app: app.budgets.remove(app.local_principal, scope, subject, period), only_look=True)
        if as_json:
            output.document({"scope": scope.value, "subject": name, "limit_usd": None})
        output.say(f"The {scope} {name} has no such budget any more.")
        return
    usd = _usd(limit)
    told = with_app(
        lambda app: app.budgets.set(app.local_principal, scope, subject, period, usd, hard=not soft), only_look=True
    )
    if as_json:
        output.document(told.shown())
    output.say(told.line())


@commands.command("list")
def list_budgets(as_json: AsJson = False) -> None:
    """List the budgets of days and months with what is spent, set aside and left: a table, or lines in a pipe."""

    async def budgets_of(app: "App") -> "list[ToldBudget]":
        return await app.budgets.list(app.local_principal)

    found = with_app(budgets_of, only_look=True)
    if as_json:
        output.document({"budgets": [row.shown() for row in found]})
    elif found:
        output.rows(_COLUMNS, map(_cells, found))
    else:
        output.say("No budgets.")


def _usd(limit: str) -> float:
    try:
        return float(limit)
    except ValueError:
        raise InputError("The limit is no number; it is in US dollars, such as 2.50, or none; correct it.") from None


def _cells(row: "ToldBudget") -> tuple[str, ...]:
    shown = row.shown()
    amounts = (f"{shown[name]:.6f}" for name in ("limit_usd", "spent_usd", "reserved_usd", "left_usd"))
    return (*(shown[name] for name in ("scope", "subject", "period", "kind")), *amounts, f"{shown['percent']:.1f}")
