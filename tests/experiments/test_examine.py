import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wavetank.agents.frozen import PassportError
from wavetank.experiments.course import CourseError
from wavetank.experiments.evaluate import Track
from wavetank.experiments.examine import examine
from wavetank.experiments.runs import RunError
from wavetank.experiments.train import RunResult, train
from wavetank.market.store import write_bars

from .conftest import NOW, TINY, config_of
from .made_bars import wandering

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A tiny run on a file of 1,500 bars, which pays a series of funding rates."""
    folder = tmp_path_factory.mktemp("recorded")
    bars = write_bars(folder / "OURS.parquet", replace(wandering(1500), symbol="OURS"))
    rates = write_rates(folder / "rates.csv", 1e-4)
    words = (*TINY[:1], "env=history", *TINY[2:], f"market.path={bars}", f"market.funding={rates}", "tracking=none")
    return train(config_of("train", *words, f"out={folder / 'run'}"), now=NOW)


def write_rates(path: Path, rate: float) -> Path:
    stamps = np.datetime_as_string(wandering(1500).opened_at[::8].astype("datetime64[ms]")).tolist()
    path.write_text("ts,rate\n" + "".join(f"{stamp},{rate}\n" for stamp in stamps))
    return path


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


def test_on_the_file_it_was_trained_on_a_policy_is_said_to_have_been_trained_on_it(
    tmp_path: Path, recorded: RunResult
) -> None:
    bars = recorded.folder.parent / "OURS.parquet"
    words = [f"policy={recorded.folder}", f"market.path={bars}", f"out={tmp_path}", "baselines=[]"]
    examine(config_of("evaluate", *words))
    told = json.loads((tmp_path / "evaluation.json").read_text())
    data = json.loads((recorded.folder / "run.json").read_text())["data"]

    share = data["train"]["bars"] / 1500
    assert 0.0 < share < 1.0
    assert (told["met"]["market"], told["met"]["trained"]) == ("same", share)
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    assert f"it was trained on {share:.1%} of these bars" in page
    assert told["costs"]["taker_fee_bps"] == 5.0
    assert told["funding"] is None  # the series was not named again: the constant was assumed
    assert "longs pay (assumed)" in page

    examine(config_of("evaluate", *words, f"market.funding={recorded.folder.parent / 'rates.csv'}"))
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert told["funding"] == data["funding"]
    assert "longs pay" not in (tmp_path / "evaluation.html").read_text(encoding="utf-8")


def test_funding_rates_that_changed_since_training_are_refused(tmp_path: Path, recorded: RunResult) -> None:
    rates = recorded.folder.parent / "rates.csv"
    words = [f"policy={recorded.folder}", f"out={tmp_path / 'examined'}", "baselines=[]"]
    before = examine(config_of("evaluate", *words)).told
    assert before["funding"]["stamps"] == 188
    write_rates(rates, 9e-4)
    try:
        with pytest.raises(RunError, match=r"the funding rates of .*rates\.csv are not those of .*run any more"):
            examine(config_of("evaluate", *words))
    finally:
        write_rates(rates, 1e-4)


def test_no_spread_or_impact_is_assumed_where_a_crowd_makes_its_own(tmp_path: Path) -> None:
    tiny = ["env.num_envs=2", "env.episode_bars=16", "env.burn_in_bars=200", "steps=32", "agent.rollout=16"]
    words = ["experiment=fast", "env=arena", *tiny, "agent.minibatch=16", "tracking=none", f"out={tmp_path / 'run'}"]
    run = train(config_of("train", *words), now=NOW)
    told = examine(config_of("evaluate", f"policy={run.folder}", "baselines=[]")).told

    assert set(told["costs"]) == {"taker_fee_bps", "maker_fee_bps", "funding_bps_per_8h", "borrow_bps_per_day"}
    assert "the crowd&#x27;s order book" in (run.folder / "evaluation.html").read_text(encoding="utf-8")


def test_every_policy_is_told_as_its_turn_comes(tmp_path: Path, finished: RunResult) -> None:
    path, told = write_bars(tmp_path / "bars.parquet", wandering(300)), list[str]()
    for bars in ([], [f"market.path={path}"]):
        words = [f"policy={finished.folder}", f"out={tmp_path / 'examined'}", "baselines=[flat, hold]", *bars]
        examine(config_of("evaluate", *words), progress=told.append)
    assert told == ["policy", "flat", "hold"] * 2


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


@pytest.mark.parametrize(("words", "cash"), [([], 100_000.0), (["cash=500"], 500.0)])
def test_a_file_is_begun_with_the_cash_asked_for(
    tmp_path: Path, finished: RunResult, words: list[str], cash: float
) -> None:
    path = write_bars(tmp_path / "bars.parquet", wandering(300))
    asked = [f"policy={finished.passport}", f"market.path={path}", "baselines=[hold]", *words]
    tracks = examine(config_of("evaluate", *asked)).tracks

    assert {name: track.equity[0] for name, track in tracks.items()} == {"policy": cash, "hold": cash}


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        (["policy={tmp}"], RunError, "neither a run's folder nor a passport's"),
        (["policy={passport}"], CourseError, "say on which bars"),
        (["policy={run}", "baselines=[luck]"], CourseError, "no baseline 'luck'"),
        (["policy={run}", "market.path={tmp}/minutes.parquet"], CourseError, "holds 1m bars, the policy lives at 1h"),
        (["policy={run}", "market.path={tmp}/none.parquet"], ValueError, "there is no file of bars"),
        (["policy={run}", "market.start=2021"], CourseError, "market.start=2021 says nothing without market.path"),
        (["policy={run}", "market.path={tmp}/minutes.parquet", "seed=3"], CourseError, "seed=3 draws a made market"),
        (
            ["policy={run}", "market.path={tmp}/minutes.parquet", "slice=test"],
            CourseError,
            "slice=test is of a run's",
        ),
        (["policy={run}", "cash=500"], CourseError, "cash=500 says nothing without market.path"),
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
