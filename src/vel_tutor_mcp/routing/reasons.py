"""Decisions in words that a person understands. Nothing is decided here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter

from vel_tutor_mcp.models import Candidate, Decision, Excluded, Policy
from vel_tutor_mcp.routing.catalog import ModelRow
from vel_tutor_mcp.routing.features import GIVEN, Features
from vel_tutor_mcp.routing.ledger import usd

NO_KEY = "no key: set "
OWN_KEY = "your own key of it is not active"
NO_MODELS = "the catalog has no model of it: add a [[models]] row to the configuration file"
NOT_KNOWN = "its models are not known: it did not answer, or listed none, when this process started"
NO_SUCH_MODEL = "the agent prefers a model that is not in the catalog"
RETIRED = "retired by its provider: used only where an agent names it"
NOT_ALLOWED = "the agent allows"
NOT_THE_ONE = "only the model that is named may answer: the policy is fixed, and there is no fallback"
CIRCUIT_OPEN = "it failed repeatedly: its circuit is open until"
USED_UP = "its rate limit is used up until"
TOO_LONG = "the prompt"
NO_SCHEMA = "it cannot hold to a JSON Schema"
UNPRICED = "no known price, and the configuration does not allow unpriced models"
OVER_BUDGET = "over budget: even its shortest answer could cost"

# What to do, the obstacle that is nearest to being overcome first.
_ADVICE = (
    (CIRCUIT_OPEN, "try again in half a minute"),
    (USED_UP, "try again then"),
    (OVER_BUDGET, "raise the budget or shorten the prompt"),
    (UNPRICED, "add its price to the configuration file, or allow unpriced models"),
    (NO_SCHEMA, "allow another model, or drop response_schema"),
    (TOO_LONG, "shorten the prompt"),
    (OWN_KEY, "test your key, store another one, or delete it"),
    (NOT_KNOWN, "start it, check that VEL_TUTOR_LOCAL_BASE_URL ends in /v1, then start this process again"),
    (NO_KEY, "set the key or allow another provider"),
    (NO_MODELS, "add the row"),
    (NOT_THE_ONE, "allow fallback, or name another model"),
    (NOT_ALLOWED, "allow another provider in the agent's config"),
    (NO_SUCH_MODEL, "correct the agent's model_preferences"),
)
_NAMES_SHOWN = 2
# Answers' worth of feedback below which it is not spoken of.
_FEW = 1.5
_LONG_SECONDS = 1.0

# Never a word of the prompt itself: reasons are kept in the audit trail.
_SIGNAL_WORDS = {
    "translate": "words of translating",
    "into_language": "a language to translate into",
    "tongue": "a language's name",
    "summarize": "words of summing up",
    "extract": "words of extracting or sorting",
    "structured": "a form for data",
    "material": "a text to work on",
    "fix": "words of repair",
    "fault": "a complaint that something fails",
    "error": "words of error",
    "why": "a why",
    "code": "words of programming",
    "language": "the name of a programming language or tool",
    "make": "a verb of making",
    "creative": "words of invention",
    "message": "a kind of letter or speech",
    "solve": "words of calculating or proving",
    "weigh": "words of weighing and planning",
    "research": "words of looking things up",
    "now": "words of the present",
    "ask": "a plain question",
    "explain": "words of explaining",
    "reword": "words of rewording",
    "hard": "hard words",
    "expert": "words of an expert's field",
    "steps": "several steps",
    "simple": "simple words",
    "code_block": "a block of code",
    "code_end": "lines that end like code",
    "inline_code": "code within a line",
    "trace": "an error message",
    "equation": "a calculation",
    "quantities": "a question with several numbers",
}


_TEN_CENTS = 0.1
_p_ok = attrgetter("p_ok")


def money(dollars: float) -> str:
    """US dollars to the cent, below ten cents to two significant digits."""
    if dollars >= _TEN_CENTS or not dollars:
        return f"${dollars:.2f}"
    return f"${float(f'{dollars:.1e}'):.12f}".rstrip("0")


def clock(epoch_seconds: float) -> str:
    return f"{datetime.fromtimestamp(epoch_seconds, UTC):%H:%M:%S} UTC"


def for_choice(
    features: Features,
    policy: Policy,
    chosen: Sequence[Candidate],
    ranked: Sequence[Candidate],
    preferred: ModelRow | None,
    excluded: Sequence[Excluded],
    conditions: Sequence[str] = (),
) -> tuple[str, ...]:
    """The top reasons, the most telling first; () where nothing was chosen.

    `ranked` are all that could be asked, best first; `conditions` what holds only for now, in words.
    """
    if not chosen:
        return ()
    found = (
        _why_first(chosen[0], ranked[0], policy, preferred),
        _preferred_left_out(preferred, excluded),
        *conditions,
        _task_type(features),
        _comparison(chosen[0], ranked),
        _fallback(chosen),
    )
    return tuple([reason for reason in found if reason][:4])


def _why_first(first: Candidate, best: Candidate, policy: Policy, preferred: ModelRow | None) -> str:
    if preferred and first.name == preferred.name:
        return f"{first.name} is the agent's preferred model for this task type"
    if first is not best:
        return (
            f"{first.name} goes first to learn how good it is: {_likely(first)}; "
            f"{best.name} would have been {policy.chosen}"
        )
    return f"{first.name} is {policy.chosen}: {_likely(first)}"


def _likely(candidate: Candidate) -> str:
    by_feedback = f", by feedback worth {candidate.evidence:.0f} answers" if candidate.evidence >= _FEW else ""
    return f"{candidate.p_ok:.0%} likely to be good enough{by_feedback}"


def _preferred_left_out(preferred: ModelRow | None, excluded: Iterable[Excluded]) -> str | None:
    for out in excluded:
        if not out.provider or (preferred and (out.provider, out.model) == (preferred.provider, preferred.model)):
            return f"The preferred model {out.model} is left out: {out.reason}"
    return None


def _task_type(features: Features) -> str:
    kind = features.task_type.replace("_", " ")
    if features.confidence == GIVEN:
        return f"The task type is {kind}, as given; difficulty {features.difficulty:.1f} of 1"
    seen = " and ".join(_SIGNAL_WORDS[signal] for signal in features.telling)
    return (
        f"It looks like {kind} ({features.confidence:.0%} sure), by {seen or 'its wording'}; "
        f"difficulty {features.difficulty:.1f} of 1"
    )


def _comparison(first: Candidate, ranked: Sequence[Candidate]) -> str | None:
    strongest = max(ranked, key=_p_ok)
    if strongest.p_ok <= first.p_ok:
        return None
    return (
        f"It costs about {money(usd(first.expected_cost_nanousd))} instead of "
        f"{money(usd(strongest.expected_cost_nanousd))} with {strongest.name} ({strongest.p_ok:.0%}), and takes about "
        f"{first.expected_latency_ms / 1000:.1f} s instead of {strongest.expected_latency_ms / 1000:.1f} s"
    )


def warm(chosen: Sequence[Candidate], tokens: Mapping[str, int]) -> str:
    name = chosen[0].name
    return f"{name} has read about {tokens[name]:,} tokens of this lately, which costs less than reading them anew"


def paced(delays: Mapping[str, float]) -> str | None:
    """Which model would have to wait longest for its rate limit, where any has to for long."""
    name = max(delays, key=lambda name: delays[name], default="")
    if delays.get(name, 0.0) < _LONG_SECONDS:
        return None
    return f"The rate limit of {name} takes no call for {delays[name]:.0f} s"


def _fallback(chosen: Sequence[Candidate]) -> str | None:
    return f"If it fails, {chosen[1].name} is next" if len(chosen) > 1 else None


def no_candidate_sentence(decision: Decision) -> str:
    """One sentence for a decision without candidates: why for each group of models, and what to do."""
    relevant = [out for out in decision.excluded if out.reason != RETIRED] or list(decision.excluded)
    keys = list(dict.fromkeys(out.reason.removeprefix(NO_KEY) for out in relevant if out.reason.startswith(NO_KEY)))
    if keys and all(out.reason.startswith(NO_KEY) for out in relevant):
        return f"No model can be asked; no provider has a key; set {' or '.join(keys)}."
    groups: dict[str, list[Excluded]] = {}
    for out in relevant:
        groups.setdefault(_kind(out.reason), []).append(out)
    why = "; ".join(f"{_names(group)}: {group[0].reason}" for group in groups.values())
    advice = next((advice for start, advice in _ADVICE if any(kind.startswith(start) for kind in groups)), None)
    return f"No model can take this task; {why or 'the catalog is empty'}; {advice or 'add models to the catalog'}."


def _kind(reason: str) -> str:
    """What a reason is grouped by: the obstacle, and for a missing key the variable too."""
    kinds = (start for start, _ in _ADVICE if start != NO_KEY and reason.startswith(start))
    return next(kinds, reason)


def _names(group: Sequence[Excluded]) -> str:
    if group[0].reason.startswith(NO_KEY):
        return group[0].provider
    rest = len(group) - _NAMES_SHOWN
    names = (f"{out.provider}/{out.model}".strip("/") for out in group[:_NAMES_SHOWN])
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")
