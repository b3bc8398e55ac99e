"""The door to the past, walked from a Parquet file to an answer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.memory.walks import walk

from wavetank.market.store import write_bars
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.edge import EdgeMemory
from wavetank.scripts import cli

BARS = walk(600)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars") / "walk.parquet", BARS)


@pytest.fixture(scope="module")
def memory(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("memory") / "m"
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, "build", str(file), "--out", str(out), "--fit-until", str(BARS.closed_at[399])) == 0
    return out


def call(patch: pytest.MonkeyPatch, *words: str) -> int:
    patch.setattr(sys, "argv", ["wavetank", "memory", *words])
    return cli.main()


def test_stats_say_what_was_built(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "stats", str(memory), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["moments"] == facts["indexed"] == 600 - 63 - 24
    assert (facts["symbols"], facts["interval"], facts["horizon_bars"]) == ("X", "1h", 24)


def test_a_query_answers_from_outcomes_known_by_then_only(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = int(BARS.closed_at[570])
    assert call(monkeypatch, "query", str(memory), "--at", str(at + 1000), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["as_of"] == at
    assert tuple(answer["columns"]) == MEMORY_COLUMNS
    assert answer["columns"]["available"] == 1.0
    assert len(answer["neighbours"]) == 16
    assert all(hit["known"] <= at - 64 * 3_600_000 for hit in answer["neighbours"])


def test_bars_given_with_the_query_get_the_same_answer(
    memory: Path, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["query", str(memory), "--at", str(BARS.closed_at[570])]
    assert call(monkeypatch, *words) == 0
    own = capsys.readouterr().out
    assert call(monkeypatch, *words, "--bars", str(file)) == 0
    assert capsys.readouterr().out == own


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["query", "{memory}", "--at", "{early}"], "outcomes were known far enough from it; 8 are needed"),
        (["query", "{memory}", "--at", "2030-01-01"], "has no moment of X at 2030-01-01T00:00:00Z, only"),
        (["query", "{memory}", "--at", "2030-01-01", "--bars", "{file}"], "the bars hold none that closed"),
        (["query", "{memory}", "--at", "yesterday"], "'yesterday' is neither an ISO time nor milliseconds"),
        (["query", "{memory}", "--at", "{late}", "--symbol", "Q"], "symbol 'Q' is not one of the memory's: X"),
        (["query", "{file}", "--at", "{late}"], "embedder"),
        (["stats", "{file}x"], "there is no embedder at"),
        (["build", "{file}", "--out", "{memory}"], "exists already"),
        (["build", "{file}x", "--out", "{memory}x"], "walk.parquetx"),
        (["build", "{file}", "--out", "{memory}x", "--horizon", "600"], "no moment whose outcome is known"),
    ],
)
def test_a_wrong_question_costs_one_line_and_leaves_nothing(
    memory: Path,
    file: Path,
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"memory": memory, "file": file, "early": BARS.closed_at[90], "late": BARS.closed_at[570]}
    assert call(monkeypatch, *(word.format(**names) for word in words)) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert sentence in said[-1]
    assert len(said) == 1
    assert [path.name for path in memory.parent.iterdir()] == ["m"]


def test_a_memory_that_another_process_holds_is_said_to_be_locked(memory: Path) -> None:
    with EdgeMemory(memory / "edge", 32):
        done = subprocess.run(
            [sys.executable, "-m", "wavetank.scripts.cli", "memory", "stats", str(memory)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "is locked: another process has it open" in done.stderr


def test_an_embedding_that_saw_later_bars_than_the_question_is_pointed_out(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "query", str(memory), "--at", str(BARS.closed_at[398])) == 0
    assert "later than this moment" in capsys.readouterr().err
    assert call(monkeypatch, "query", str(memory), "--at", str(BARS.closed_at[400])) == 0
    assert capsys.readouterr().err == ""
