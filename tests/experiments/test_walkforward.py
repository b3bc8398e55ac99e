import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from wavetank.envs.passport import load_passport
from wavetank.experiments import walkforward
from wavetank.experiments.course import course_of, whole_timeline
from wavetank.experiments.evaluate import Track
from wavetank.experiments.runs import RunError
from wavetank.experiments.train import RunResult
from wavetank.experiments.walkforward import WalkResult, walk, windows_of

from .conftest import NOW, TINY, config_of

pytestmark = pytest.mark.slow

WORDS = (*TINY, "env.bars=1600", "env.observation=spine", "steps=512", "tracking=none")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> WalkResult:
    out = tmp_path_factory.mktemp("walk") / "run"
    return walk(config_of("walkforward", *WORDS, f"out={out}"), now=NOW)


def test_three_windows_are_trained_frozen_and_stitched(walked: WalkResult) -> None:
    told = json.loads((walked.folder / "walkforward.json").read_text())

    assert told == walked.told
    assert len(told["windows"]) == 3
    assert set(told["stitched"]) == {"policy", "flat", "hold", "ma_cross"}
    tested = [bar for window in told["windows"] for bar in range(*window["test"])]
    assert tested == list(range(1600 - len(tested), 1600))
    for name, track in walked.tracks.items():
        assert len(track) == len(tested) + 1
        assert (np.diff(track.closed_at) == track.interval_ms).all()
        assert Track.load(walked.folder / "tracks" / f"oos_{name}.npz").metrics() == told["stitched"][name]


def test_the_purge_stands_between_what_trains_and_what_judges(walked: WalkResult) -> None:
    for window in walked.told["windows"]:
        assert window["validation"][0] - window["train"][1] == walked.told["purge"]
        assert window["test"][0] - window["validation"][1] == walked.told["purge"]


def test_every_window_has_a_policy_of_its_own_trained_on_its_own_slice(walked: WalkResult) -> None:
    manifests = [load_passport(walked.folder / "folds" / str(i) / "passport").manifest for i in range(3)]

    assert len({manifest["graph"]["sha256"] for manifest in manifests}) == 3
    for manifest, window in zip(manifests, walked.told["windows"], strict=True):
        assert manifest["training"]["range"][1] < window["test_from"]


def test_a_window_s_figures_are_those_of_its_passport_on_its_test_slice(walked: WalkResult) -> None:
    config = config_of("walkforward", *WORDS)
    bars = whole_timeline(config)
    fold = windows_of(config, bars)[1]
    policy = load_passport(walked.folder / "folds" / "1" / "passport").policy
    again = course_of(bars, fold, config).judge(policy, "test", name="policy", close_out=True)

    assert again.metrics() == walked.told["windows"][1]["figures"]["policy"]


def test_stitched_growth_is_the_product_of_the_windows_growth(walked: WalkResult) -> None:
    for name, figures in walked.told["stitched"].items():
        growth = np.prod([1 + window["figures"][name]["total_return"] for window in walked.told["windows"]])
        assert 1 + figures["total_return"] == pytest.approx(growth)


def test_every_window_ends_flat_so_that_the_next_policy_inherits_no_position(walked: WalkResult) -> None:
    hold = walked.tracks["hold"]
    for window in walked.told["windows"]:
        last = int(np.flatnonzero(hold.closed_at == window["test_until"])[0])
        assert hold.exposure[last] == 0.0
        assert hold.exposure[last - 1] > 0.5


def test_a_walk_that_was_interrupted_goes_on_with_its_finished_windows(
    tmp_path: Path, walked: WalkResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("walkforward", *WORDS, f"out={tmp_path / 'run'}")
    judged: list[int] = []

    def stop_in_the_second(*arguments: object, **rest: object) -> None:
        judged.append(1)
        if len(judged) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walkforward, "judge_all", stop_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            walk(config, now=NOW)
    kept = (tmp_path / "run" / "folds" / "0" / "passport" / "manifest.sha256").stat().st_mtime_ns
    assert not (tmp_path / "run" / "walkforward.json").exists()

    again = walk(config, now=NOW)
    assert (tmp_path / "run" / "folds" / "0" / "passport" / "manifest.sha256").stat().st_mtime_ns == kept
    assert again.told == walked.told  # the same seed, the same walk


def test_a_walk_that_was_interrupted_within_a_window_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    class KillInTheSecondWindow:
        def __init__(self) -> None:
            self.windows, self.last = 0, 10**9

        def on_update(self, step: int, values: Mapping[str, float]) -> None:
            self.windows, self.last = self.windows + (step < self.last), step
            if self.windows == 2 and step == 1024:
                raise KeyboardInterrupt

    words = (*WORDS, "steps=1536", "walk.windows=2", "validate_every=512", "agent.learning_rate=0.01", "seed=3")
    whole = walk(config_of("walkforward", *words, f"out={tmp_path / 'whole'}"), now=NOW)
    config = config_of("walkforward", *words, f"out={tmp_path / 'broken'}")
    with pytest.raises(KeyboardInterrupt):
        walk(config, now=NOW, callbacks=[KillInTheSecondWindow()])
    second = tmp_path / "broken" / "folds" / "1"
    assert (second / "checkpoints" / "000000000512").is_dir()
    assert not (second / "checkpoints" / "000000001024").exists()

    heard: list[int] = []

    class Hears:
        def on_update(self, step: int, values: Mapping[str, float]) -> None:
            heard.append(step)

    assert walk(config, now=NOW, callbacks=[Hears()]).told == whole.told
    assert heard == [1024, 1536]
    assert not (second / "checkpoints").exists()


def test_a_window_chooses_its_weights_by_its_own_validation(tmp_path: Path) -> None:
    words = (*WORDS, "steps=2048", "walk.windows=2", "validate_every=512", "agent.learning_rate=0.01")
    seen: list[tuple[int, float]] = []

    class Sink:
        def log(self, step: int, values: Mapping[str, float]) -> None:
            if "fold_1/validation/sharpe" in values:
                seen.append((step, values["fold_1/validation/sharpe"]))

    walked = walk(config_of("walkforward", *words, f"out={tmp_path / 'run'}"), now=NOW, sinks=[Sink()])
    manifest = load_passport(walked.folder / "folds" / "1" / "passport").manifest
    chosen = json.loads((walked.folder / "folds" / "1" / "validation.json").read_text())["policy"]["sharpe"]
    best = max(seen, key=lambda look: look[1])

    assert [step for step, _ in seen] == [512, 1024, 1536, 2048]
    assert (manifest["training"]["steps"], chosen) == best
    assert manifest["evidence"]["training"]["validation_looks"] == 4


def test_a_walk_joins_the_run_of_the_same_keys_and_refuses_another_s(
    tmp_path: Path, walked: WalkResult, finished: RunResult
) -> None:
    with pytest.raises(RunError, match="holds a walk-forward already"):
        walk(config_of("walkforward", *WORDS, f"out={walked.folder}"), now=NOW)
    with pytest.raises(RunError, match="env.bars=1200, not 1600"):
        walk(config_of("walkforward", *WORDS, f"out={finished.folder}"), now=NOW)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    with pytest.raises(RunError, match="holds other files"):
        walk(config_of("walkforward", *WORDS, f"out={tmp_path / 'full'}"), now=NOW)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["env=arena"], "env=history or env=process, not arena"),
        (["walk.windows=9"], "9 windows"),
        (["baselines=[flat,luck]"], "no baseline 'luck'"),
        (["agent.minibatch=100"], "minibatch 100"),
        (["agent.encoder=conv"], "encoder conv reads a window of bars"),
        (["select=luck"], "no figure 'luck'"),
        (["walk.validation=0", "validate_every=512"], "validate_every: the split leaves no validation bars"),
    ],
)
def test_a_wrong_input_is_told_before_anything_is_written(tmp_path: Path, words: list[str], sentence: str) -> None:
    tiny = [word for word in WORDS if "env=arena" not in words or not word.startswith("env.bars")]
    with pytest.raises(ValueError, match=sentence):
        walk(config_of("walkforward", *tiny, *words, f"out={tmp_path / 'run'}"), now=NOW)

    assert list(tmp_path.iterdir()) == []
