"""`db`: the database itself. `current` looks, `upgrade` does what every start does, `copy` moves all to another one,
`rebuild-usage` sums up anew.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from vel_tutor_mcp.doors.cli import output
from vel_tutor_mcp.doors.cli.output import AsJson, Column
from vel_tutor_mcp.doors.cli.tasks import INTERRUPTED
from vel_tutor_mcp.doors.reply import EXIT_CODES
from vel_tutor_mcp.errors import ConfigurationError, VelError

if TYPE_CHECKING:
    from vel_tutor_mcp.store.copying import Step
    from vel_tutor_mcp.store.database import Database
    from vel_tutor_mcp.store.inspection import Inventory

    Tell = Callable[[Step], None]

commands = typer.Typer(no_args_is_help=True, help="Look at the database, upgrade it, move it to another one.")

NOT_CURRENT = 1
_UNFIT = EXIT_CODES[ConfigurationError]
_COLUMNS = (Column("table"), Column("rows"), Column("compared", share=1))
_SEALED = (
    "The keys of integrations were copied as they are, sealed: take VEL_TUTOR_SECRET_KEY along, or the file secret.key "
    "of VEL_TUTOR_HOME; without it they cannot be opened."
)
_EXIT_CODES = {"current": 0, "behind": NOT_CURRENT, "empty": NOT_CURRENT, "newer": _UNFIT, "foreign": _UNFIT}


@commands.command()
def current(as_json: AsJson = False) -> None:
    """Tell where the database is and whether its schema is this version's, changing nothing; exit code 0 if it is."""
    from vel_tutor_mcp.store import schema
    from vel_tutor_mcp.store.inspection import inventory

    database = _database()
    found = inventory(database)
    if as_json:
        output.document(
            {
                "place": database.place,
                "state": found.state,
                "revision": found.revision,
                "newest": schema.revisions()[-1],
                "rows": dict(found.rows),
            }
        )
    else:
        output.result(_standing(database.place, found))
    raise typer.Exit(_EXIT_CODES[found.state])


@commands.command()
def upgrade(as_json: AsJson = False) -> None:
    """Make or upgrade the tables, as every start does; safe beside running servers, and as often as you like."""
    from vel_tutor_mcp.app import upgrade as upgrade_tables
    from vel_tutor_mcp.store.inspection import inventory

    database = _database()
    before = inventory(database).revision
    upgrade_tables(database)
    after = inventory(database).revision
    if as_json:
        output.document({"place": database.place, "before": before, "revision": after})
    else:
        output.result(_upgraded(database.place, before, after))


@commands.command()
def rebuild_usage(as_json: AsJson = False) -> None:
    """Sum up usage anew out of the attempts, as far back as reports look; safe beside running servers."""
    from vel_tutor_mcp.app import upgrade as upgrade_tables
    from vel_tutor_mcp.services.rollups import Rollups
    from vel_tutor_mcp.store.database import capital

    database = _database()
    upgrade_tables(database)

    async def rebuilt() -> int:
        try:
            return await Rollups(database).rebuild()
        finally:
            await database.close()

    spans = asyncio.run(rebuilt())
    if as_json:
        output.document({"place": database.place, "hours_and_days": spans})
    else:
        output.result(f"{capital(database.place)}: usage of {spans:,} hours and days was summed up anew.")


@commands.command()
def copy(
    to: Annotated[str, typer.Option(metavar="URL", help="The empty database to copy to, as VEL_TUTOR_DATABASE_URL.")],
    as_json: AsJson = False,
) -> None:
    """Copy everything to another, empty database, compare every row, and leave this one as it is."""
    from vel_tutor_mcp.app import upgrade as upgrade_tables
    from vel_tutor_mcp.services.moving import move
    from vel_tutor_mcp.store.places import database_at

    source = _database()
    with _told_of("--to", ""):
        # Who moves away from the source must find the copy after a power cut, too.
        target = database_at(to, sqlite_synchronous="FULL")
    try:
        with _told_of("--to", target.place), _progress() as tell:
            rows = move(source, target, upgrade_tables, tell)
    except KeyboardInterrupt:
        output.say(f"Interrupted: nothing was copied, and {source.place} is as it was.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        output.document({"source": source.place, "target": target.place, "rows": rows})
    else:
        output.rows(_COLUMNS, [(table, f"{number}", "all the same") for table, number in rows.items()])
    output.say(_copied(source.place, target.place, sum(rows.values())))
    if rows["integrations"]:
        output.say(_SEALED)


def _database() -> "Database":
    from vel_tutor_mcp.settings import load_settings
    from vel_tutor_mcp.store.places import database_of

    return database_of(load_settings())


def _standing(place: str, found: "Inventory") -> str:
    from vel_tutor_mcp.store import schema
    from vel_tutor_mcp.store.database import capital

    newest = schema.revisions()[-1]
    match found.state:
        case schema.State.CURRENT:
            return f"{capital(place)} is current: revision {newest}."
        case schema.State.BEHIND:
            return (
                f"{capital(place)} is behind: revision {found.revision}, this version's is {newest}; back it up, then "
                "upgrade it with vel-tutor-mcp db upgrade, or by any start."
            )
        case schema.State.EMPTY:
            return f"{capital(place)} is empty; vel-tutor-mcp db upgrade, or any start, makes its tables."
        case _:
            return str(schema.refusal(place, found.revision, found.tables))


def _upgraded(place: str, before: str | None, after: str | None) -> str:
    from vel_tutor_mcp.store.database import capital

    if before == after:
        return f"{capital(place)} is current: revision {after}; there was nothing to do."
    if before is None:
        return f"{capital(place)} has its tables now: revision {after}."
    return f"{capital(place)} was upgraded from revision {before} to {after}."


def _copied(source: str, target: str, rows: int) -> str:
    return (
        f"Copied {rows:,} rows to {target} and compared every one; {source} is as it was: to go on with the copy, set "
        "VEL_TUTOR_DATABASE_URL to the URL that you gave to --to, wherever vel-tutor-mcp is started."
    )


@contextmanager
def _told_of(option: str, place: str) -> Iterator[None]:
    """Errors of the database at this place name the option, by which it was given, not the setting."""
    try:
        yield
    except VelError as problem:
        sentence = str(problem)
        # A sentence may begin with the place, then in upper case. Without a place it is about the URL itself.
        if place[1:] not in sentence:
            raise
        raise type(problem)(sentence.replace("VEL_TUTOR_DATABASE_URL", option)) from None


@contextmanager
def _progress() -> "Iterator[Tell]":
    """A changing bar on a terminal; else a line for each table."""
    if not output.on_terminal("stderr"):
        yield _tell_in_lines
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("beginning")

        def tell(step: "Step") -> None:
            bar.update(shown, description=f"{step.doing} {step.table}", completed=step.done, total=step.total)

        yield tell


def _tell_in_lines(step: "Step") -> None:
    if step.done == step.total:
        output.say(f"{step.doing} {step.table}: {step.total:,} rows")
