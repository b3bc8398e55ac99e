from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from wavetank.experiments.sweep import (  # noqa: E402 - optuna first, so that its absence skips
    Search,
    Space,
    Span,
    SweepError,
    TrialMetrics,
    join_trial,
    only_driver,
    open_search,
)

SPACE: Space = {"rate": Span(1e-5, 1e-2, log=True), "size": Span(8, 64), "gamma": ("0.9", "0.99")}


def search_in(folder: Path, space: Space = SPACE, fixed: tuple[str, ...] = ("steps=10",), seed: int = 5) -> Search:
    return open_search(
        "study",
        f"{folder}/study.journal",
        space=space,
        fixed=list(fixed),
        direction="maximize",
        make_sampler=lambda s: optuna.samplers.TPESampler(seed=s),
        seed=seed,
    )


class Kept:
    def __init__(self) -> None:
        self.points: list[int] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.points.append(step)


def test_values_lie_in_the_space_and_keep_their_kind(tmp_path: Path) -> None:
    params = search_in(tmp_path).ask().params
    assert 1e-5 <= float(params["rate"]) <= 1e-2
    assert isinstance(params["size"], int)
    assert 8 <= params["size"] <= 64
    assert params["gamma"] in ("0.9", "0.99")


def test_every_trial_draws_anew_also_after_a_resumption(tmp_path: Path) -> None:
    drawn = []
    for _ in range(4):
        search = search_in(tmp_path)
        asked = search.ask()
        search.complete(asked.number, 0.0)
        drawn.append(asked.params["rate"])
    assert len(set(drawn)) == 4  # one sampler a process, seeded alike, would draw the first value four times


def test_leftovers_of_a_kill_are_tried_again_once(tmp_path: Path) -> None:
    left = search_in(tmp_path).ask()
    search = search_in(tmp_path)
    assert search.recover() == 1
    assert search_in(tmp_path).recover() == 0
    assert search.ask().params == left.params
    assert search.progress() == (0, 0, 1)


def test_a_kill_between_queueing_and_failing_does_not_double_a_trial(tmp_path: Path) -> None:
    left = search_in(tmp_path).ask()
    study = optuna.load_study(study_name="study", storage=search_in(tmp_path)._study._storage)
    study.enqueue_trial(left.params, user_attrs={"retry_of": left.number})  # the first half of `recover`, then a kill
    search = search_in(tmp_path)
    search.recover()
    assert search.ask().params == left.params
    assert search.ask().params != left.params


def test_finished_means_complete_or_pruned(tmp_path: Path) -> None:
    search = search_in(tmp_path)
    for end in (
        lambda n: search.complete(n, 1.0),
        search.prune,
        search.fail,
        lambda n: search.complete(n, float("nan")),
    ):
        end(search.ask().number)
    progress = search.progress()
    assert progress == (1, 1, 2)
    assert progress.finished == 2


def test_best_is_none_before_any_trial_is_complete(tmp_path: Path) -> None:
    search = search_in(tmp_path)
    assert search.best() is None
    first, second = search.ask(), search.ask()
    search.complete(first.number, 1.0)
    search.complete(second.number, 2.0)
    best = search.best()
    assert best is not None
    assert best.number == second.number


def test_points_without_the_objective_neither_report_nor_prune(tmp_path: Path) -> None:
    search = search_in(tmp_path)
    always = optuna.pruners.ThresholdPruner(lower=10.0)
    asked = search.ask()
    kept = Kept()
    metrics = TrialMetrics(join_trial("study", f"{tmp_path}/study.journal", asked.key, always), "score", kept)
    metrics.log(0, {"train/loss": 1.0})
    metrics.log(1, {"score": float("nan")})
    with pytest.raises(optuna.TrialPruned, match="step 2"):
        metrics.log(2, {"score": 1.0})
    assert kept.points == [0, 1, 2]
    frozen = search._study.get_trials()[asked.number]
    assert frozen.intermediate_values == {2: 1.0}


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    storage = f"{tmp_path}/study.journal"
    with (
        only_driver(storage),
        pytest.raises(SweepError, match="another sweep works on"),
        only_driver(storage),
    ):
        pass
    with only_driver(storage):
        pass


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"space": {"rate": Span(0.1, 0.2)}}, "another space"),
        ({"fixed": ("steps=20",)}, "another fixed"),
        ({"space": {}}, "nothing to search"),
        ({"space": {"rate": Span(2.0, 1.0)}}, "rate: "),
    ],
)
def test_a_plan_that_cannot_go_on_is_refused(tmp_path: Path, change: Any, complaint: Any) -> None:
    begun = search_in(tmp_path)
    begun.complete(begun.ask().number, 1.0)
    with pytest.raises(SweepError, match=complaint):
        search_in(tmp_path if "rate: " not in complaint else tmp_path / "new", **change)


def test_a_plan_may_change_as_long_as_nothing_came_of_it(tmp_path: Path) -> None:
    begun = search_in(tmp_path)
    begun.fail(begun.ask().number)
    other = search_in(tmp_path, space={"gamma": ("0.5", "0.6")}, fixed=("steps=20",))
    assert other.progress() == (0, 0, 0)
    assert other.ask().params["gamma"] in ("0.5", "0.6")


def test_a_storage_of_unknown_kind_is_refused() -> None:
    with pytest.raises(SweepError, match="neither"), only_driver("study.txt"):
        pass
