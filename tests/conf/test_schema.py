import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.errors import ConfigCompositionException
from hydra.utils import get_class
from omegaconf import OmegaConf

import wavetank.conf
from wavetank.agents.keys import PPOConfig, SACConfig
from wavetank.conf.agent_schema import AGENTS, SACSchema, scheduled
from wavetank.conf.env_schema import HistoryEnv
from wavetank.conf.schema import EvaluateConfig, TrainConfig, WalkForwardConfig, run_folder, typed
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.rewards import Reward
from wavetank.experiments.course import build
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument

CONF = Path(wavetank.conf.__file__).parent
GROUPS = ("agent", "env", "market", "costs", "limits", "tracking", "experiment")
PARTS = {"agent/ppo", "env/common", "limits/numbers"}  # included by options, not options themselves


def options() -> list[str]:
    found = sorted(f"{group}/{file.stem}" for group in GROUPS for file in (CONF / group).glob("*.yaml"))
    return [name for name in found if name not in PARTS]


@pytest.fixture(autouse=True)
def _in_conf() -> Iterator[None]:
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        yield


def config_of(name: str, *overrides: str) -> Any:
    return OmegaConf.to_object(compose(name, overrides=list(overrides)))


def build_all(config: TrainConfig) -> None:
    kind = SACConfig if isinstance(config.agent, SACSchema) else PPOConfig
    keys = kind(**{name: value for name, value in vars(config.agent).items() if name in kind.__dataclass_fields__})
    if isinstance(keys, PPOConfig):
        keys.check_batch(config.env.num_envs)
    build(config.costs, Costs)
    build(config.limits, Limits)
    build(config.market.instrument, Instrument)
    ObservationSpec.load(config.env.observation)
    Reward.of(config.env.rewards)


@pytest.mark.parametrize("option", options())
@pytest.mark.parametrize("program", ["train", "walkforward"])
def test_every_option_composes_and_instantiates(program: str, option: str) -> None:
    group, name = option.split("/")
    word = f"+{group}" if group == "experiment" and f"{group}={name}" not in option else group

    build_all(config_of(program, f"{word.lstrip('+')}={name}"))


def test_every_program_composes_once_its_required_keys_are_given() -> None:
    for file in CONF.glob("*schema*.py"):
        importlib.import_module(f"wavetank.conf.{file.stem}")
    programs = [file.stem for file in CONF.glob("*.yaml") if "_schema" in file.read_text()]

    assert {"train", "walkforward", "evaluate"} <= set(programs)
    for program in programs:
        assert compose(program) is not None


def test_programs_give_their_own_typed_configs() -> None:
    assert type(config_of("train")) is TrainConfig
    assert type(config_of("walkforward")) is WalkForwardConfig
    assert type(config_of("evaluate", "policy=somewhere")) is EvaluateConfig
    assert type(config_of("train").env) is HistoryEnv


def test_the_schema_imports_hydra_alone() -> None:
    for name in ("schema", "agent_schema", "market_schema", "ranges"):
        tree = ast.parse((CONF / f"{name}.py").read_text())
        roots = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
        roots |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        allowed = {"dataclasses", "pathlib", "re", "typing", "hydra", "omegaconf"}
        assert {str(root).split(".")[0] for root in roots} <= allowed


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seeed=1", "seeed"),
        ("env.num_env=3", "num_env"),
        ("env.bars=300", "bars"),  # a key of env=process, not of env=history
        ("agent.runners=1", "runners"),  # a key of rllib_ppo
        ("agent.tau=0.1", "tau"),  # a key of sb3_sac
        ("agent.horizon=9", "horizon"),  # no key at all: the run's steps
        ("ray.adress=auto", "adress"),
        ("costs.fee=1", "fee"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_it(override: str, key: str) -> None:
    with pytest.raises(ConfigCompositionException) as error:
        compose("train", overrides=[override])
    assert f"Key '{key}' not in" in f"{error.value} {error.value.__cause__}"


@pytest.mark.parametrize("key", ["seeed", "env.rooms", "market.instrument.tik"])
def test_a_key_forced_in_with_a_plus_is_an_error_that_names_it(key: str) -> None:
    with pytest.raises(ValueError, match=f"Key '{key}' not in"):
        typed(compose("train", overrides=[f"+{key}=1"]), TrainConfig)


@pytest.mark.parametrize("override", ["market.instrument.lot=1000", "market=btc_1h"])
def test_evaluate_takes_no_instrument_for_a_policy_brings_its_own(override: str) -> None:
    with pytest.raises(ConfigCompositionException, match=f"Could not override '{override.split('=')[0]}'"):
        compose("evaluate", overrides=["policy=x", override])
    with pytest.raises(ValueError, match="Key 'market.instrument' not in|the one in the policy's passport"):
        typed(compose("evaluate", overrides=["policy=x", f"+{override}"]), EvaluateConfig)


def test_a_reward_may_name_any_part() -> None:
    config = typed(compose("train", overrides=["+env.rewards.drawdown=0.5"]), TrainConfig)

    assert config.env.rewards == {"log_growth": 1.0, "drawdown": 0.5}


@pytest.mark.parametrize("override", ["steps=many", "agent.learning_rate=fast", "env.num_envs=2.5", "split.embargo=x"])
def test_a_wrong_type_is_an_error_that_names_the_key(override: str) -> None:
    with pytest.raises(ConfigCompositionException) as error:
        compose("train", overrides=[override])
    assert override.split("=")[0] in str(error.value)


@pytest.mark.parametrize(
    ("program", "override", "sentence"),
    [
        ("train", "steps=0", "steps: 0 must be 1 or more"),
        ("train", "seed=-1", "seed: -1 must lie in 0"),
        ("train", "seed=4294967296", "seed: 4294967296 must lie"),
        ("train", "env.num_envs=0", "env.num_envs: 0"),
        ("train", "env.actions=both", "env.actions: 'both' is not box, discrete or discrete:n"),
        ("train", "env.dead_band=1.0", "env.dead_band: 1.0 is not a share"),
        ("train", "env.cash=0", "env.cash: 0.0 must be above"),
        ("train", "split.validation=0.8", "split: validation 0.8 and test 0.15"),
        ("train", "split.validation=0", "split.validation: 0"),
        ("train", "market.interval=7m", "market.interval: '7m'"),
        ("train", "out=''", "out: it is empty"),
        ("train", "validate_every=-1", "validate_every: -1 must be 0 or more"),
        ("train", "patience=-1", "patience: -1 must be 0 or more"),
        ("train", "patience=2", "patience: 2 looks at validation, and validate_every=0 takes none"),
        ("train", "ray.address=auto", "ray.address: auto is a cluster, and agent sb3 trains in one process"),
        ("sweep", "resume=outputs/x", "resume: a sweep goes on where the same command"),
        ("walkforward", "resume=outputs/x", "resume: a walk-forward goes on where the same command"),
        ("evaluate", "slice=train", "slice: 'train' is not one of validation, test"),
        ("walkforward", "walk.windows=0", "walk.windows: 0"),
        ("walkforward", "walk.test=1.5", "walk.test: 1.5 is not a share"),
    ],
)
def test_a_value_out_of_range_is_an_error_that_names_key_and_value(program: str, override: str, sentence: str) -> None:
    composed = compose(program, overrides=["policy=x", override] if program == "evaluate" else [override])
    with pytest.raises(ValueError, match=sentence):
        OmegaConf.to_object(composed)


def test_the_yaml_defaults_of_costs_limits_and_instrument_are_the_code_s() -> None:
    config = config_of("train")

    assert build(config.costs, Costs) == Costs()
    assert build(config.limits, Limits) == Limits()
    assert build(config.market.instrument, Instrument) == Instrument()


def agent_of(name: str, *overrides: str) -> Any:
    return config_of("train", f"agent={name}", *overrides).agent


def test_both_backends_have_the_same_keys_of_ppo_with_the_same_values() -> None:
    sb3, rllib = vars(agent_of("sb3_ppo")), vars(agent_of("rllib_ppo"))
    own = {"_target_", "backend", "runners", "learners"}

    assert {key: sb3[key] for key in sb3 if key not in own} == {key: rllib[key] for key in rllib if key not in own}
    assert set(PPOConfig.__dataclass_fields__) - {"seed", "horizon"} == set(sb3) - own
    assert get_class(sb3["_target_"]).__name__ == "SB3Trainer"


def test_sac_has_keys_of_its_own() -> None:
    assert set(SACConfig.__dataclass_fields__) - {"seed"} == set(vars(agent_of("sb3_sac"))) - {"_target_", "backend"}
    assert agent_of("sb3_sac").entropy == "auto"
    assert agent_of("sb3_sac", "agent.entropy=0.1").entropy == 0.1
    assert SACConfig(entropy=agent_of("sb3_sac", "agent.entropy=1").entropy).entropy == 1


def test_the_recurrent_agent_is_ppo_with_a_recurrent_layer() -> None:
    plain, recurrent = vars(agent_of("sb3_ppo")), vars(agent_of("sb3_recurrent"))

    assert {key: (plain[key], recurrent[key]) for key in plain if plain[key] != recurrent[key]} == {"lstm": (0, 64)}


def test_the_yaml_values_of_the_agents_are_the_code_s_but_for_the_size_of_rewards() -> None:
    for agent, keys in ((agent_of("sb3_ppo"), PPOConfig()), (agent_of("sb3_sac"), SACConfig())):
        for name, value in vars(agent).items():
            if name not in ("_target_", "backend", "reward_scale"):
                own = getattr(keys, name)
                assert value == (list(own) if isinstance(own, tuple) else own), name


def test_every_backend_names_its_schema() -> None:
    for name in ("sb3_ppo", "sb3_recurrent", "sb3_sac", "rllib_ppo"):
        agent = agent_of(name)
        assert type(agent) is AGENTS[agent.backend]


def test_what_moves_over_the_steps_is_named() -> None:
    assert scheduled(agent_of("sb3_ppo")) == scheduled(agent_of("sb3_sac")) == []
    assert scheduled(agent_of("rllib_ppo", "agent.entropy_end=0", "agent.learning_rate_end=0")) == [
        "learning_rate_end",
        "entropy_end",
    ]


def test_doubled_costs_are_twice_the_ordinary_ones() -> None:
    once, twice = (build(config_of("train", f"costs={name}").costs, Costs) for name in ("perpetual", "doubled"))

    for key in ("taker_fee_bps", "maker_fee_bps", "half_spread_bps", "impact_y"):
        assert getattr(twice, key) == 2 * getattr(once, key)


def test_an_experiment_overlays_and_the_command_line_overlays_the_experiment() -> None:
    assert config_of("train", "experiment=fast").steps == 2048
    assert config_of("train", "experiment=fast", "steps=7").steps == 7


def test_hydra_leaves_no_folder_and_changes_none() -> None:
    composed = compose("train", return_hydra_config=True)

    assert composed.hydra.run.dir == "."
    assert composed.hydra.output_subdir is None
    assert composed.hydra.job.chdir is False
    assert "filename" not in OmegaConf.to_yaml(composed.hydra.job_logging)


def test_two_runs_of_one_second_get_two_folders() -> None:
    assert config_of("train").out != config_of("train").out
    assert run_folder("2026-01-01/10-00-00-000001") == "outputs/2026-01-01/10-00-00-000001"


def test_the_tracking_root_is_recorded_as_a_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promotion may run in another working folder: it must find the trials that this run was one of."""
    monkeypatch.chdir(tmp_path)
    assert config_of("train", "tracking.root=here/mlflow").tracking.root == str(tmp_path / "here" / "mlflow")
