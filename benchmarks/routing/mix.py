"""A day's mixed prompts, made from templates by a seed: of all kinds, with little or much material."""

from dataclasses import dataclass
from random import Random

from vel_tutor_mcp.models import TaskType

# How much of each kind is asked; an assumption, as is everything here.
SHARES = {
    TaskType.GENERAL: 0.22,
    TaskType.CODE_GENERATION: 0.18,
    TaskType.SUMMARIZATION: 0.14,
    TaskType.CODE_DEBUG: 0.12,
    TaskType.REASONING: 0.11,
    TaskType.EXTRACTION: 0.10,
    TaskType.TRANSLATION: 0.08,
    TaskType.CREATIVE: 0.05,
}

_TEMPLATES = {
    TaskType.GENERAL: (
        "What is the difference between {a} and {b}?",
        "How do I explain {a} to a new colleague? Keep it short.",
        "Is it better to begin with {a} or with {b}, and why?",
    ),
    TaskType.CODE_GENERATION: (
        "Write a Python function that reads {a} from a CSV file and returns the ten largest, with tests.",
        "Implement a thread-safe cache for {a} in Go. Entries expire after an hour; show how {b} would use it.",
        "Write an SQL query that gives, per month, the share of {a} without {b}.",
    ),
    TaskType.SUMMARIZATION: (
        "Summarize these minutes about {a} in three sentences:\n\n{material}",
        "Give me the key points of the following report on {a}.\n\n{material}",
    ),
    TaskType.CODE_DEBUG: (
        "This raises KeyError: 'id' as soon as {a} are empty. Why, and how do I fix it?\n\n{code}",
        "The test for {a} fails now and then with a TimeoutError. Find the bug:\n\n{code}",
    ),
    TaskType.REASONING: (
        "Prove that the number of {a} that share an edge with an odd number of {b} is even.",
        "A depot holds 480 {a}. Each of 7 vans takes 36 and needs 50 minutes. When is it empty? Think step by step.",
        "If all {a} are {b} and no {b} is late, which of these follows, and which does not? Derive it.",
    ),
    TaskType.EXTRACTION: (
        "Extract every name, date and amount from this text as JSON:\n\n{material}",
        "List all {a} that are mentioned below, one per line, with the place.\n\n{material}",
    ),
    TaskType.TRANSLATION: (
        "Translate into German:\n\n{material}",
        "Translate the following notice about {a} into Spanish, in a formal tone.\n\n{material}",
    ),
    TaskType.CREATIVE: (
        "Write a short story in which {a} turn out to be {b}.",
        "Find ten names for a magazine about {a}, each with a slogan.",
    ),
}
_THINGS = (
    "invoices", "delivery routes", "garden tools", "night trains", "insurance claims", "heat pumps", "timetables",
    "rental contracts", "sensor readings", "harbour fees", "bicycle parts", "library cards", "solar panels", "recipes",
)  # fmt: skip
_SENTENCES = (
    "The meeting on 12 March in Lyon began late because two of the guests had missed their connection.",
    "Ms Okafor reported that the costs of 18,400 euros were 6 percent above the plan, mostly for {a}.",
    "Nobody objected to moving the delivery of {b} by one week, as long as the customer is told in writing.",
    "For {a} the board wants a second offer before the end of the quarter.",
    "The old agreement on {b} ends in June; Mr Lindqvist will write a draft of the new one.",
    "It was asked who pays for damage during transport, and the answer was put off.",
)
_CODE = (
    "def load_{n}(rows):",
    "    seen = {{}}",
    "    for row in rows:",
    "        seen[row['id']] = seen.get(row['id'], 0) + row['amount']",
    "    return sorted(seen.items(), key=lambda pair: pair[1])",
    "",
)
_FEWEST, _MOST = 4, 120
_MOST_BLOCKS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: what a person would call its kind, and its words."""

    kind: TaskType
    prompt: str


def mix(count: int, seed: int) -> list[Asked]:
    random = Random(seed)
    kinds = random.choices(list(SHARES), list(SHARES.values()), k=count)
    return [Asked(kind, _prompt(kind, random)) for kind in kinds]


def _prompt(kind: TaskType, random: Random) -> str:
    a, b = random.sample(_THINGS, 2)
    # Most texts are short and a few are long: evenly spread over the orders of magnitude.
    sentences = int(_FEWEST * (_MOST / _FEWEST) ** random.random())
    material = " ".join(random.choices(_SENTENCES, k=sentences)).format(a=a, b=b)
    blocks = range(random.randint(1, _MOST_BLOCKS))
    code = "\n".join(line.format(n=number) for number in blocks for line in _CODE)
    return random.choice(_TEMPLATES[kind]).format(a=a, b=b, material=material, code=code)
