"""Where the product looks beyond one organisation: the places are listed here, and why in docs/deploy.md."""

import ast
from collections import Counter
from pathlib import Path

import vel_tutor_mcp

SOURCE = Path(vel_tutor_mcp.__file__).parent
# How often each module opens a transaction for the installation, or for a moment turns somebody's into one.
PLACES = {
    # The first rows, and the migrations, the doctor's look, and the copy to another database.
    "app.py": 1,
    "store/database.py": 1,
    "store/schema.py": 1,
    "store/inspection.py": 2,
    "store/copying.py": 1,
    # Who comes in by an e-mail, a token or a code that only tells who it is of once it is found.
    "services/credentials.py": 1,
    "services/throttle.py": 2,
    "services/keyring.py": 4,
    "services/pairs.py": 1,
    "services/oauth.py": 6,
    "services/outside.py": 1,
    # Whether the tokens of open streams, of whomever, are still good.
    "services/access.py": 1,
    # Whether something has changed of what anybody follows, and whether they may still see it.
    "services/changes.py": 1,
    # Whose task it is that is to be run, recovered or begun; and what has expired, of whomever.
    "services/answers.py": 2,
    "services/traced.py": 1,
    "services/care.py": 7,
    "services/wire.py": 1,
    # The hours and days of all.
    "services/rollups.py": 8,
    # Numbers of all, for `/metrics`.
    "services/measuring.py": 1,
    "services/planner.py": 1,
    "services/bridged.py": 1,
    # What is due in the outbox, whosever webhook it is for.
    "services/webhooks/sending.py": 2,
    # Whose calls go wrong, and whose turn it is to look.
    "services/alerts/watch.py": 3,
    # One line for all tasks, and the places of a provider for all calls.
    "services/admission.py": 1,
    "services/booking.py": 1,
    # The chain of all.
    "services/audit/keeping.py": 2,
    "services/audit/archives.py": 1,
    "services/audit/verdict.py": 1,
    "store/audit_reading.py": 2,
    # Yes or no: is it another's, does the e-mail or the issuer's subject have an account.
    "services/lookup.py": 1,
    "services/rates.py": 1,
    "services/accounts.py": 2,
    # What does it.
    "store/isolation.py": 1,
}


def test_nothing_looks_beyond_one_organisation_but_in_these_places() -> None:
    found = Counter[str]()
    for path in SOURCE.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        found[path.relative_to(SOURCE).as_posix()] = sum(map(_looks_beyond, calls))
    assert +found == PLACES


def _looks_beyond(call: ast.Call) -> bool:
    given = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
    return "INSTALLATION" in given or (isinstance(call.func, ast.Name) and call.func.id == "everywhere")
