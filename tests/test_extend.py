"""docs/extend.md, run: its blocks are written into an empty folder, its commands run there as they stand."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from wavetank.envs.passport import load_passport
from wavetank.experiments.course import open_course
from wavetank.experiments.evaluate import Track
from wavetank.experiments.examine import examine
from wavetank.experiments.runs import RunError, read_run
from wavetank.market.bars import Bars

from .experiments.conftest import config_of

PAGE = Path(__file__).parents[1] / "docs" / "extend.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COLUMN, PART, RULE = "my_desk.features:surprise", "my_desk.rewards:calm", "my_desk.rules:Weekend"
EMBEDDER = "my_desk.embedders:Shape"
LONGEST = 30  # lines of code, as DESIGN.md promises


class Block(NamedTuple):
    language: str
    text: str

    @property
    def path(self) -> str:
        """The path in its first line: `# my_desk/features.py`."""
        return self.text.splitlines()[0].removeprefix("# ")


class Followed(NamedTuple):
    """The folder in which somebody has followed the page, and what its commands printed, by their verb."""

    folder: Path
    printed: dict[str, str]

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "own"


BLOCKS = [Block(*found) for found in BLOCK.findall(PAGE.read_text())]
FILES = [block for block in BLOCKS if block.language != "bash"]
COMMANDS = [line for block in BLOCKS if block.language == "bash" for line in block.text.splitlines()]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder, printed = tmp_path_factory.mktemp("stranger"), dict[str, str]()
    for block in FILES:
        path = folder / block.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text)
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    given["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), given["PATH"]])
    for command in COMMANDS:
        done = subprocess.run(command, shell=True, cwd=folder, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed[_verb(command)] = done.stdout
    return Followed(folder, printed)


def _verb(command: str) -> str:
    """The verb of `wavetank`, or the module that Python runs."""
    words = command.split()
    return words[2] if words[1] == "-m" else words[1]


@pytest.fixture
def at_the_desk(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Followed]:
    """This process stands in that folder and finds its modules."""
    monkeypatch.chdir(followed.folder)
    monkeypatch.syspath_prepend(str(followed.folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield followed
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_desk"]:
        del sys.modules[name]


def test_every_block_says_where_it_lies_and_none_is_longer_than_promised() -> None:
    kinds = {block.path.rpartition("/")[2]: block.language for block in FILES}
    assert kinds == {"__init__.py": "python", "features.py": "python", "spec.yaml": "yaml", "rewards.py": "python",
                     "look.py": "python", "rules.py": "python", "embedders.py": "python",
                     "made.py": "python"}  # fmt: skip
    assert all(block.path.startswith("my_desk/") for block in FILES)
    assert max(len(block.text.splitlines()) for block in FILES) < LONGEST
    verbs = ["doctor", "my_desk.look", "train", "evaluate", "my_desk.made", "train"]
    assert [_verb(command) for command in COMMANDS] == verbs


@pytest.mark.slow
def test_the_doctor_finds_the_feature_sound(followed: Followed) -> None:
    report = followed.printed["doctor"]
    for trial in ("compiled = interpreted", "look-ahead", "restart", "batch = stream", "finite", "scale", "speed"):
        assert f"   {COLUMN} {trial} " in report
    assert "warning" not in report
    assert report.endswith("\nsound\n")


@pytest.mark.slow
def test_the_run_has_a_passport_that_sees_the_column_and_carries_its_source(at_the_desk: Followed) -> None:
    passport = load_passport(at_the_desk.run / "passport")
    market = ("return_1", "return_5", "volatility_20", "bollinger_30", "rsi_14@4h", COLUMN)
    assert passport.terrain.spec.market == market
    assert passport.manifest["observation"]["columns"][: len(market)] == list(market)
    own = at_the_desk.run / "passport" / "own"
    carried = {str(path.relative_to(own)): path.read_text() for path in own.rglob("*.py")}
    features = {block.path: block.text for block in FILES if block.path.endswith(("__init__.py", "features.py"))}
    assert carried == features


@pytest.mark.slow
def test_a_policy_remembers_through_the_embedder_and_takes_it_along(at_the_desk: Followed) -> None:
    folder = at_the_desk.folder / "runs" / "mindful" / "passport"
    memory = load_passport(folder).memory
    assert memory is not None
    assert (memory.own, memory.embedder.width) == ((EMBEDDER,), 8)
    assert memory.archive is not None
    assert len(memory.archive) > 1500
    carried = {str(path.relative_to(folder / "own")): path.read_text() for path in folder.glob("own/**/*.py")}
    assert carried == {b.path: b.text for b in FILES if b.path.endswith(("__init__.py", "embedders.py"))}
    close = np.concatenate([100.0 * np.exp(np.linspace(0.0, 0.1, 32)), np.full(32, 100.0 * np.exp(0.1))])
    opened_at = 1_704_067_200_000 + 3_600_000 * np.arange(64)
    outline = Bars("1h", opened_at, close, close * 1.001, close * 0.999, close, np.ones(64))
    low, high = outline.low.min(), outline.high.max()
    rows = [row for k in range(8, 65, 8) for row in
            (close[k - 1], outline.high[k - 8 : k].max(), outline.low[k - 8 : k].min())]  # fmt: skip
    numbers = memory.embedder.numbers  # type: ignore[attr-defined]  # it is one of the user's own
    wanted = ((np.array(rows) - low) / (high - low) - numbers["mean"]) @ numbers["axes"]
    np.testing.assert_allclose(memory.embedder.vector(outline), wanted / np.linalg.norm(wanted), rtol=1e-5)


@pytest.mark.slow
def test_the_passport_says_what_the_policy_was_paid_for(at_the_desk: Followed) -> None:
    folder = at_the_desk.run / "passport"
    assert load_passport(folder).manifest["rewards"]["weights"] == {"log_growth": 1.0, PART: 0.1}
    carried = {str(path.relative_to(folder / "rewards")): path.read_text() for path in folder.glob("rewards/**/*.py")}
    assert carried == {b.path: b.text for b in FILES if b.path.endswith(("__init__.py", "rewards.py"))}


@pytest.mark.slow
def test_the_reward_part_is_told_beside_the_house_s_and_counts(followed: Followed) -> None:
    told = {name: float(value) for name, value in map(str.split, followed.printed["my_desk.look"].splitlines())}
    assert list(told) == ["log_growth", "cost", "turnover", "drawdown", PART, "reward"]
    assert told[PART] < 0.0
    assert told["reward"] == pytest.approx(told["log_growth"] + 0.1 * told[PART], abs=2e-6)


@pytest.mark.slow
def test_the_run_was_trained_on_it(at_the_desk: Followed) -> None:
    _, config = read_run(at_the_desk.run)
    assert config.env.rewards == {"log_growth": 1.0, PART: 0.1}
    env = open_course(config).training_env()
    env.reset(seed=1)
    infos: dict[str, dict[str, np.ndarray]] = {}
    returns = np.zeros(env.num_envs)
    while "episode" not in infos:
        _, rewards, _, _, infos = env.step(np.ones((env.num_envs, 1)))
        returns += rewards
    sums = infos["episode"]
    assert (sums[PART] < 0.0).all()
    np.testing.assert_allclose(returns, sums["log_growth"] + 0.1 * sums[PART], rtol=1e-9)


@pytest.mark.slow
def test_a_run_is_not_judged_on_a_list_that_was_changed_behind_its_back(
    at_the_desk: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = (at_the_desk.folder / "my_desk" / "spec.yaml").read_text()
    (tmp_path / "my_desk").mkdir()
    (tmp_path / "my_desk" / "spec.yaml").write_text(spec.replace("return_1, return_5", "return_5, return_1"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="observation my_desk/spec.yaml is not the one that .* was trained with"):
        examine(config_of("evaluate", f"policy={at_the_desk.run}", f"out={tmp_path}/examined"))
    assert not (tmp_path / "examined").exists()


@pytest.mark.slow
def test_the_evaluation_holds_the_rule_s_figures_and_it_was_out_on_every_weekend(followed: Followed) -> None:
    figures = json.loads((followed.run / "evaluation.json").read_text())["figures"]
    assert set(figures) == {"policy", "hold", RULE}
    track = Track.load(followed.run / "tracks" / f"test_{RULE}.npz")
    assert figures[RULE] == track.metrics()
    opened_at = [datetime.fromtimestamp((at + 1 - track.interval_ms) / 1000, UTC) for at in track.closed_at.tolist()]
    wanted = [0.0 if at.strftime("%a") in ("Sat", "Sun") else 1.0 for at in opened_at]
    assert track.action[1:].tolist() == wanted[:-1]
    assert {0.0, 1.0} == set(wanted)
    assert RULE.partition(":")[2] in followed.printed["evaluate"].replace("\n", "")
