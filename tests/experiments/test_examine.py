import json
import shutil
from pathlib import Path

import pytest

from wavetank.agents.frozen import PassportError
from wavetank.experiments.course import CourseError
from wavetank.experiments.evaluate import Track
from wavetank.experiments.examine import examine
from wavetank.experiments.runs import RunError
from wavetank.experiments.train import RunResult
from wavetank.market.store import write_bars

from .conftest import config_of
from .made_bars import wandering

pytestmark = pytest.mark.slow


def test_a_run_is_examined_on_the_slice_it_never_saw(tmp_path: Path, finished: RunResult) -> None:
    out = tmp_path / "examined"
    examined = examine(config_of("evaluate", f"policy={finished.folder}", f"out={out}"))
    told = json.loads((out / "evaluation.json").read_text())

    assert set(examined.tracks) == {"policy", "flat", "hold", "ma_cross"}
    assert told["slice"] == "test"
    assert told["figures"] == examined.figures
    assert examined.figures["policy"]["bars"] == round(0.15 * 1200)
    recorded = json.loads((finished.folder / "run.json").read_text())["data"]
    assert told["data"] == recorded["test"]
    assert Track.load(out / "tracks" / "test_policy.npz").metrics() == examined.figures["policy"]
    assert set(told["against_hold"]) == {"policy", "flat", "ma_cross"}
    assert told["var_window"] == 500
    assert told["var_tests"]["policy"]["historical_95"]["p_value"] == 1.0  # 180 bars have no 500 before them
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.html", "evaluation.json", "tracks"]
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert recorded["test"]["sha256"] in page
    assert str(finished.folder) in page


def test_the_window_of_the_var_is_the_one_asked_for(tmp_path: Path, finished: RunResult) -> None:
    words = [f"policy={finished.folder}", f"out={tmp_path / 'examined'}", "var_window=80"]
    examined = examine(config_of("evaluate", *words))

    assert examined.measured.var_tests["hold"]["historical_95"].bars == 100
    assert json.loads((tmp_path / "examined" / "evaluation.json").read_text())["var_window"] == 80


def test_nothing_is_written_where_the_page_cannot_be_made(
    tmp_path: Path, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **words: object) -> str:
        raise ValueError("no page today")

    monkeypatch.setattr("wavetank.experiments.examine.render_page", broken)
    with pytest.raises(ValueError, match="no page today"):
        examine(config_of("evaluate", f"policy={finished.folder}", f"out={tmp_path / 'examined'}"))

    assert not (tmp_path / "examined").exists()


def test_the_validation_slice_gives_the_figures_of_the_training_run(tmp_path: Path, finished: RunResult) -> None:
    words = [f"policy={finished.folder}", "slice=validation", f"out={tmp_path / 'examined'}"]

    assert examine(config_of("evaluate", *words)).figures["policy"] == finished.metrics


def test_another_seed_draws_another_market(tmp_path: Path, finished: RunResult) -> None:
    words = [f"policy={finished.folder}", f"out={tmp_path / 'examined'}"]
    own, other = (examine(config_of("evaluate", *words, *seed)).figures for seed in ([], ["seed=77"]))

    assert own["hold"] != other["hold"]


def test_a_passport_alone_is_examined_on_a_file(tmp_path: Path, finished: RunResult) -> None:
    path = write_bars(tmp_path / "bars.parquet", wandering(300))
    examined = examine(config_of("evaluate", f"policy={finished.passport}", f"market.path={path}", "baselines=[hold]"))

    assert examined.folder is None
    assert set(examined.tracks) == {"policy", "hold"}
    assert [file.name for file in tmp_path.iterdir()] == ["bars.parquet"]


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        (["policy={tmp}"], RunError, "neither a run's folder nor a passport's"),
        (["policy={passport}"], CourseError, "say on which bars"),
        (["policy={run}", "baselines=[luck]"], CourseError, "no baseline 'luck'"),
        (["policy={run}", "market.path={tmp}/minutes.parquet"], CourseError, "holds 1m bars, the policy lives at 1h"),
        (["policy={run}", "market.path={tmp}/none.parquet"], ValueError, "there is no file of bars"),
    ],
)
def test_a_wrong_input_is_told_in_one_sentence(
    tmp_path: Path, finished: RunResult, words: list[str], error: type[ValueError], sentence: str
) -> None:
    write_bars(tmp_path / "minutes.parquet", wandering(300, interval="1m"))
    named = [word.format(tmp=tmp_path, run=finished.folder, passport=finished.passport) for word in words]
    with pytest.raises(error, match=sentence):
        examine(config_of("evaluate", *named, f"out={tmp_path / 'examined'}"))

    assert not (tmp_path / "examined").exists()


def test_a_tampered_passport_is_refused_by_name(tmp_path: Path, finished: RunResult) -> None:
    run = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    manifest = run / "passport" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"live"', '"off"'))

    with pytest.raises(PassportError, match="manifest.json differs"):
        examine(config_of("evaluate", f"policy={run}"))


def test_data_that_changed_since_training_is_refused(tmp_path: Path, finished: RunResult) -> None:
    run = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    record = run / "run.json"
    told = json.loads(record.read_text())
    told["data"]["test"]["sha256"] = "0" * 64
    record.write_text(json.dumps(told))

    with pytest.raises(RunError, match="the test bars of process are not those of"):
        examine(config_of("evaluate", f"policy={run}"))
