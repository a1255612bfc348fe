"""What users of other routers complain about, prevented: each test is named after one complaint.

The numbers are those of the list from which they were taken; those that need a whole task are in `integration/`.
"""

import os
import subprocess
import sys

import pytest

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Decision, TaskType
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest, decide
from vel_tutor_mcp.routing.reasons import RETIRED

CATALOG = Catalog.load()
PRICES = Prices(CATALOG)

EASY = ("What is the capital of France?", "Say hello.", "What does HTTP stand for?", "Thanks for your help!")
HARD = (
    "Predict the major product, with stereochemistry, of the Diels-Alder reaction of isoprene with maleic anhydride.",
    "What is the pH of a buffer of 0.20 M acetic acid and 0.35 M sodium acetate after 0.02 mol of HCl is added?",
    "Derive the rate law of an SN1 reaction from the steady-state approximation.",
    "Prove that the square root of 2 plus the square root of 3 is irrational.",
    "Show that there are infinitely many primes congruent to 3 modulo 4.",
    "Prove that every finite integral domain is a field.",
    "Does a limitation of liability clause survive the termination of a contract by repudiatory breach?",
    "Is a landlord liable in negligence for a tenant's dog that he knew to be dangerous?",
    "Analyze whether a non-compete clause of three years is enforceable in California.",
)  # fmt: skip

OFFLINE = """
import sys
sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith(("socket.", "urllib.")) else None)
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices
from vel_tutor_mcp.routing.policy import RouteRequest, decide
catalog = Catalog.load()
request = RouteRequest(features=features("Prove it."), prompt_bytes=9, configured=frozenset({"groq"}))
print(decide(request, catalog, Prices(catalog), Health(), 0.0).candidates[0].provider)
print(*sorted(name for name in ("openai", "torch", "sklearn", "transformers") if name in sys.modules))
"""


def decided(prompt: str, **wanted: object) -> Decision:
    read = features(prompt)
    request = RouteRequest(
        features=read,
        prompt_bytes=prompt_bytes(prompt),
        configured=frozenset({"openai", "groq"}),
        **wanted,  # type: ignore[arg-type]
    )
    return decide(request, CATALOG, PRICES, Health(), 1_800_000_000.0)


@pytest.mark.parametrize("prompt", HARD)
def test_19_hard_chemistry_proofs_and_law_are_not_called_easy(prompt: str) -> None:
    assert features(prompt).difficulty > 2 * max(features(easy).difficulty for easy in EASY)


@pytest.mark.parametrize("prompt", HARD)
def test_19_nor_are_they_given_to_a_small_model_where_a_larger_one_is_at_hand(prompt: str) -> None:
    first = decided(prompt).candidates[0]
    assert CATALOG.find(first.name).tier != "small"


def test_26_routing_needs_no_key_no_embeddings_and_no_network() -> None:
    nothing = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=nothing, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["groq"]), done.stderr


@pytest.mark.parametrize(
    ("invented", "near"),
    [
        ("gpt-4oo-mini", "openai/gpt-4o-mini"),
        ("gpt-oss-12b", "groq/openai/gpt-oss-120b"),
        ("sonar-prro", "perplexity/sonar-pro"),
    ],
)
def test_27_an_invented_model_is_refused_with_the_names_that_come_close(invented: str, near: str) -> None:
    with pytest.raises(InputError, match=r"^No such model; .* did you mean ") as refusal:
        CATALOG.find(invented)
    assert near in str(refusal.value)


def test_27_a_name_like_no_other_is_refused_with_where_to_look() -> None:
    with pytest.raises(InputError, match="see models://catalog"):
        CATALOG.find("zzz")


@pytest.mark.parametrize("old", [row.name for row in CATALOG.models if row.retired])
def test_27_an_old_model_is_known_never_chosen_by_itself_and_told_as_retired(old: str) -> None:
    alone = decided("Say hello.")
    reason = next(out.reason for out in alone.excluded if f"{out.provider}/{out.model}" == old)
    named = decided("Say hello.", model_preferences=dict.fromkeys(TaskType, old))
    assert (reason, named.candidates[0].name) == (RETIRED, old)
