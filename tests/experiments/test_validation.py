import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from wavetank.agents.frozen import FrozenPolicy
from wavetank.envs.passport import load_passport
from wavetank.experiments.checkpoints import standing_of
from wavetank.experiments.course import CourseError, open_course
from wavetank.experiments.train import RunResult, train
from wavetank.experiments.validation import Looks, Validation, check_figure

from .conftest import NOW, TINY, config_of
from .learnt import figures_by_step, lines_of

LOOKING = (*TINY, "steps=4096", "validate_every=1000", "agent.learning_rate=0.01", "seed=3", "tracking=none")


def seen(*figures: float) -> Looks:
    looks = Looks()
    for step, figure in enumerate(figures, 1):
        looks = looks.after(step * 100, figure)
    return looks


def test_the_largest_figure_is_the_best_and_of_equals_the_first() -> None:
    looks = seen(0.5, 2.0, 1.0, 2.0)

    assert (looks.count, looks.best, looks.best_step, looks.since_best, looks.last_step) == (4, 2.0, 200, 2, 400)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_counted_and_never_the_best(odd: float) -> None:
    assert seen(odd) == Looks(count=1, last_step=100, since_best=1)
    assert (seen(1.0, odd).best, seen(1.0, odd).best_step, seen(1.0, odd).since_best) == (1.0, 100, 1)
    assert (seen(odd, -3.0).best, seen(odd, -3.0).since_best) == (-3.0, 0)


def test_looks_come_back_from_a_checkpoint_as_they_went_in() -> None:
    looks = seen(0.1 + 0.2, 1e-17)

    assert Looks.from_json(json.loads(json.dumps(looks.to_json()))) == looks


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("sharp", "there is no figure 'sharp'; did you mean sharpe"), ("luck", "there is no figure 'luck'; .*sharpe")],
)
def test_a_figure_that_does_not_exist_is_refused_by_name(name: str, sentence: str) -> None:
    check_figure("sharpe")
    with pytest.raises(ValueError, match=f"^select: {sentence}"):
        check_figure(name)


def test_looks_need_bars_to_look_at() -> None:
    course = replace(open_course(config_of("train", *TINY)), validation=None)

    with pytest.raises(CourseError, match="leaves no validation bars"):
        Validation(course)


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Eight updates of 512 steps, looked at after the second, fourth, sixth and eighth."""
    return train(config_of("train", *LOOKING, f"out={tmp_path_factory.mktemp('looked') / 'run'}"), now=NOW)


@pytest.mark.slow
def test_looks_come_when_they_are_due_and_at_the_end(looked: RunResult) -> None:
    assert list(figures_by_step(looked.folder, "validation/sharpe")) == [1024, 2048, 3072, 4096]
    assert looked.looks == 4


@pytest.mark.slow
def test_the_exported_weights_are_those_of_the_best_look(looked: RunResult) -> None:
    sharpe = figures_by_step(looked.folder, "validation/sharpe")
    best = max(sharpe, key=lambda step: sharpe[step])
    assert best < 4096  # else this test shows nothing

    assert looked.selected_step == best
    assert looked.metrics["sharpe"] == sharpe[best]
    assert figures_by_step(looked.folder, "selected/sharpe") == {4096: sharpe[best]}
    assert load_passport(looked.passport).manifest["training"]["steps"] == best
    assert (looked.folder / "checkpoints" / f"{best:012d}").is_dir()


@pytest.mark.slow
def test_record_figures_and_passport_count_the_looks_and_say_which_one_won(looked: RunResult) -> None:
    outcome = {
        "ended": "steps",
        "steps": 4096,
        "validation_looks": 4,
        "selected_by": "sharpe",
        "selected_step": looked.selected_step,
    }

    assert json.loads((looked.folder / "run.json").read_text())["outcome"] == outcome
    assert json.loads((looked.folder / "validation.json").read_text())["outcome"] == outcome
    assert FrozenPolicy.load(looked.passport).manifest["evidence"]["training"] == outcome


@pytest.mark.slow
def test_looking_changes_nothing_of_what_is_learnt(looked: RunResult, tmp_path: Path) -> None:
    blind = train(config_of("train", *LOOKING, "validate_every=0", f"out={tmp_path / 'run'}"), now=NOW)

    learnt = [line for line in lines_of(looked.folder) if "train/loss" in line]
    assert learnt == [line for line in lines_of(blind.folder) if "train/loss" in line]
    assert blind.looks == 1
    assert json.loads((blind.folder / "run.json").read_text())["outcome"]["selected_by"] is None
    assert figures_by_step(blind.folder, "validation/sharpe")[4096] == blind.metrics["sharpe"]
    last = figures_by_step(looked.folder, "validation/sharpe")[4096]
    assert last == blind.metrics["sharpe"]  # a look sees what the passport of that moment would be


@pytest.mark.slow
def test_training_ends_when_patience_does(looked: RunResult, tmp_path: Path) -> None:
    sharpe = figures_by_step(looked.folder, "validation/sharpe")
    looks = Looks()
    for step, figure in sharpe.items():  # the rule by hand: the first look that is no better ends it
        looks = looks.after(step, figure)
        if looks.since_best == 1:
            break
    assert looks.last_step is not None
    assert looks.last_step < 4096  # else this test shows nothing

    ended = train(config_of("train", *LOOKING, "patience=1", f"out={tmp_path / 'run'}"), now=NOW)
    assert ended.steps == looks.last_step
    assert ended.selected_step == looks.best_step
    assert json.loads((ended.folder / "run.json").read_text())["outcome"]["ended"] == "patience"


@pytest.mark.slow
def test_another_figure_may_choose(looked: RunResult, tmp_path: Path) -> None:
    turnover = figures_by_step(looked.folder, "validation/turnover_per_day")
    best = max(turnover, key=lambda step: turnover[step])
    assert best != looked.selected_step  # else this test shows nothing

    other = train(config_of("train", *LOOKING, "select=turnover_per_day", f"out={tmp_path / 'run'}"), now=NOW)
    assert other.selected_step == best


@pytest.mark.slow
def test_the_time_of_looks_is_kept_apart_and_a_checkpoint_holds_how_things_stand(looked: RunResult) -> None:
    timings = json.loads((looked.folder / "timings.json").read_text())
    standing = standing_of(looked.folder / "checkpoints" / "000000004096")

    assert {"steps", "train_s", "steps_per_s", "looks_s", "checkpoints_s"} <= set(timings)
    assert timings["steps_per_s"] == pytest.approx(4096 / timings["train_s"], rel=0.01)  # and not by the whole time
    assert standing["ended"] == "steps"
    assert standing["looks"]["count"] == 4
    assert standing["best"] == looked.selected_step
