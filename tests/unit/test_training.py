import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vel_tutor_mcp.routing import model_file
from vel_tutor_mcp.routing.measures import calibration_error, pair
from vel_tutor_mcp.routing.training import decide, fit, predict
from vel_tutor_mcp.routing.trial import tried

Row = dict[str, Any]

EASY = ("What is the capital of {}?", "Spell the name {} for me.", "Is {} a large country?")
HARD = ("Prove the theorem of {} step by step.", "Derive the integral that {} used.", "Prove that {} was wrong.")
NAMES = ("France", "Chad", "Peru", "Japan", "Kenya", "Norway", "Chile", "Egypt", "India", "Nepal", "Mali", "Oman")


def rows_of_a_rule(count: int, seed: int = 1) -> list[Row]:
    """The small model is good at easy prompts, the large one at hard ones."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        hard = chance.random() < 0.5
        prompt = chance.choice(HARD if hard else EASY).format(" and ".join(chance.sample(NAMES, 2)))
        likely = {"small": 0.15 if hard else 0.95, "large": 0.9 if hard else 0.5}
        found.append({"prompt": prompt, "outcomes": {k: float(chance.random() < p) for k, p in likely.items()}})
    return found


RULE, OTHERS = rows_of_a_rule(150), rows_of_a_rule(100, seed=2)


def mean(rows: Sequence[Row], choices: Sequence[str]) -> float:
    return float(np.mean([row["outcomes"][name] for row, name in zip(rows, choices, strict=True)]))


def test_what_a_rule_says_is_learned_and_pays() -> None:
    chosen = decide(fit(RULE), [row["prompt"] for row in OTHERS])
    best = max(mean(OTHERS, [name] * len(OTHERS)) for name in ("small", "large"))
    assert mean(OTHERS, chosen) > best + 0.1


def test_the_chances_are_calibrated() -> None:
    chances = predict(fit(RULE), [row["prompt"] for row in OTHERS])
    for name in ("small", "large"):
        expected = np.array([row[name] for row in chances])
        assert calibration_error(expected, np.array([row["outcomes"][name] for row in OTHERS])) < 0.15


def test_the_same_rows_give_the_same_model(tmp_path: Path) -> None:
    for name in ("one.npz", "other.npz"):
        model_file.save(fit(RULE), tmp_path / name)
    assert model_file.load(tmp_path / "one.npz").margin == model_file.load(tmp_path / "other.npz").margin
    prompts = [row["prompt"] for row in OTHERS]
    assert predict(fit(RULE), prompts) == predict(fit(RULE), prompts)


def test_a_model_that_is_known_for_other_prompts_only_is_learned_too() -> None:
    half = [
        {**row, "outcomes": {k: v for k, v in row["outcomes"].items() if i % 3 or k == "large"}}
        for i, row in enumerate(RULE)
    ]
    half += [{"prompt": row["prompt"], "outcomes": {"third": 1.0}} for row in OTHERS]
    model = fit(half)
    assert model.names == ("large", "small", "third")
    hard, easy = predict(model, ["Prove the theorem of Peru and Chad.", "What is the capital of Mali and Oman?"])
    assert hard["small"] < easy["small"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": "Hello", "outcomes": {"a": 1}}],
        [{"prompt": "", "outcomes": {"a": True, "b": 0.5}}] * 5,
        [{"prompt": f"Zähle bis {n} 数", "source": "x", "outcomes": {"a": 0.3}} for n in range(40)],
        [{"prompt": "same", "outcomes": {"a": 1.0, "b": 1.0}}] * 30,
        [{"prompt": "\ud800 \x00", "outcomes": {"a/b": 0.0}}, {"prompt": "x" * 9000, "outcomes": {"c": 1}}],
    ],
)
def test_however_little_there_is_it_gives_chances_and_a_choice(rows: list[Row]) -> None:
    model = fit(rows)
    for chances in predict(model, ["", "Hello", "你好", "Why? " * 3000]):
        assert set(chances) == set(model.names)
        assert all(0 <= chance <= 1 for chance in chances.values())
    assert set(decide(model, ["", "Hello"])) <= set(model.names)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({}, "prompt is missing"),
        ({"prompt": 3, "outcomes": {"a": 1}}, "prompt is missing or no text"),
        ({"prompt": "x"}, "outcomes are missing"),
        ({"prompt": "x", "outcomes": {}}, "empty"),
        ({"prompt": "x", "outcomes": {"a": 1.5}}, "'a' is no number from 0 to 1"),
        ({"prompt": "x", "outcomes": {"a": float("nan")}}, "'a' is no number"),
        ({"prompt": "x", "outcomes": {"a": "1"}}, "'a' is no number"),
        ({"prompt": "x", "outcomes": {"": 1}}, "name is empty"),
        ([], "no object"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: Any, why: str) -> None:
    with pytest.raises(ValueError, match=rf"Row 2 cannot be used; .*{why}"):
        fit([{"prompt": "Hello", "outcomes": {"a": 1}}, row])


def test_no_rows_are_told() -> None:
    with pytest.raises(ValueError, match="no rows"):
        fit([])


scores = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 1), st.integers(0, 1)), min_size=20, max_size=40)


@settings(max_examples=15, deadline=None)
@given(scores)
def test_the_best_single_model_is_left_only_where_another_is_better_by_the_margin(
    given_scores: list[tuple[str, int, int]],
) -> None:
    model = fit([{"prompt": word, "outcomes": {"a": a, "b": b}} for word, a, b in given_scores])
    best = model.names[model.default]
    for chances, chosen in zip(predict(model, NAMES), decide(model, NAMES), strict=True):
        assert chosen == best or chances[chosen] - chances[best] > model.margin


def test_luck_alone_does_not_lead_away_from_the_best_model_at_a_loss() -> None:
    chance = random.Random(3)
    rows: list[Row] = [
        {
            "prompt": " ".join(chance.sample(NAMES, 4)),
            "outcomes": {"a": chance.random() < 0.8, "b": chance.random() < 0.6},
        }
        for _ in range(400)
    ]
    chosen = decide(fit(rows[:200]), [row["prompt"] for row in rows[200:]])
    assert chosen.count("b") < 20


def test_weights_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    path, model = tmp_path / "weights.npz", fit(RULE)
    model_file.save(model, path)
    again, prompts = model_file.load(path), [row["prompt"] for row in OTHERS]
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]
    assert path.stat().st_size < 1_000_000
    for before, after in zip(predict(model, prompts), predict(again, prompts), strict=True):
        assert after == pytest.approx(before, abs=0.002)
    assert (again.names, again.default, again.margin) == (model.names, model.default, model.margin)


def test_a_damaged_file_is_refused_unless_the_damage_is_outside_of_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    model_file.save(fit(RULE), path)
    whole, expected, refused = path.read_bytes(), predict(model_file.load(path), ["Prove it."]), 0
    for place in range(50, len(whole), len(whole) // 30):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert predict(model_file.load(path), ["Prove it."]) == expected
        except ValueError:
            refused += 1
    assert refused > 20
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        model_file.load(path)


def test_another_array_file_is_none_of_ours(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", header=np.arange(3))
    assert not model_file.is_one(tmp_path / "other.npz")
    assert not model_file.is_one(tmp_path / "missing.npz")


def test_a_perfect_ranking_goes_all_the_way_with_the_calls_that_matter() -> None:
    weak, strong = np.array([1.0] * 80 + [0.0] * 20), np.ones(100)
    perfect = pair(1 - weak + np.arange(100) / 1000, weak, strong)
    blind = pair(np.random.default_rng(1).random(100), weak, strong)
    assert perfect.apgr > 0.85
    assert perfect.cpt50 == pytest.approx(10)
    assert 0.35 < blind.apgr < 0.65


def test_a_trial_shows_the_router_beside_what_costs_nothing() -> None:
    trial = tried(RULE)
    assert trial.gain.low > 0
    ranked = {row.name: row for row in trial.ranked}
    assert ranked.keys() == {"random", "length", "keywords", "learned"}
    assert ranked["learned"].apgr.value > ranked["random"].apgr.value
