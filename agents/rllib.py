"""PPO on RLlib's new API stack, with the same keys, networks and frozen scaler as on Stable-Baselines3.

Knows a function that makes a vector env and no market; starts Ray only if nobody has, with authentication as it is.
"""

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a worker without a GPU leaves CUDA's variables alone
try:
    with warnings.catch_warnings():  # Ray imports what it has itself deprecated
        warnings.simplefilter("ignore")
        import ray
        from ray.rllib.algorithms.ppo import PPOConfig as RLlibConfig
        from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
        from ray.rllib.core.columns import Columns
        from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
        from ray.rllib.core.rl_module.rl_module import RLModuleSpec
        from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
        from ray.rllib.env.env_context import EnvContext
        from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
        from ray.rllib.evaluation.postprocessing import Postprocessing
        from ray.tune.registry import ENV_CREATOR, _global_registry, register_env
except ImportError as missing:
    raise ImportError(f"RLlib is not installed ({missing}): pip install 'wavetank[research]'") from missing

from .networks import ActorCritic, PolicyNetwork, weights_are_finite
from .policy import Callback, Metrics, PPOConfig, TrainingError, derived_seed, derived_seed32, finite_figures
from .scaling import Scaler
from .seal import check_seal, whole_folder, write_seal

FORMAT = 1
MODULE = "default_policy"
ENV = "wavetank-vector-env"
EnvCreator: TypeAlias = Callable[[dict[str, Any]], VectorEnv[Any, Any, Any]]
FIGURES = {  # path in RLlib's result -> the name that both backends use
    ("learners", MODULE, "total_loss"): "train/loss",
    ("learners", MODULE, "policy_loss"): "train/policy_loss",
    ("learners", MODULE, "vf_loss"): "train/value_loss",
    ("learners", MODULE, "entropy"): "train/entropy",
    ("learners", MODULE, "vf_explained_var"): "train/explained_variance",
    ("env_runners", "episode_return_mean"): "rollout/return",
    ("env_runners", "episode_len_mean"): "rollout/length",
}


class RLlibTrainer:
    """PPO behind the `Trainer` protocol; `env` is a function `config -> VectorEnv` or a name registered with Ray.

    The function gets `{"num_envs": n, "worker_index": w, **env_config}` in each of `runners` processes (0: in this one)
    and must give a NEXT_STEP env, whose dummy step after an episode RLlib leaves out of the rollout. Each worker's
    episodes derive from `config.seed` and its index.
    """

    def __init__(
        self,
        config: PPOConfig,
        scaler: Scaler,
        metrics: Metrics | None = None,
        *,
        num_envs: int = 64,
        runners: int = 0,
        env_config: Mapping[str, Any] | None = None,
        address: str | None = None,
    ) -> None:
        if config.target_kl is not None:
            raise ValueError(f"rllib cannot honour target_kl {config.target_kl}: it has no KL stop; use sb3, or null")
        if not config.normalize_advantage:
            raise ValueError("rllib cannot honour normalize_advantage false: it always normalises; use sb3, or true")
        config.check_batch(num_envs * max(1, runners))
        self.config, self.scaler, self._metrics = config, scaler, metrics
        self._num_envs, self._runners, self._address = num_envs, runners, address
        self._env_config = dict(env_config or {})
        self._algorithm: Any = None
        self._env: EnvCreator | str | None = None
        self._steps = 0

    @property
    def steps(self) -> int:
        return self._steps

    def fit(self, env: EnvCreator | str, steps: int, callbacks: Sequence[Callback] = ()) -> PolicyNetwork:
        """Train until `steps` environment steps are done in all, rounded up to whole updates."""
        if self._algorithm is None:
            self._build(env, "episodes")
        elif self._env is not env:
            raise ValueError("this trainer began on another env: give it the same one, or resume a checkpoint on this")
        torch.set_num_threads(self.config.threads)
        while self._steps < steps:
            before, result = self._steps, self._algorithm.train()
            self._steps = int(_at(result, ("env_runners", "num_env_steps_sampled_lifetime")))
            if self._on_figures(result, (self._steps - before) / result["time_this_iter_s"], callbacks):
                break
        return self.policy()

    def policy(self) -> PolicyNetwork:
        net = self._network()
        return PolicyNetwork(net.scaler, net.pi, net.action, net.vf, net.value, net.log_std, self.config.reward_scale)

    def save(self, folder: Path) -> Path:
        self._network()
        with whole_folder(Path(folder), replace=True) as draft:
            self._algorithm.save_to_path(str(draft / "algorithm"))
            told = {**self._identity(), "steps": self._steps}
            (draft / "checkpoint.json").write_text(json.dumps(told, indent=2) + "\n")
            write_seal(draft)
        return Path(folder)

    def resume(self, folder: Path, env: EnvCreator | str) -> None:
        """Take weights, optimizer and counters from a checkpoint; episodes start anew, and it is not bit-exact.

        RLlib's checkpoints hold pickles: resume only what you have written yourself.
        """
        check_seal(Path(folder))
        told = json.loads((Path(folder) / "checkpoint.json").read_text())
        for key, value in self._identity().items():
            if told.get(key) != json.loads(json.dumps(value)):
                raise TrainingError(f"checkpoint {folder} has another {key} than this trainer")
        self._build(env, f"episodes after {told['steps']}")
        self._algorithm.restore_from_path(str(Path(folder).resolve() / "algorithm"))
        self._steps = int(told["steps"])

    def close(self) -> None:
        """Stop the algorithm's processes; Ray itself is left running for others."""
        if self._algorithm is not None:
            self._algorithm.stop()
            self._algorithm = None

    def _build(self, env: EnvCreator | str, episodes: str) -> None:
        start_ray(self._address)
        self.close()
        config, workers = self.config, max(1, self._runners)
        seed = derived_seed(config.seed, episodes)
        register_env(ENV, _seeded(env, seed, config.reward_scale, self.scaler.width))
        algorithm = (
            RLlibConfig()
            .environment(ENV, env_config=self._env_config, normalize_actions=False, clip_actions=True)
            .env_runners(
                env_runner_cls=IndexedEnvRunner,
                num_env_runners=self._runners,
                num_envs_per_env_runner=self._num_envs,
                gym_env_vectorize_mode="vector_entry_point",
                rollout_fragment_length=config.rollout,
            )
            .training(
                learner_class=MinibatchNormalisingLearner,
                train_batch_size_per_learner=config.rollout * self._num_envs * workers,
                minibatch_size=config.minibatch,
                num_epochs=config.epochs,
                shuffle_batch_per_epoch=True,
                lr=config.learning_rate,
                gamma=config.gamma,
                lambda_=config.gae_lambda,
                clip_param=config.clip,
                entropy_coeff=config.entropy,
                vf_loss_coeff=config.value_coef,
                vf_clip_param=float("inf"),
                use_kl_loss=False,
                grad_clip=config.max_grad_norm,
                grad_clip_by="global_norm",
            )
            .rl_module(rl_module_spec=RLModuleSpec(module_class=ScaledModule, model_config=self._model_config()))
            .learners(num_learners=0)
            .debugging(seed=derived_seed32(config.seed, "weights"), log_level="ERROR")
        )
        with _quiet():
            self._algorithm = algorithm.build_algo()
        self._env, self._steps = env, 0

    def _model_config(self) -> dict[str, Any]:
        return {
            "scaler": self.scaler.to_json(),
            "hidden": list(self.config.hidden),
            "activation": self.config.activation,
            "log_std_init": self.config.log_std_init,
        }

    def _on_figures(self, result: Mapping[str, Any], speed: float, callbacks: Sequence[Callback]) -> bool:
        """Hand out one update's figures; True if somebody asks to stop."""
        found = {name: _at(result, path) for path, name in FIGURES.items()}
        figures = finite_figures({name: float(value) for name, value in found.items() if value is not None})
        if not np.isfinite(figures["train/loss"]) or not weights_are_finite(self._network()):
            raise TrainingError(f"the loss became {figures['train/loss']} after step {self._steps}")
        if "rollout/return" in figures:
            figures["rollout/return"] /= self.config.reward_scale
        figures["time/steps_per_second"] = speed
        log_std = self._network().log_std
        if log_std is not None:
            figures["train/std"] = float(log_std.detach().exp().mean())
        if self._metrics is not None:
            self._metrics.log(self._steps, figures)
        return False in [callback.on_update(self._steps, figures) for callback in callbacks]

    def _network(self) -> ActorCritic:
        if self._algorithm is None:
            raise ValueError("nothing is trained yet: call fit or resume first")
        network: ActorCritic = self._algorithm.get_module(MODULE).network
        return network

    def _identity(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "backend": "rllib",
            "config": asdict(self.config),
            "scaler": self.scaler.to_json(),
            "envs": self._num_envs * max(1, self._runners),
        }


class ScaledModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]  # Ray's classes are untyped here
    """RLlib's view of `ActorCritic`."""

    def setup(self) -> None:
        told, action = self.model_config, self.action_space
        box = isinstance(action, spaces.Box)
        self.network = ActorCritic(
            Scaler.from_json(told["scaler"]),
            told["hidden"],
            told["activation"],
            outputs=1 if box else int(action.n),
            log_std_init=told["log_std_init"] if box else None,
        )

    def _forward(self, batch: dict[str, Any], **kwargs: object) -> dict[str, Any]:
        scaled = self.network.scaler(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: self.network.action_inputs(scaled)}

    def _forward_train(self, batch: dict[str, Any], **kwargs: object) -> dict[str, Any]:
        scaled = self.network.scaler(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: self.network.action_inputs(scaled), Columns.EMBEDDINGS: scaled}

    def compute_values(self, batch: dict[str, Any], embeddings: torch.Tensor | None = None) -> torch.Tensor:
        scaled = self.network.scaler(batch[Columns.OBS]) if embeddings is None else embeddings
        return self.network.values(scaled)


class MinibatchNormalisingLearner(PPOTorchLearner):  # type: ignore[misc]  # as above
    """Normalises advantages within each minibatch, as Stable-Baselines3 does; upstream does it once a rollout."""

    def compute_loss_for_module(self, *, batch: dict[str, Any], **kwargs: Any) -> torch.Tensor:
        advantages, mask = batch[Postprocessing.ADVANTAGES], batch[Columns.LOSS_MASK]
        real = advantages[mask]  # without the step that upstream appends to bootstrap the value
        if len(real) > 1:
            advantages = (advantages - real.mean()) / (real.std() + 1e-8)
        loss: torch.Tensor = super().compute_loss_for_module(
            batch={**batch, Postprocessing.ADVANTAGES: advantages}, **kwargs
        )
        return loss


class IndexedEnvRunner(SingleAgentEnvRunner):  # type: ignore[misc]  # as above
    """Tells the env's maker its worker's index, which upstream drops on the way to a vector env."""

    def make_env(self) -> None:
        self.config.env_config = {**self.config.env_config, "worker_index": int(self.worker_index or 0)}
        with _quiet():
            super().make_env()


class SeededVector(VectorWrapper):
    """Resets on the seed derived for its worker, not on `seed + worker_index`; scales rewards, keeps no array."""

    def __init__(self, env: VectorEnv[Any, Any, Any], seed: int, reward_scale: float) -> None:
        super().__init__(env)
        self._seed, self._reward_scale = seed, reward_scale

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observations, infos = self.env.reset(seed=None if seed is None else self._seed, options=options)
        return observations.copy(), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if not (np.isfinite(observations).all() and np.isfinite(rewards).all()):
            raise TrainingError("an env gave an observation or a reward that is no finite number")
        return observations.copy(), rewards * self._reward_scale, terminated.copy(), truncated.copy(), infos


def start_ray(address: str | None = None, num_cpus: int | None = None) -> None:
    """Start Ray here, or join the cluster at `address`, unless that has been done; no telemetry, no dashboard."""
    if ray.is_initialized():
        return
    local = {} if address else {"num_cpus": num_cpus, "include_dashboard": False}
    with _quiet():
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)


def stop_ray() -> None:
    """Leave the cluster; one that was started here ends."""
    ray.shutdown()


def _seeded(env: EnvCreator | str, seed: int, reward_scale: float, width: int) -> EnvCreator:
    create: EnvCreator = env if callable(env) else _registered(env)

    def make(config: dict[str, Any]) -> VectorEnv[Any, Any, Any]:
        worker = int(config.get("worker_index", 0))
        vector = create(EnvContext(config, worker_index=worker))
        if not isinstance(vector, VectorEnv) or vector.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
            raise ValueError(f"rllib needs a gymnasium VectorEnv with NEXT_STEP autoreset, not {vector}")
        _check_spaces(vector.single_observation_space, vector.single_action_space, width)
        return SeededVector(vector, derived_seed(seed, "worker", worker), reward_scale)

    return make


def _registered(name: str) -> EnvCreator:
    if not _global_registry.contains(ENV_CREATOR, name):
        raise ValueError(f"no env {name!r} is registered with Ray")
    creator: EnvCreator = _global_registry.get(ENV_CREATOR, name)
    return creator


def _check_spaces(observation: gymnasium.Space[Any], action: gymnasium.Space[Any], width: int) -> None:
    if observation.shape != (width,):
        raise ValueError(f"the env's observations have shape {observation.shape}, the scaler has {width} columns")
    unit = isinstance(action, spaces.Box) and action.shape == (1,) and action.low[0] == -1 and action.high[0] == 1
    if not unit and not isinstance(action, spaces.Discrete):
        raise ValueError(f"action space {action} is neither Box(-1, 1, (1,)) nor Discrete")


def _at(result: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = result
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Upstream warns of its own deprecations, of its default stack, and of an env registered twice."""
    noisy = logging.getLogger("ray.rllib")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        noisy.setLevel(level)
