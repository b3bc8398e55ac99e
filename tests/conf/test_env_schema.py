"""The schema of environments: what a scenario, a mixture and a stage may be, and what is told of one that may not."""

from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

import wavetank.conf.schema  # noqa: F401  # registers the schemas


@pytest.fixture(autouse=True)
def _in_conf() -> Iterator[None]:
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        yield


def config_of(name: str, *overrides: str) -> Any:
    return OmegaConf.to_object(compose(name, overrides=list(overrides)))


@pytest.mark.parametrize(
    ("env", "override", "sentence"),
    [
        ("process", "env.bars=10", "env.bars: 10"),
        ("process", "env.process=fbm", "env.process: 'fbm'"),
        ("arena", "env.episode_bars=null", "env.episode_bars: an arena's market has no end"),
        ("arena", "env.size=0", "env.size: 0.0"),
        ("arena", "env.scenario=7", "env.scenario: 7 is neither a name, a list of names, nor weights as"),
        ("arena", "env.scenario=[]", "env.scenario: .* is neither a name"),
        ("arena", "env.scenario={}", "env.scenario: .* is neither a name"),
        ("arena", "env.scenario=[normal,3]", r"env.scenario: \['normal', 3\] is neither a name"),
        ("arena", "env.scenario=[crash,crash]", "env.scenario: a name stands twice in crash, crash"),
        ("arena", "env.scenario={crash: 0}", "env.scenario: crash has weight 0, it must be a number above 0"),
        ("arena", "env.scenario={crash: much}", "env.scenario: crash has weight 'much'"),
        ("arena", "env.scenario={history: 1, crash: 1}", "env.scenario: history is no scenario; env=mixture draws it"),
        ("mixture", "env.history=1.5", "env.history: 1.5 is not a share"),
        ("mixture", "env.history=1", "env.history: 1.0 at all times mixes nothing; say env=history"),
        ("mixture", "env.history=0", "env.history: 0.0 at all times mixes nothing; say env=arena"),
        ("mixture", "env.episode_bars=null", "env.episode_bars"),
        ("mixture", "env.curriculum=[{until: 1, history: 1}]", "env.curriculum: a stage until 1.0 after 0.0; stages"),
        (
            "mixture",
            "env.curriculum=[{until: 0.5, history: 1}, {until: 0.4, history: 1}]",
            "env.curriculum: a stage until 0.4 after 0.5",
        ),
        ("mixture", "env.curriculum=[{until: 0.5, history: 2}]", "env.curriculum: history: 2.0 is not a share"),
        (
            "mixture",
            "env.curriculum=[{until: 0.5, history: 0, scenario: [1]}]",
            r"env.curriculum: scenario: \[1\] is neither a name",
        ),
    ],
)
def test_a_kind_of_env_checks_its_own_keys(env: str, override: str, sentence: str) -> None:
    composed = compose("train", overrides=[f"env={env}", override])
    with pytest.raises(ValueError, match=sentence):
        OmegaConf.to_object(composed)


@pytest.mark.parametrize(
    "stage", ["{until: 0.5, history: 1, weather: calm}", "{until: soon, history: 1}", "{until: 0.5}"]
)
def test_a_stage_of_a_curriculum_has_its_keys_and_no_others(stage: str) -> None:
    with pytest.raises((ConfigCompositionException, MissingMandatoryValue), match="weather|soon|history"):
        OmegaConf.to_object(compose("train", overrides=["env=mixture", f"env.curriculum=[{stage}]"]))


@pytest.mark.parametrize("env", ["arena", "mixture"])
@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("crash", "crash"),
        ("[normal,crash]", ["normal", "crash"]),
        ("{normal: 3, crash: 1}", {"normal": 3, "crash": 1}),
    ],
)
def test_a_scenario_is_a_name_a_list_or_weights(env: str, word: str, told: Any) -> None:
    assert config_of("train", f"env={env}", f"env.scenario={word}").env.scenario == told


def test_a_mixture_goes_through_stages_to_what_holds_at_the_end() -> None:
    stages = "[{until: 0.3, history: 1}, {until: 0.6, history: 0.7, scenario: {normal: 2, spoofing: 1}}]"
    env = config_of("train", "env=mixture", f"env.curriculum={stages}", "env.history=0.2").env
    assert [(stage.until, stage.history, stage.scenario) for stage in env.curriculum] == [
        (0.3, 1.0, None),
        (0.6, 0.7, {"normal": 2, "spoofing": 1}),
    ]
    assert env.history == 0.2
