"""RLlib's env runner for a vector env: whole rollouts in arrays, where upstream keeps a Python list an episode.

At every call it takes the weights to act with, so that one which was restarted is never behind. Its episodes and its
draws follow from the seed, its index and the step at which they began. Knows no loss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner

from ..market.jit import set_threads
from .checkpoints import Stateful
from .networks import ActorCritic
from .policy import Paced, TrainingError, derived_seed
from .rllib_env import EnvCreator, check_observations, checked
from .rllib_module import STATE, device_of
from .rllib_rollout import Ended, Flags, Floats, Rollout, advantages

NO_PARTS = ("r", "l", "t", "equity")  # of what an env tells of an episode's end; the others are sums of reward parts


@dataclass
class Walk:
    """Where the N episodes stand between two rollouts."""

    observations: Floats  # (N, *shape)
    over: Flags  # (N,): ended with the last step, so the next one is a dummy
    starts: Flags  # (N,): the next row is an episode's first
    state: Floats  # (N, S), recurrent
    returns: NDArray[np.float64]  # (N,) so far, unscaled
    lengths: NDArray[np.int64]  # (N,)
    random: torch.Generator  # of the actions


class ArrayEnvRunner(EnvRunner):  # type: ignore[misc]  # Ray's classes are untyped here
    """Collects `rollout` steps of `num_envs` envs a call, advantages included."""

    def __init__(self, *, config: Any, env_creator: EnvCreator, worker_index: int = 0, **keywords: Any) -> None:
        super().__init__(config=config, worker_index=worker_index, **keywords)
        self._create = env_creator
        self.walk: Walk | None = None
        self.make_module()
        self.keys = self.module.keys
        self.device = device_of(self.keys) if worker_index == 0 else torch.device("cpu")
        self.module.to(self.device)
        if worker_index > 0 or config.num_env_runners == 0:  # else others collect, and this one only keeps the weights
            self.make_env()

    def make_env(self) -> None:
        told = {"num_envs": self.config.num_envs_per_env_runner, "worker_index": int(self.worker_index)}
        self.env = self._create({**self.config.env_config, **told})

    def make_module(self) -> None:
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=False)
        self.module = spec.build()

    def get_spaces(self) -> dict[str, tuple[Any, Any]]:
        pair = (self.config.observation_space, self.config.action_space)
        return {INPUT_ENV_SPACES: pair, INPUT_ENV_SINGLE_SPACES: pair, DEFAULT_MODULE_ID: pair}

    def assert_healthy(self) -> None:
        assert self.module is not None

    def get_state(self, *arguments: Any, **keywords: Any) -> dict[str, Any]:
        """Nothing: weights come with every call, and episodes are asked for by `memory`."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None: ...

    def stop(self) -> None:
        if self.env is not None:
            self.env.close()

    def sample(self, *, weights: dict[str, Any] | None = None, began: int = 0) -> Rollout | TrainingError:
        """One rollout with `weights`; where no episodes are under way they begin anew, told apart by `began`.

        A fault of the env is answered, not raised: RLlib would end this process and try the same again.
        """
        if self.worker_index:  # Ray gave it one CPU, and calls it in a thread of its own, whose settings these are
            torch.set_num_threads(1)
            set_threads(1)
        if weights is not None:
            self.module.set_state(weights)
        try:
            if isinstance(self.env, Paced):
                self.env.advance(began)
            if self.walk is None:
                self.walk = self._begin(began)
            with torch.no_grad():
                return self._collect(self.walk)
        except TrainingError as error:
            return error

    def memory(self) -> dict[str, NDArray[Any]] | None:
        """All that the next rollout depends on but the weights; None where the env cannot put its episodes aside."""
        if self.walk is None or not isinstance(self.env, Stateful):
            return None
        walk = {name: value for name, value in vars(self.walk).items() if name != "random"}
        told = {f"walk.{name}": value for name, value in walk.items()}
        told["walk.random"] = self.walk.random.get_state().numpy()
        return told | {f"env.{name}": value for name, value in self.env.state().items()}

    def remember(self, memory: dict[str, NDArray[Any]] | None) -> None:
        """Take up the episodes that `memory` told of; without one they begin anew with the next rollout."""
        if memory is None:
            return
        assert isinstance(self.env, Stateful)
        parts: dict[str, dict[str, NDArray[Any]]] = {"walk": {}, "env": {}}
        for name, value in memory.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = np.array(value)
        random = torch.Generator(self.device)
        random.set_state(torch.from_numpy(parts["walk"].pop("random")))
        self.env.reset(seed=0)
        self.env.set_state(parts["env"])
        self.walk = Walk(random=random, **parts["walk"])

    def _begin(self, began: int) -> Walk:
        when, worker = (f" after {began}" if began else ""), int(self.worker_index)
        observations, _ = self.env.reset(seed=derived_seed(self.keys.seed, f"episodes{when}", worker))
        check_observations(observations)
        count = self.env.num_envs
        state = self.module.get_initial_state().get(STATE, torch.zeros(0))
        random = torch.Generator(self.device)
        random.manual_seed(derived_seed(self.keys.seed, f"actions{when}", worker))
        return Walk(
            observations=np.array(observations),
            over=np.zeros(count, np.bool_),
            starts=np.ones(count, np.bool_),
            state=np.tile(state.numpy(), (count, 1)),
            returns=np.zeros(count),
            lengths=np.zeros(count, np.int64),
            random=random,
        )

    def _collect(self, walk: Walk) -> Rollout:
        keys, count = self.keys, self.env.num_envs
        discrete = self.module.network.log_std is None
        shape = (keys.rollout, count)
        observations = np.empty((keys.rollout, *walk.observations.shape), np.float32)
        actions: NDArray[Any] = np.empty(shape, np.int64) if discrete else np.empty((*shape, 1), np.float32)
        log_probs, rewards = np.empty(shape, np.float32), np.zeros(shape, np.float32)
        values = np.empty((keys.rollout + 1, count), np.float32)
        real, starts, terminated, done = (np.empty(shape, np.bool_) for _ in range(4))
        states = np.empty((*shape, walk.state.shape[1]), np.float32)
        ended: list[Ended] = []
        for t in range(keys.rollout):
            walk.state[walk.starts] = 0.0
            observations[t], real[t], starts[t], states[t] = walk.observations, ~walk.over, walk.starts, walk.state
            actions[t], log_probs[t], values[t], walk.state = self._act(walk)
            given = actions[t] if discrete else actions[t].clip(-1.0, 1.0)
            walk.observations, paid, terminated[t], cut, infos = checked(self.env.step(given), real[t])
            done[t] = (terminated[t] | cut) & real[t]
            rewards[t, real[t]] = paid[real[t]] * keys.reward_scale
            walk.returns += np.where(real[t], paid, 0.0)
            walk.lengths += real[t]
            ended += _endings(walk, done[t], infos)
            walk.starts, walk.over = walk.over, done[t].copy()
        values[keys.rollout] = self._act(walk, draws=False)[2]
        found = advantages(rewards, values, terminated, done, gamma=keys.gamma, gae_lambda=keys.gae_lambda)
        walk.observations = np.array(walk.observations)  # the env's own array may change before the next rollout
        told = (observations, actions, log_probs, values[:-1], found, found + values[:-1], real, starts, states)
        return Rollout(*told, ended=tuple(ended))

    def _act(self, walk: Walk, draws: bool = True) -> tuple[Any, Any, Floats, Floats]:
        """Actions, their log probabilities, values, the next recurrent state; without `draws` only the latter two."""
        batch: dict[str, Any] = {Columns.OBS: torch.from_numpy(walk.observations).to(self.device)}
        if walk.state.shape[1]:
            batch[Columns.STATE_IN] = {STATE: torch.from_numpy(walk.state).to(self.device)}
        out = self.module.forward_exploration(batch)
        values = out[Columns.VF_PREDS].cpu().numpy()
        state = out[Columns.STATE_OUT][STATE].cpu().numpy() if Columns.STATE_OUT in out else walk.state
        if not draws:
            return None, None, values, state
        actions, log_prob = self._draw(out[Columns.ACTION_DIST_INPUTS], walk.random)
        return actions.cpu().numpy(), log_prob.cpu().numpy(), values, state

    def _draw(self, outputs: torch.Tensor, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        network: ActorCritic = self.module.network
        if network.log_std is None:
            actions = torch.multinomial(outputs.softmax(dim=1), 1, generator=random).squeeze(1)
            return actions, network.likelihood(outputs, actions)[0]
        mean = outputs[:, : len(network.log_std)]
        noise = torch.randn(mean.shape, generator=random, device=mean.device)
        actions = mean + network.log_std.exp() * noise
        return actions, network.likelihood(mean, actions)[0]


def _endings(walk: Walk, done: Flags, infos: dict[str, Any]) -> list[Ended]:
    """What came of the episodes that just ended; the walk's own sums of them begin anew."""
    if not done.any():
        return []
    told = infos.get("episode", {})
    parts = {name: values for name, values in told.items() if name not in NO_PARTS and not name.startswith("_")}
    ended = [
        {
            "r": float(walk.returns[i]),
            "l": float(walk.lengths[i]),
            **{name: float(values[i]) for name, values in parts.items()},
        }
        for i in np.flatnonzero(done)
    ]
    walk.returns[done], walk.lengths[done] = 0.0, 0
    return ended
