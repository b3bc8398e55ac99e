"""Baselines by name: the house's rules, and a user's own by address, judged as if they were the house's."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wavetank.agents.policy import Policy
from wavetank.agents.rules import Rule, make_rule
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain
from wavetank.experiments.baselines import OwnRule, rules_of
from wavetank.experiments.course import CourseError
from wavetank.experiments.evaluate import Track, run_policy
from wavetank.experiments.examine import examine
from wavetank.experiments.stress import ArenaStorms, stress_passport
from wavetank.experiments.train import RunResult
from wavetank.experiments.walkforward import walk
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

from .conftest import NOW, TINY, config_of
from .made_bars import wandering

MODULE = """
import numpy as np

from wavetank.agents.policy import Decision

THREE = 3


def said(target):
    return Decision(np.array([[target]], np.float32), np.ones(1, np.float32), np.zeros(1, np.float32))


class Cross:
    \"\"\"Long while the mean of two closes is above that of five, short while below.\"\"\"

    def begin(self, bars, account):
        self.closes = list(bars.close)

    def see(self, bar, account):
        self.closes.append(bar.close)

    def act(self, observations, state=None, starts=None):
        return said(float(np.sign(np.mean(self.closes[-2:]) - np.mean(self.closes[-5:]))))


class Stop:
    \"\"\"Long until 1 % of the first equity that it saw is lost, then out.\"\"\"

    def begin(self, bars, account):
        self.first, self.target = account.equity, 1.0

    def see(self, bar, account):
        if account.equity < 0.99 * self.first:
            self.target = 0.0

    def act(self, observations, state=None, starts=None):
        return said(self.target)


class Word(Stop):
    def act(self, observations, state=None, starts=None):
        return 1.0


class TooMuch(Stop):
    def act(self, observations, state=None, starts=None):
        return said(1.5)


class NoNumber(Stop):
    def act(self, observations, state=None, starts=None):
        return said(np.nan)


class Asks(Stop):
    def __init__(self, days):
        self.days = days


class Blind:
    def act(self, observations, state=None, starts=None):
        return said(1.0)
"""
OFF = Limits(mode="off")
LONGER = ("env.bars=1600", "env.observation=spine")  # enough for three windows and the purges between them


@pytest.fixture(autouse=True)
def _on_the_path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "rules_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("rules_of_mine", None)


def mine(name: str) -> Policy:
    address = f"rules_of_mine:{name}"
    return rules_of([address])[address]


def same(a: Track, b: Track) -> bool:
    names = ("equity", "exposure", "action", "fees", "funding", "turnover", "trades")
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in names)


def test_rules_of_the_house_and_ones_own_stand_side_by_side_in_the_order_asked_for() -> None:
    found = rules_of(["hold", "rules_of_mine:Cross", "ma_cross(fast=2, slow=5)"])
    assert list(found) == ["hold", "rules_of_mine:Cross", "ma_cross(fast=2, slow=5)"]
    assert [type(rule) for rule in found.values()] == [Rule, OwnRule, Rule]


def test_it_earns_to_the_last_bit_what_the_same_rule_of_the_house_earns() -> None:
    bars = wandering(300)
    house = run_policy(make_rule("ma_cross(fast=2, slow=5)"), bars, limits=OFF)
    own = run_policy(mine("Cross"), bars, limits=OFF)
    assert own.trades[-1] > 50
    assert same(own, house)


def test_beside_a_discrete_policy_it_answers_exposures_all_the_same() -> None:
    bars = wandering(300)
    box, discrete = (run_policy(mine("Cross"), bars, limits=OFF, actions=kind) for kind in ("box", "discrete"))
    assert same(box, discrete)


def test_it_is_shown_the_account_as_it_stands_at_each_close() -> None:
    track = run_policy(mine("Stop"), wandering(300), limits=OFF)
    below = int(np.flatnonzero(track.equity < 0.99 * track.equity[0])[0])
    assert (track.action[1 : below + 1] == 1.0).all()
    assert (track.action[below + 1 :] == 0.0).all()
    assert track.exposure[below + 1] == 0.0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere_at_all:Cross", "baseline 'nowhere_at_all:Cross': there is no module nowhere_at_all; is it on"),
        ("rules_of_mine:Crss", "baseline 'rules_of_mine:Crss': rules_of_mine has no class Crss"),
        ("rules_of_mine:THREE", "baseline 'rules_of_mine:THREE': rules_of_mine has no class THREE"),
        ("rules_of_mine:said", "baseline 'rules_of_mine:said': rules_of_mine has no class said"),
        ("rules_of_mine:Blind", "baseline 'rules_of_mine:Blind' has no method begin: a rule has begin, see, act"),
        ("rules_of_mine:Asks", "baseline 'rules_of_mine:Asks' must be made without arguments: missing a required"),
        ("rules_of_mine:Cross(fast=2)", r"'rules_of_mine:Cross\(fast=2\)' is not a rule's name"),
        ("luck", "there is no baseline 'luck'"),
    ],
)
def test_what_is_no_rule_costs_one_sentence_wherever_it_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        rules_of(["hold", name])
    with pytest.raises(CourseError, match=sentence):
        examine(config_of("evaluate", f"policy={tmp_path}/none", f'baselines=["{name}"]', f"out={tmp_path}/out"))
    with pytest.raises(CourseError, match=sentence):
        stress_passport(tmp_path / "none", baselines=[name], run_seed=1)
    with pytest.raises(CourseError, match=sentence):
        walk(config_of("walkforward", *TINY, *LONGER, f'baselines=["{name}"]', f"out={tmp_path}/out"), now=NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Word", "baseline rules_of_mine:Word answered 1.0, not a Decision"),
        ("TooMuch", r"baseline rules_of_mine:TooMuch wants \[\[1.5\]\], not one target"),
        ("NoNumber", r"baseline rules_of_mine:NoNumber wants \[\[nan\]\], not one target"),
    ],
)
def test_a_senseless_answer_is_refused_by_the_rules_name(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run_policy(mine(name), wandering(180), limits=OFF)


@pytest.mark.slow
def test_in_the_arena_it_meets_the_storms_of_the_house_s_rule() -> None:
    storms = ArenaStorms(Terrain(ObservationSpec.load("spine"), Instrument(), Costs(), Limits(), "1m"), bars=30)
    own = storms(mine("Cross"), "normal", 3, "own").track
    assert own.trades[-1] > 3
    assert same(own, storms(make_rule("ma_cross(fast=2, slow=5)"), "normal", 3, "house").track)


@pytest.mark.slow
def test_a_run_is_judged_beside_it(finished: RunResult, tmp_path: Path) -> None:
    words = [
        f"policy={finished.folder}",
        f"out={tmp_path}",
        'baselines=["rules_of_mine:Cross","ma_cross(fast=2,slow=5)"]',
    ]
    examined = examine(config_of("evaluate", *words))
    assert examined.figures["rules_of_mine:Cross"] == examined.figures["ma_cross(fast=2,slow=5)"]
    assert same(
        Track.load(tmp_path / "tracks" / "test_rules_of_mine:Cross.npz"), examined.tracks["ma_cross(fast=2,slow=5)"]
    )
