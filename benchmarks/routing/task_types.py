"""How well task types are told: `python benchmarks/routing/task_types.py [FILE ...]`, of labelled prompts.

Each file (prompts/test.jsonl where none is given) is scored with the shipped weights, beside the rules alone and always
its commonest type.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.task_scores import HEADING, Told, line, read_labelled, scored

TEST = Path(__file__).with_name("prompts") / "test.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[TEST], metavar="FILE")
    print(HEADING)
    for file in parser.parse_args().files:
        rows = read_labelled(file)
        most, count = Counter(row.task_type for row in rows).most_common(1)[0]
        print(line(f"{file.name}: learned", scored(rows, _learned)))
        print(line(f"{file.name}: rules alone", scored(rows, _by_rules)))
        print(line(f"{file.name}: always {most}", scored(rows, _always(most, count / len(rows)))))


def _always(task_type: TaskType, confidence: float) -> Callable[[str], Told]:
    return lambda _: (task_type, confidence)


def _learned(prompt: str) -> Told:
    seen = features(prompt)
    return seen.task_type, seen.confidence


def _by_rules(prompt: str) -> Told:
    seen = features(prompt, learned=False)
    return seen.task_type, seen.confidence


if __name__ == "__main__":
    main()
