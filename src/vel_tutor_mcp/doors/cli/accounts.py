"""`user` and `token`: accounts from the shell. The first administrator is made here, by whoever runs the server."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column, Cursor, Limit
from vel_tutor_mcp.doors.cli.product import with_app
from vel_tutor_mcp.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.auth.accounts import Account, Grant
    from vel_tutor_mcp.models import Page

users = typer.Typer(no_args_is_help=True, help="Make accounts, change roles, and keep people out.")
tokens = typer.Typer(no_args_is_help=True, help="Give clients tokens, and take them back.")

_COLUMNS = (
    Column("id"), Column("user", share=1), Column("role"), Column("organisation"), Column("state"), Column("since"),
)  # fmt: skip
_TOKEN_COLUMNS = (Column("id"), Column("name", share=1), Column("good until"), Column("state"))

User = Annotated[str, typer.Argument(metavar="USER", help="Id, e-mail or name.")]
RoleName = Annotated[str, typer.Option(help="admin, org_admin, agent_manager, task_executor or viewer.")]


@users.command()
def create(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="What they sign in by.")],
    role: RoleName = "task_executor",
    organisation: Annotated[str | None, typer.Option(help="Its name; yours, unless given; made if new.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an account. The password is asked for, or read from the first line of a pipe; it is never an argument."""
    from vel_tutor_mcp.services.accounts import role_named

    wanted, password = role_named(role), _password()

    async def made(app: "App") -> "Account":
        return await app.accounts.create(app.local_principal, email, password, wanted, organisation)

    _tell(with_app(made, only_look=True), "was made", as_json=as_json)


@users.command("list")
def list_users(
    role: Annotated[str | None, typer.Option(help="Only of this role.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List accounts, newest first: a table, or lines in a pipe."""
    from vel_tutor_mcp.services.accounts import role_named, shown

    wanted = role_named(role) if role else None

    async def found(app: "App") -> "Page[Account]":
        return await app.accounts.list(app.local_principal, role=wanted, limit=limit, cursor=cursor)

    output.listed("users", with_app(found, only_look=True), _COLUMNS, _cells, shown, as_json=as_json)


@users.command("role")
def set_role(
    user: User,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="One of those of `user create`.")],
    as_json: AsJson = False,
) -> None:
    """Give a user another role, which holds from their next request on."""
    from vel_tutor_mcp.services.accounts import role_named

    wanted = role_named(role)

    async def changed(app: "App") -> "Account":
        return await app.accounts.set_role(app.local_principal, user, wanted)

    account = with_app(changed, only_look=True)
    still = ", and still disabled" if account.disabled_at else ""
    _tell(account, f"is {wanted} now{still}", as_json=as_json)


@users.command()
def disable(user: User, as_json: AsJson = False) -> None:
    """Keep a user out: every token of theirs ends, and they cannot sign in."""

    async def disabled(app: "App") -> "Account":
        return await app.accounts.disable(app.local_principal, user)

    _tell(with_app(disabled, only_look=True), "is disabled", as_json=as_json)


@users.command()
def enable(user: User, as_json: AsJson = False) -> None:
    """Let a disabled user in again. Tokens of before stay ended: they sign in anew."""

    async def enabled(app: "App") -> "Account":
        return await app.accounts.enable(app.local_principal, user)

    _tell(with_app(enabled, only_look=True), "is let in again", as_json=as_json)


@users.command("password")
def set_password(user: User, as_json: AsJson = False) -> None:
    """Give a user who forgot theirs another password, asked for as by `user create`. Every token of theirs ends."""
    password = _password()

    async def changed(app: "App") -> "Account":
        return await app.accounts.set_password(app.local_principal, user, password)

    _tell(with_app(changed, only_look=True), "has another password now, and signs in anew", as_json=as_json)


@users.command()
def link(
    user: User,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Who they are to the outside issuer: `sub`.")],
    as_json: AsJson = False,
) -> None:
    """Let whom the outside issuer calls SUBJECT come in as the user."""
    _tell(with_app(_linking(user, subject), only_look=True), "is linked", as_json=as_json)


@users.command()
def unlink(user: User, as_json: AsJson = False) -> None:
    """Take the outside issuer's word for the user no more, from their next request on."""
    _tell(with_app(_linking(user, None), only_look=True), "is not linked any more", as_json=as_json)


@tokens.command()
def issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as cursor-at-work.")],
    user: Annotated[str | None, typer.Option(help="For whom: id, e-mail or name; you, unless given.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is good.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Issue a token for a client, and print it: this once, for it is kept nowhere."""

    async def issued(app: "App") -> tuple[dict[str, Any], str]:
        from vel_tutor_mcp.services.access import shown

        made = await app.access.issue(app.local_principal, name, days, user)
        return shown(made.grant), made.token

    grant, token = with_app(issued, only_look=True)
    if as_json:
        output.document(grant | {"token": token})
        return
    output.result(token)
    output.say(f"Good until {grant['expires_at']}; take it back with: vel-tutor-mcp token revoke {grant['id']}")


@tokens.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option(help="Whose: id, e-mail or name; yours, unless given.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List what clients come in by, issued tokens and what they were allowed in a browser, newest first."""
    from vel_tutor_mcp.services.access import shown

    async def found(app: "App") -> "Page[Grant]":
        return await app.access.issued(app.local_principal, user, limit=limit, cursor=cursor)

    page = with_app(found, only_look=True)
    output.listed("tokens", page, _TOKEN_COLUMNS, _token_cells, shown, as_json=as_json)


@tokens.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token issue` and `token list` tell.")],
) -> None:
    """Take a token back: its next request is refused."""

    async def revoked(app: "App") -> "Grant":
        return await app.access.revoke(app.local_principal, token_id)

    output.say(f"The token {with_app(revoked, only_look=True).name} is good no more.")


def _linking(user: str, subject: str | None) -> "Callable[[App], Awaitable[Account]]":
    return lambda app: app.accounts.link(app.local_principal, user, subject)


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    line = sys.stdin.readline()
    if not line:
        raise InputError("There is no password; it is asked for on a terminal, or read from a pipe; give one there.")
    return line.rstrip("\r\n")


def _tell(account: "Account", what: str, *, as_json: bool) -> None:
    from vel_tutor_mcp.services.accounts import shown

    if as_json:
        output.document(shown(account))
    output.say(f"{account.name} ({account.role}, {account.organisation}) {what}.")


def _cells(account: "Account") -> tuple[str, ...]:
    state = "disabled" if account.disabled_at else "active" if account.email else "local"
    return (account.id, account.name, account.role, account.organisation, state, f"{account.created_at:%Y-%m-%d}")


def _token_cells(grant: "Grant") -> tuple[str, ...]:
    return (grant.id, grant.name or "", f"{grant.expires_at:%Y-%m-%d}", "revoked" if grant.revoked_at else "good")
