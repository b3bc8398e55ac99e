"""The past that config asks for: by which embedder, how it is asked, where neighbours are kept, and a made-up one."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.manifest import PassportError
from wavetank.envs.passport import load_passport
from wavetank.experiments.burn_in import archived, frozen
from wavetank.experiments.course import CourseError, open_course
from wavetank.experiments.slices import Course
from wavetank.experiments.train import train
from wavetank.market.parquet import write_bars
from wavetank.memory.columns import MEMORY_COLUMNS
from wavetank.memory.embed import WIDTH
from wavetank.memory.embedding import kind_of
from wavetank.memory.moments import PastError
from wavetank.scripts.export import main as export_door
from wavetank.scripts.promote import judge_run

from .conftest import NOW, config_of
from .made_bars import wandering

OWN = """
import numpy as np


class Moves:
    def __init__(self, numbers):
        self.numbers = numbers

    @classmethod
    def fit(cls, bars, window, width):
        return cls({"last_close": np.array(bars.close[-1]), "bars": np.array(len(bars))})

    def vector(self, window):
        return np.diff(np.log(window.close))[-8:]
"""


def config(tmp_path: Path, *words: str) -> Any:
    path = write_bars(tmp_path / "bars.parquet", wandering(1000))
    told = ("experiment=fast", "env=history", f"market.path={path}", "env.observation=spine_memory")
    return config_of("train", *told, f"memory.cache={tmp_path / 'cache'}", "tracking=none", *words)


def course(tmp_path: Path, *words: str) -> Course:
    return open_course(config(tmp_path, *words))


def table(course: Course) -> np.ndarray:
    assert course.past is not None
    return course.past.matrix_for(course.train)


def test_by_default_the_house_s_statistics_look_back_over_64_bars(tmp_path: Path) -> None:
    memory = course(tmp_path).memory
    assert memory is not None
    assert (kind_of(memory.embedder), memory.embedder.window, memory.embedder.width) == ("statistics", 64, WIDTH)
    assert (memory.neighbours, memory.horizon, memory.embargo, memory.mode) == (16, 24, None, "exact")


def test_window_width_and_embargo_are_those_that_config_names(tmp_path: Path) -> None:
    usual = course(tmp_path, "memory.window=32", "memory.width=12")
    assert usual.memory is not None
    assert (usual.memory.embedder.window, usual.memory.embedder.width) == (32, 12)
    longer = course(tmp_path, "memory.window=32", "memory.width=12", "memory.embargo=200")
    assert longer.memory is not None
    assert longer.memory.to_json()["embargo"] == 200
    assert table(longer).tobytes() != table(usual).tobytes()


def test_one_s_own_embedder_is_fitted_on_the_training_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moving_desk.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    opened = course(tmp_path, "memory.embedder=moving_desk:Moves")
    assert opened.memory is not None
    numbers: Any = opened.memory.embedder
    assert numbers.numbers["bars"] == len(opened.train)
    assert numbers.numbers["last_close"] == opened.train.close[-1]
    assert opened.memory.own == ("moving_desk:Moves",)
    assert table(opened)[:, -1].sum() > 200
    assert opened.facts()["memory"]["kind"] == "moving_desk:Moves"
    with pytest.raises(PastError, match="is 8 wide, memory.width asks for 5"):
        course(tmp_path, "memory.embedder=moving_desk:Moves", "memory.width=5")
    with pytest.raises(PastError, match="moving_desk has no class Stays"):
        course(tmp_path, "memory.embedder=moving_desk:Stays")


@pytest.mark.parametrize(
    "word, reason",
    [
        ("memory.embedder=oracle", "memory.embedder: 'oracle' is not one of statistics, hybrid, my_package"),
        ("memory.outcomes=best", "memory.outcomes: 'best' is not one of known, shuffled"),
        ("memory.window=1", "memory.window: 1 must be 2 or more"),
        ("memory.width=0", "memory.width: 0 must be 1 or more"),
        ("memory.embargo=63", "memory.embargo: 63 must be 64 or more"),
        ("memory.neighbours=0", "memory.neighbours: 0 must be 1 or more"),
    ],
)
def test_a_value_that_cannot_be_is_an_error_that_names_its_key(tmp_path: Path, word: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        config(tmp_path, word)


def test_neighbours_are_kept_where_config_says_or_in_the_user_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    fresh = table(course(tmp_path))
    assert any((tmp_path / "cache").rglob("*"))
    assert not (tmp_path / "user").exists()
    assert table(course(tmp_path)).tobytes() == fresh.tobytes()
    assert table(course(tmp_path, "memory.cache=null")).tobytes() == fresh.tobytes()
    assert any((tmp_path / "user" / "wavetank" / "memory").rglob("*"))


def test_shuffled_outcomes_are_others_while_neighbours_stay_and_every_run_seed_shuffles_anew(tmp_path: Path) -> None:
    known, shuffled, again, other = (
        table(course(tmp_path, *words))
        for words in ((), ("memory.outcomes=shuffled",), ("memory.outcomes=shuffled",),
                      ("memory.outcomes=shuffled", "seed=2"))
    )  # fmt: skip
    assert shuffled.tobytes() == again.tobytes()
    told = {name: [float(np.abs(known[:, k] - x[:, k]).max()) for x in (shuffled, other)]
            for k, name in enumerate(MEMORY_COLUMNS)}  # fmt: skip
    for name in ("novelty", "log_effective_k", "available"):
        assert told[name] == [0.0, 0.0]
    assert min(told["outcome_mean"]) > 0.001
    assert shuffled.tobytes() != other.tobytes()


def test_a_crowd_s_past_is_never_made_up(tmp_path: Path) -> None:
    opened = course(tmp_path, "memory.outcomes=shuffled")
    assert opened.memory is not None
    with pytest.raises(CourseError, match="memory.outcomes=shuffled is for recorded bars alone: say env=history"):
        frozen(opened.memory, opened.train)
    with pytest.raises(PastError, match="was trained with memory.outcomes=shuffled"):
        archived(opened.memory)


def test_a_longer_embargo_holds_in_a_crowd_too(tmp_path: Path) -> None:
    opened = course(tmp_path, "memory.embargo=100")
    remembered = frozen(opened.memory, opened.train)
    assert remembered is not None
    assert remembered.embargo == 100


@pytest.mark.slow
def test_a_run_on_made_up_outcomes_is_judged_but_neither_promoted_nor_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = config(tmp_path, "memory.outcomes=shuffled", "steps=256", f"out={tmp_path / 'run'}")
    result = train(told, now=NOW)
    assert load_passport(result.passport).manifest["memory"]["mode"] == "shuffled"
    assert result.metrics["bars"] == round(0.15 * 1000)
    from wavetank.experiments.runs import read_run

    run, trained = read_run(result.folder)
    assert run.record()["data"]["memory"]["mode"] == "shuffled"
    standard: Any = None  # it does not come to that
    with pytest.raises(PassportError, match="neither promoted, nor exported, nor traded"):
        judge_run(run, trained, standard)
    assert not (run.path / "promotion.json").exists()
    monkeypatch.setattr(sys, "argv", ["wavetank export", str(result.folder), "--out", str(tmp_path / "given")])
    with pytest.raises(PassportError, match="neither promoted, nor exported, nor traded"):
        export_door()
    assert not (tmp_path / "given").exists()
