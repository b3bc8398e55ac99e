"""The watch on its own: a trainer that counts, a validation that reads its figures from a list."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from wavetank.conf.schema import TrainConfig
from wavetank.experiments.checkpoints import Checkpoints, standing_of
from wavetank.experiments.watch import Standing, Watch

from .conftest import config_of

UPDATE = 100


class Counter:
    """A trainer whose updates do nothing but call."""

    def __init__(self) -> None:
        self.steps = 0

    def fit(self, watch: Watch, steps: int) -> None:
        while self.steps < steps:
            self.steps += UPDATE
            if watch.on_update(self.steps, {"train/loss": 1.0}) is False:
                return

    def save(self, folder: Path) -> Path:
        folder.mkdir()
        return folder

    def policy(self) -> int:
        return self.steps


class Figures:
    """A validation that knows what each look finds."""

    def __init__(self, **by_step: float) -> None:
        self.by_step, self.seconds = {int(step[1:]): figure for step, figure in by_step.items()}, 0.0

    def look(self, network: int) -> dict[str, float]:
        return {"sharpe": self.by_step.get(network, 0.0), "trades": 1.0}


class Heard:
    """A callback that writes down what it hears, and says stop at a step."""

    def __init__(self, stop_at: int = -1) -> None:
        self.said: dict[int, Mapping[str, float]] = {}
        self._stop_at = stop_at

    def on_update(self, step: int, values: Mapping[str, float]) -> bool:
        self.said[step] = values
        return step != self._stop_at


class Scene:
    """A watch with everything around it."""

    def __init__(self, folder: Path, validation: Figures | None, *words: str, heard: Heard | None = None) -> None:
        self.config: TrainConfig = config_of("train", "steps=1000", *words)
        self.trainer, self.checkpoints = Counter(), Checkpoints(folder)
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.heard = heard or Heard()
        trainer: Any = self.trainer
        looks: Any = validation
        self.watch = Watch(self.config, trainer, self.checkpoints, looks, self.log, lambda: None)
        self.watch.callbacks = [self.heard]

    def log(self, step: int, told: Mapping[str, float]) -> None:
        self.logged.append((step, dict(told)))

    def run(self) -> Standing:
        self.trainer.fit(self.watch, self.config.steps)
        self.watch.conclude()
        return self.watch.standing

    def go_on(self) -> "Scene":
        newest = self.checkpoints.newest()
        assert newest is not None
        self.trainer.steps = int(newest.name)
        self.watch.resume(Standing.from_json(standing_of(newest)), self.trainer.steps)
        return self


def test_looks_and_checkpoints_come_at_the_first_update_past_each_multiple(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Figures(s300=1.0), "validate_every=250", "checkpoint_every=400")
    saved = []
    save = scene.checkpoints.save

    def noting(trainer: Any, step: int, standing: Mapping[str, Any], best: int | None) -> Path:
        saved.append((step, best))
        return save(trainer, step, standing, best)

    scene.checkpoints.save = noting  # type: ignore[method-assign]  # a spy that saves all the same
    standing = scene.run()

    assert [step for step, _ in scene.logged] == [300, 500, 800, 1000]
    assert saved == [(300, 300), (400, 300), (800, 300), (1000, 300)]  # 300 because it was better
    assert standing.ended == "steps"


def test_others_hear_the_trainer_s_figures_and_those_of_the_last_look(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Figures(s500=2.0), "validate_every=500")
    scene.run()

    assert scene.heard.said[400] == {"train/loss": 1.0}
    assert scene.heard.said[500] == {"train/loss": 1.0, "validation/sharpe": 2.0, "validation/trades": 1.0}
    assert scene.heard.said[900] == scene.heard.said[500]


def test_without_validation_nothing_is_looked_at(tmp_path: Path) -> None:
    scene = Scene(tmp_path, None, "checkpoint_every=500")

    assert scene.run() == Standing(ended="steps")
    assert scene.logged == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000500", "000000001000"]


def test_patience_ends_the_training_after_so_many_looks_without_a_better_one(tmp_path: Path) -> None:
    figures = Figures(s100=1.0, s200=0.5, s300=2.0, s400=1.9, s500=2.0, s600=9.0)
    scene = Scene(tmp_path, figures, "validate_every=100", "patience=2")
    standing = scene.run()

    assert (standing.ended, standing.looks.count, standing.looks.best_step) == ("patience", 5, 300)
    assert scene.trainer.steps == 500
    newest = scene.checkpoints.newest()
    assert newest == scene.checkpoints.of(500)
    assert Standing.from_json(standing_of(newest)) == standing


def test_a_callback_that_says_stop_ends_the_training_with_a_look_and_a_checkpoint(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Figures(), "validate_every=500", heard=Heard(stop_at=300))
    standing = scene.run()

    assert (standing.ended, standing.looks.count, standing.looks.last_step) == ("stopped", 1, 300)
    assert scene.checkpoints.newest() == scene.checkpoints.of(300)


def test_a_watch_that_takes_over_at_a_checkpoint_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    figures = {"s100": 1.0, "s200": 3.0, "s300": 0.5, "s400": 0.7, "s500": 2.9, "s600": 0.1}
    words = ("validate_every=100", "patience=4", "checkpoint_every=300")
    whole = Scene(tmp_path / "whole", Figures(**figures), *words)
    standing = whole.run()
    assert (standing.ended, standing.looks.last_step) == ("patience", 600)

    class Kill(Heard):
        def on_update(self, step: int, values: Mapping[str, float]) -> bool:
            if step == 500:
                raise KeyboardInterrupt
            return True

    killed = Scene(tmp_path / "killed", Figures(**figures), *words, heard=Kill())
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    again = Scene(tmp_path / "killed", Figures(**figures), *words).go_on()
    assert again.trainer.steps == 300
    assert again.run() == standing
    assert [step for step, _ in again.logged] == [400, 500, 600]
    kept = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("whole", "killed")]
    assert kept[0] == kept[1]


def test_what_has_ended_stays_ended_unless_more_steps_are_asked(tmp_path: Path) -> None:
    Scene(tmp_path, Figures(), "validate_every=500").run()

    assert Scene(tmp_path, Figures(), "validate_every=500").go_on().watch.standing.ended == "steps"
    longer = Scene(tmp_path, Figures(), "validate_every=500", "steps=1500").go_on()
    assert longer.watch.standing.ended is None
    assert longer.run().looks.count == 3


def test_a_training_whose_steps_were_done_at_once_is_concluded_with_a_look(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Figures(s1000=4.0), "validate_every=500")
    scene.trainer.steps = 1000
    standing = scene.run()

    assert (standing.ended, standing.looks.best_step) == ("steps", 1000)
    assert scene.checkpoints.newest() == scene.checkpoints.of(1000)


def test_a_standing_survives_its_checkpoint() -> None:
    standing = Standing(Standing().looks.after(7, 1 / 3), "stopped")

    assert Standing.from_json(json.loads(json.dumps(standing.to_json()))) == standing
