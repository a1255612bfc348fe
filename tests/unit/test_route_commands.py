import gzip
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vel_tutor_mcp.doors.cli import app
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing import model_file
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.estimate import SHIPPED, Estimates, estimates
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.services import training

GOOD = {"prompt": "Prove it.", "outcomes": {"gpt-4o": 1, "groq/openai/gpt-oss-20b": 0}}
CATALOG = Catalog.load()
PROOF = features("Prove it.", TaskType.REASONING)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{**GOOD, "prompt": f"{'Prove' if n % 2 else 'Say'} {n}."} for n in range(24)]
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


def test_what_was_learned_is_a_file_that_routes_the_models_of_the_catalog(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights.npz"
    ended = CliRunner().invoke(app, ["route", "train", "--data", str(data), "--out", str(out), "--json"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["models"] == ["gpt-4o", "groq/openai/gpt-oss-20b"]
    _, chances = estimates(CATALOG, out).of("Prove 5.", features("Prove 5.", TaskType.REASONING))
    assert chances.keys() == {"openai/gpt-4o", "groq/openai/gpt-oss-20b"}
    assert chances["openai/gpt-4o"] > 0.9
    assert CliRunner().invoke(app, ["route", "train", "--data", str(data), "--out", str(out)]).exit_code == 0


def test_a_file_that_is_no_file_of_weights_is_not_replaced(data: Path, tmp_path: Path) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary")
    with pytest.raises(InputError, match="no file of weights; name another"):
        training.train(data, diary)
    assert diary.read_text() == "Dear diary"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no rows"),
        (b"\n{", "Line 2 of .* cannot be used; it is no JSON"),
        (json.dumps(GOOD).encode() + b"\n\n{}", "Line 3 of .* cannot be used; its prompt is missing"),
        (b'{"prompt": "x", "outcomes": {"a": 2}}', "Line 1 of .*'a' is no number from 0 to 1"),
        (b"\xff\xfe", "Line 1 of .* no JSON"),
        (gzip.compress(b"{}" * 99, mtime=0)[:-9], "no whole gzip file"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        training.rows_of(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read; No such file"):
        training.evaluate(tmp_path / "none.jsonl")


def test_an_evaluation_shows_models_router_and_baselines(data: Path) -> None:
    shown = CliRunner().invoke(app, ["route", "evaluate", "--data", str(data)]).stdout
    for line in ("score of gpt-4o", "score of the router", "APGR, length", "CPT80, learned", "calibration error"):
        assert re.search(rf"^{line}", shown, re.MULTILINE)
    document = json.loads(CliRunner().invoke(app, ["route", "evaluate", "--data", str(data), "--json"]).stdout)
    assert document["best"] == "gpt-4o"
    assert document["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_shipped_weights_move_the_difficulty_a_little() -> None:
    shipped = estimates(CATALOG, None)
    sums = "Tom buys 12 boxes with 7 pens each and gives a third of them away. How many pens has he left?"
    seen = features(sums, TaskType.REASONING)
    moved, chances = shipped.of(sums, seen)
    assert 0 < abs(moved - seen.difficulty) <= 0.15
    assert chances == {}
    other = features(sums, TaskType.TRANSLATION)
    assert shipped.of(sums, other) == (other.difficulty, {})


def test_without_learned_routing_the_rules_stand() -> None:
    assert estimates(CATALOG, None, learned=False).of("Prove it.", PROOF) == (PROOF.difficulty, {})
    assert Estimates().of("Prove it.", PROOF) == (PROOF.difficulty, {})


def test_damaged_weights_are_told_and_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04 nothing")
    for path in (bad, tmp_path / "gone.npz"):
        assert estimates(CATALOG, path, learned=False).of("Prove it.", PROOF) == (PROOF.difficulty, {})
    assert caplog.text.count("are not used") == 2


def test_the_shipped_weights_are_small_and_whole() -> None:
    path = Path(model_file.__file__).parent / "weights" / SHIPPED
    assert path.stat().st_size <= 1_000_000
    assert model_file.load(path).names == ("gpt-4-1106", "mixtral-8x7b")
    assert (path.parent / "DATA_CARD.md").exists()
