"""The door to the past, walked from a Parquet file to an answer."""

import json
import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from tests.memory.walks import walk

from wavetank.market.store import write_bars
from wavetank.memory.archive import Archive
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.embedding import load_embedder
from wavetank.memory.move import pages_of
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


def test_a_memory_of_a_long_history_advises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = walk(1500, seed=6)
    file, out = write_bars(tmp_path / "long.parquet", bars), tmp_path / "m"
    assert call(monkeypatch, "build", str(file), "--out", str(out), "--fit-until", str(bars.closed_at[1200])) == 0
    assert "no advice" not in capsys.readouterr().err
    words = ["query", str(out), "--at", str(bars.closed_at[1400])]
    assert call(monkeypatch, *words, "--json") == 0
    advice = json.loads(capsys.readouterr().out)["advice"]
    assert advice["level"] in ("calm", "watchful", "high", "extreme")
    assert set(advice["rules"]) == {"flat", "long", "short", "trend", "reversal"}
    assert sum(advice["regimes"].values()) == pytest.approx(1.0)
    assert call(monkeypatch, *words) == 0
    told = capsys.readouterr().out
    assert f"risk      {advice['level']}" in told
    assert f"regime    {advice['regime']}" in told
    assert call(monkeypatch, *words, "--k", "8") == 0
    answer = capsys.readouterr()
    assert "no advice: it is calibrated for k 16, not 8" in answer.err
    assert "risk" not in answer.out


def test_a_short_history_has_no_advice_and_says_so(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "query", str(memory), "--at", str(BARS.closed_at[570])) == 0
    answer = capsys.readouterr()
    assert "no advice: this memory was built of too few bars" in answer.err
    assert "risk" not in answer.out


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
        (["build", "{file}", "--out", "{memory}x", "--embedder", "magic"], "embedder 'magic' is not one of"),
        (["stats", "{memory}", "--store", "edge:{memory}x"], "there is no store at"),
        (["stats", "{memory}", "--store", "ftp://x"], "'ftp://x' is neither a server's http:// or https:// address"),
        (
            ["stats", "{memory}", "--store", "http://127.0.0.1:9"],
            "the server at http://127.0.0.1:9 cannot open moments-",
        ),
        (["query", "{memory}", "--at", "{late}", "--ef", "4"], "ef 4 must be at least k, 16"),
        (["move", "{memory}"], "--to or --from must say where the index goes"),
        (["move", "{memory}", "--to", "http://127.0.0.1:9"], "the server at http://127.0.0.1:9 cannot open"),
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
    (index,) = memory.glob("edge-*")
    with EdgeMemory(index, load_embedder(memory / "embedder.npz").width):
        done = subprocess.run(
            [sys.executable, "-m", "wavetank.scripts.cli", "memory", "stats", str(memory)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "is locked: another process has it open" in done.stderr


def test_the_index_is_named_after_the_embedder(memory: Path) -> None:
    digest = load_embedder(memory / "embedder.npz").digest
    assert sorted(path.name for path in memory.iterdir()) == ["archive", f"edge-{digest[:12]}", "embedder.npz"]


def test_a_question_without_an_instant_is_refused(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, "query", str(memory))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("the following arguments are required: --at")


@pytest.fixture
def copied(memory: Path, tmp_path: Path) -> Path:
    return shutil.copytree(memory, tmp_path / "copy")


def refused(said: str, code: int, sentence: str) -> None:
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert sentence in said


def test_a_torn_archive_and_a_changed_byte_in_it_are_refused(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = copied / "archive" / "segment-000000.bin"
    whole = segment.read_bytes()
    for data, sentence in (
        (whole[:-1], "is torn: segment-000000.bin has"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "is not what was written: the sha256 of segment-000000.bin differs"),
    ):
        segment.write_bytes(data)
        for verb in (["stats"], ["query", "--at", str(BARS.closed_at[570])], ["move", "--to", f"edge:{copied}x"]):
            code = call(monkeypatch, verb[0], str(copied), *verb[1:])
            refused(capsys.readouterr().err, code, sentence)
    assert not Path(f"{copied}x").exists()


def test_a_changed_byte_in_the_index_is_found_by_a_check(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "stats", str(copied), "--check") == 0
    held = Archive.open(copied / "archive").moments.vectors[100].tobytes()
    for file in (path for path in copied.glob("edge-*/shard/segments/**/*") if path.is_file()):
        data = file.read_bytes()
        file.write_bytes(data.replace(held, held[:-4] + bytes([held[-4] ^ 1]) + held[-3:]))
    capsys.readouterr()
    code = call(monkeypatch, "stats", str(copied), "--check")
    refused(capsys.readouterr().err, code, "the index does not hold what the archive holds: build the memory again")


def test_a_torn_index_is_one_sentence(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (identity,) = copied.glob("edge-*/store.json")
    identity.write_text("{")
    code = call(monkeypatch, "query", str(copied), "--at", str(BARS.closed_at[570]))
    refused(capsys.readouterr().err, code, "is torn: store.json cannot be read")


def test_an_index_with_fewer_points_than_the_archive_answers_nothing(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedder = load_embedder(memory / "embedder.npz")
    with EdgeMemory(tmp_path / "s", embedder.width, embedder=embedder.digest) as store:
        for page in islice(pages_of(Archive.open(memory / "archive").moments, 100), 5):
            store.upsert(*page)
    for verb in (["stats"], ["query", "--at", str(BARS.closed_at[570])]):
        code = call(monkeypatch, verb[0], str(memory), *verb[1:], "--store", f"edge:{tmp_path / 's'}")
        refused(capsys.readouterr().err, code, "the index holds 500 points, the archive 513: build the memory again")


def test_a_store_of_another_embedder_or_width_is_refused(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width = load_embedder(memory / "embedder.npz").width
    EdgeMemory(tmp_path / "other", width, embedder="e2").close()
    EdgeMemory(tmp_path / "narrow", 3).close()
    for store, sentence in (("other", "is of embedder e2, not"), ("narrow", "holds vectors of width 3, not")):
        code = call(
            monkeypatch, "query", str(memory), "--at", str(BARS.closed_at[570]), "--store", f"edge:{tmp_path / store}"
        )
        refused(capsys.readouterr().err, code, sentence)


def test_bars_with_nan_make_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "walk.csv"
    rows = [f"{bar.opened_at},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}" for bar in BARS]
    rows[300] = rows[300].replace(str(BARS.high[300]), "nan")
    file.write_text("\n".join(["opened_at,open,high,low,close,volume", *rows]) + "\n")
    code = call(monkeypatch, "build", str(file), "--out", str(tmp_path / "m"))
    refused(capsys.readouterr().err, code, "nan")
    assert [path.name for path in tmp_path.iterdir()] == ["walk.csv"]


def test_an_index_moves_elsewhere_and_back_and_answers_the_same(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, question = f"edge:{copied.parent / 'away'}", ["query", str(copied), "--at", str(BARS.closed_at[570])]
    assert call(monkeypatch, *question) == 0
    own = capsys.readouterr().out
    assert call(monkeypatch, "move", str(copied), "--to", place) == 0
    assert re.fullmatch(
        f"513 points of digest [0-9a-f]{{12}} stand at {place} as at edge:.*\n", capsys.readouterr().out
    )
    assert call(monkeypatch, *question, "--store", place) == 0
    assert capsys.readouterr().out == own
    code = call(monkeypatch, "move", str(copied), "--to", place)
    refused(capsys.readouterr().err, code, "there is a store at")
    (index,) = copied.glob("edge-*")
    shutil.rmtree(index)
    code = call(monkeypatch, *question)
    refused(capsys.readouterr().err, code, "there is no store at")
    assert call(monkeypatch, "move", str(copied), "--from", place) == 0
    assert call(monkeypatch, "stats", str(copied), "--check") == 0
    capsys.readouterr()
    assert call(monkeypatch, *question) == 0
    assert capsys.readouterr().out == own


def test_a_small_index_needs_no_graph(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "optimize", str(memory)) == 0
    assert capsys.readouterr().out == "513 points: nothing to build\n"


def test_an_embedding_that_saw_later_bars_than_the_question_is_pointed_out(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "query", str(memory), "--at", str(BARS.closed_at[398])) == 0
    assert "later than this moment" in capsys.readouterr().err
    assert call(monkeypatch, "query", str(memory), "--at", str(BARS.closed_at[400])) == 0
    assert "later than this moment" not in capsys.readouterr().err
