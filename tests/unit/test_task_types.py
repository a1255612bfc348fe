"""The task type of a prompt, learned: prompts that mislead, other languages, calibration, and what is left without."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing import task_types, weights_file
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.lexicon import WORDS
from vel_tutor_mcp.routing.reasons import _SIGNAL_WORDS
from vel_tutor_mcp.routing.signals import SHAPES, signals_in
from vel_tutor_mcp.routing.task_scores import Labelled, Scores, Told, read_labelled, scored

PROMPTS = Path(__file__).parents[2] / "benchmarks" / "routing" / "prompts"
WEIGHTS = Path(task_types.__file__).with_name("weights") / task_types.FILE


def told(prompt: str) -> Told:
    seen = features(prompt)
    return seen.task_type, seen.confidence


@pytest.fixture(scope="module")
def on_unseen() -> Scores:
    return scored(read_labelled(PROMPTS / "test.jsonl"), told)


@pytest.mark.parametrize(
    ("prompt", "task_type"),
    [
        ("Write a story about a translator who loses her voice.", "creative"),
        ("Write a poem about a stack overflow.", "creative"),
        ("Explain this error: TypeError: 'int' object is not iterable\n```python\nfor x in 5: pass\n```", "code_debug"),
        (
            "Summarize the code review below in two sentences: Ada wants shorter names, Bo found a leak.",
            "summarization",
        ),
        ("Translate this error message into French: The file was not found.", "translation"),
        ("Write a function that summarizes a text.", "code_generation"),
        ("Write a Python function that translates Roman numerals to integers.", "code_generation"),
        ("Extract every date from this Python changelog as JSON: 3.11 came out on 24 October 2022.", "extraction"),
        ("What is a linked list?", "general"),
        ("Who wrote Faust?", "general"),
        ("What is the latest Python version? Give me a link.", "research"),
        ("A baker sells 12 rolls for 6 euros. How much are 30 rolls?", "reasoning"),
        ("Schreibe eine Geschichte über einen Programmierer, der einen Fehler sucht.", "creative"),
        ("Warum stürzt dieses Skript ab?\n```python\nprint(1/0)\n```", "code_debug"),
        ("Traduis ce message d'erreur en anglais : fichier introuvable.", "translation"),
        ("Résume en une phrase cette discussion : Léa veut partir, Max préfère rester.", "summarization"),
        ("Escribe una función en Python que resuma un texto.", "code_generation"),
        ("Scrivi una poesia su un bug che nessuno trova.", "creative"),
        ("Traduz para inglês: a função não devolve nada.", "translation"),
        ("Докажи, что корень из двух иррационален.", "reasoning"),
        ("请把下面的句子翻译成英文: 今天下雨。", "translation"),
        ("用Python写一个函数, 判断一个数是不是质数。", "code_generation"),
        ("次の文章を一文で要約してください。会議は延期されました。", "summarization"),
    ],
)
def test_a_prompt_is_told_by_what_it_asks_for_and_not_by_what_it_is_about(prompt: str, task_type: str) -> None:
    assert features(prompt).task_type == task_type


def test_three_of_four_prompts_of_an_unseen_author_are_told_right(on_unseen: Scores) -> None:
    assert on_unseen.accuracy >= 0.75


def test_nine_of_ten_prompts_about_code_are_known_to_be(on_unseen: Scores) -> None:
    assert on_unseen.code_recall >= 0.9


def test_the_confidence_is_how_often_it_is_right(on_unseen: Scores) -> None:
    # Of 323 rows a classifier that is calibrated shows 0.036 by chance, and 0.053 in one of twenty cases.
    assert on_unseen.ece <= 0.06


def test_what_is_learned_tells_more_than_the_rules(on_unseen: Scores) -> None:
    def by_rules(prompt: str) -> Told:
        seen = features(prompt, learned=False)
        return seen.task_type, seen.confidence

    assert on_unseen.accuracy >= scored(read_labelled(PROMPTS / "test.jsonl"), by_rules).accuracy + 0.1


def test_no_prompt_is_trained_on_and_tested_on_or_there_twice() -> None:
    prompts = [" ".join(row.prompt.lower().split()) for file in PROMPTS.glob("*.jsonl") for row in read_labelled(file)]
    assert len(prompts) > 1400
    assert len(set(prompts)) == len(prompts)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("absent", "No such file"),
        ("cut", "no file of routing weights, or damaged"),
        ("altered", "checksum does not match"),
        ("of other signals", "for other signals"),
        ("of another version", "of version 0"),
        ("of models", "no file of these"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_of_and_not_used(
    damage: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / task_types.FILE
    about, arrays = weights_file.load(WEIGHTS, task_types.FILE_KIND, task_types.FILE_VERSION, task_types.FILE_ARRAYS)
    if damage == "of other signals":
        weights_file.save(path, task_types.FILE_KIND, task_types.FILE_VERSION, {"names": about["names"][1:]}, arrays)
    elif damage == "of another version":
        weights_file.save(path, task_types.FILE_KIND, 0, about, arrays)
    elif damage == "altered":
        with np.load(WEIGHTS) as content:
            np.savez(path, **{**content, "scale": np.float32(1)})
    elif damage != "absent":
        content = (WEIGHTS if damage == "cut" else WEIGHTS.with_name("quality.npz")).read_bytes()
        path.write_bytes(content[:1000] if damage == "cut" else content)
    assert weights_file.usable(task_types.load, path, "rules stand in") is None
    assert caplog.text.count(task_types.FILE) == 1
    assert why in caplog.text


def test_where_the_shipped_file_cannot_be_used_the_rules_tell(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task_types.shipped.cache_clear()
    monkeypatch.setattr(task_types, "FILE", "gone.npz")
    try:
        assert features("Translate: hi") == features("Translate: hi", learned=False)
        assert features("Write a poem.") == features("Write a poem.", learned=False)
    finally:
        task_types.shipped.cache_clear()
    assert caplog.text.count("gone.npz are not used") == 1


def test_without_weights_the_rules_tell() -> None:
    signals = signals_in("Translate into German: good morning")
    guess = task_types.by_rules(signals)
    seen = features("Translate into German: good morning", learned=False)
    assert (seen.task_type, seen.confidence) == (guess.task_type, guess.confidence)
    assert guess.task_type is TaskType.TRANSLATION


def test_a_guess_of_nothing_is_general() -> None:
    nothing = task_types.Learned(np.zeros((task_types.ROWS, len(task_types.KINDS)), np.float32))
    assert nothing.guess(signals_in("Translate into German: hello")).task_type is TaskType.GENERAL


def test_every_signal_can_be_told_in_words() -> None:
    assert _SIGNAL_WORDS.keys() == {*WORDS, *SHAPES}


@pytest.mark.parametrize(
    "prompt",
    [
        "a" * 100_000,
        "code " * 20_000,
        "\0" * 5000,
        "🙂" * 5000,
        "```" * 30_000,
        "((((" * 25_000,
        "=A1" * 30_000,
        "=" + "A" * 99_999,
        "; " * 50_000,
        "\n" * 90_000,
    ],
)
def test_hostile_prompts_are_read_like_any_other(prompt: str) -> None:
    seen = features(prompt)
    assert 0 < seen.confidence < 1
    assert seen == features(prompt)


@given(st.text(max_size=4000) | st.text(alphabet="\0\ud800🙂`=([{;\n1a ", max_size=6000))
def test_any_text_is_told_the_same_each_time_and_never_for_certain(prompt: str) -> None:
    seen = features(prompt)
    assert 0 < seen.confidence < 1
    assert seen == features(prompt)


@pytest.mark.parametrize(
    ("true", "guesses", "accuracy", "code_recall", "ece"),
    [
        (["general", "general"], [("general", 0.95), ("creative", 0.95)], 0.5, 0.0, 0.45),
        (["code_debug", "general"], [("code_generation", 0.5), ("general", 0.5)], 0.5, 1.0, 0.0),
        (["creative", "research"], [("creative", 1.0), ("research", 1.0)], 1.0, 0.0, 0.0),
    ],
)
def test_scores_are_what_they_are_called(
    true: list[str], guesses: list[tuple[str, float]], accuracy: float, code_recall: float, ece: float
) -> None:
    rows = [Labelled(prompt=str(place), task_type=TaskType(kind)) for place, kind in enumerate(true)]
    scores = scored(rows, lambda prompt: (TaskType(guesses[int(prompt)][0]), guesses[int(prompt)][1]))
    assert (scores.accuracy, scores.code_recall) == (accuracy, code_recall)
    assert scores.ece == pytest.approx(ece)
