"""RLlib's algorithm around runners and learners that trade whole rollouts: one update a training step.

A runner that is lost is restarted by Ray; meanwhile those that live collect its part with the same weights, so an
update always has all its samples. Knows no file and no config of the house.
"""

import logging
import tempfile
from collections import deque
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import ray
from numpy.typing import NDArray
from ray.rllib.algorithms.ppo import PPO
from ray.rllib.algorithms.ppo import PPOConfig as RLlibConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from .keys import PPOConfig
from .networks import ActorCritic
from .policy import TrainingError
from .rllib_env import Spaces
from .rllib_learner import RolloutLearner
from .rllib_module import MODULE, NetworkModule, device_of
from .rllib_rollout import Ended, Rollout
from .rllib_runner import ArrayEnvRunner

log = logging.getLogger(__name__)

FIGURES = "wavetank"  # where a result of `train` holds the figures of the update
Walked: TypeAlias = dict[str, NDArray[Any]]  # what a runner tells of its episodes
REMEMBERED = 100  # episodes that `rollout/return` is a mean of, as in the other backend
PATIENCE_S = 300.0  # for a whole set of rollouts: Ray starts a process in some 10 s, and misses a node after a minute
PROBE_S = 0.2  # that an update waits to see whether a lost runner is back; one that is answers within milliseconds
FAULT_S = 5.0  # to hear what a runner died of


class RolloutPPO(PPO):  # type: ignore[misc]  # Ray's classes are untyped here
    """PPO whose runners hand over arrays and whose learners improve on them."""

    def setup(self, config: Any) -> None:
        try:
            super().setup(config)
        except IndexError:  # upstream asks the first runner that started for its spaces
            raise TrainingError(f"a runner could not start: {self._fault()}") from None
        if self.env_runner_group.num_healthy_remote_env_runners() < self.config.num_env_runners:
            raise TrainingError(f"a runner could not start: {self._fault()}")
        self.steps, self._lost = 0, 0
        self.episodes: deque[Ended] = deque(maxlen=REMEMBERED)
        self._weights = self.env_runner.module.get_state()  # alike everywhere: they follow from the seed

    @property
    def network(self) -> ActorCritic:
        """The network as the last update left it."""
        network: ActorCritic = self.env_runner.module.network
        return network

    def training_step(self) -> None:
        rollouts = self._collect()
        began = self.steps
        self.steps += sum(rollout.steps for rollout in rollouts)
        for rollout in rollouts:
            self.episodes.extend(rollout.ended)
        given = ray.put(rollouts) if self.config.num_learners else rollouts
        (figures, *_) = self._learners(_improve, rollouts=given, began=began)
        self._spread()
        self.metrics.log_dict(figures | _lately(self.episodes), key=FIGURES, window=1)
        taken = self.steps - began
        self.metrics.log_value((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), taken, reduce="lifetime_sum")

    def memory(self) -> tuple[bytes, dict[int, Walked]]:
        """All that the next update depends on: the learners' part, and by index that of the runners which can tell."""
        (learned, *_) = self._learners(lambda learner: learner.memory())
        group = self.env_runner_group
        found = group.foreach_env_runner(lambda runner: (runner.worker_index, runner.memory()))
        return learned, {index: walked for index, walked in found if walked is not None}

    def remember(self, steps: int, episodes: list[Ended], learned: bytes, walked: dict[int, Walked]) -> None:
        """Go on where `memory` was told, after `steps` steps; a runner that is not among `walked` begins episodes."""
        self.steps = steps
        self.episodes.extend(episodes)
        self._learners(lambda learner, memory: learner.remember(memory), memory=learned)
        self.env_runner_group.foreach_env_runner(lambda runner: runner.remember(walked.get(runner.worker_index)))
        self._spread()

    def _collect(self) -> list[Rollout]:
        """As many rollouts as there are runners, within a bounded time."""
        group, wanted = self.env_runner_group, int(self.config.num_env_runners)
        if not wanted:
            return _good([group.local_env_runner.sample(began=self.steps)])
        call = {"weights": ray.put(self._weights), "began": self.steps}
        self._tell_lost(wanted - group.num_healthy_remote_env_runners(), wanted)
        rollouts: list[Rollout] = []
        deadline = perf_counter() + PATIENCE_S
        while len(rollouts) < wanted:
            left = deadline - perf_counter()
            if left <= 0:
                raise TrainingError(f"only {len(rollouts)} of {wanted} rollouts came within {PATIENCE_S:g} s")
            able = group.healthy_env_runner_ids()[: wanted - len(rollouts)]
            if not able:
                self.restore_env_runners(group)
                continue
            rollouts += _good(
                group.foreach_env_runner(
                    "sample", kwargs=call, local_env_runner=False, remote_worker_ids=able, timeout_seconds=left
                )
            )
        return rollouts

    def _tell_lost(self, lost: int, wanted: int) -> None:
        if lost > self._lost:
            log.warning("%d of %d runners are lost; until they are back the others collect their part", lost, wanted)
        elif lost < self._lost:
            log.warning("%d of %d runners are there again", wanted - lost, wanted)
        self._lost = lost

    def _fault(self) -> str:
        """The last line of what a runner died of."""
        manager = self.env_runner_group._worker_manager
        answers = manager.foreach_actor("ping", healthy_only=False, timeout_seconds=FAULT_S)
        faults = [str(answer.get()) for answer in answers if not answer.ok]
        return faults[0].strip().splitlines()[-1] if faults else "it gave no reason"

    def _learners(self, function: Any, **keywords: Any) -> list[Any]:
        """What every learner answers; what one of them raised is raised here."""
        answers = [answer.get() for answer in self.learner_group.foreach_learner(function, **keywords)]
        faults = [answer for answer in answers if isinstance(answer, Exception)]
        for fault in faults:
            if isinstance(fault, ray.exceptions.RayTaskError) and isinstance(fault.cause, ValueError):
                raise fault.cause
        if faults or len(answers) < max(1, self.config.num_learners):
            raise TrainingError("a learner is lost: go on from the last checkpoint") from next(iter(faults), None)
        return answers

    def _spread(self) -> None:
        """Take over the learners' weights."""
        self._weights = self.learner_group.get_weights()[MODULE]
        self.env_runner.module.set_state(self._weights)

    def cleanup(self) -> None:
        """End the runners without asking them: one that hangs would keep the end waiting."""
        self.env_runner_group.reset([])
        super().cleanup()

    def _setup_logdir(self) -> None:
        """Not a folder for every training in the user's home: nothing is logged there."""
        self._logdir = tempfile.gettempdir()


def configured(
    keys: PPOConfig,
    model_config: dict[str, Any],
    spaces: Spaces,
    *,
    env: str,
    env_config: dict[str, Any],
    num_envs: int,
    runners: int,
    learners: int,
) -> RLlibConfig:
    """RLlib's own config; what PPO's keys say is in `model_config` and read by the classes here alone."""
    return (
        RLlibConfig(algo_class=RolloutPPO)
        .environment(env, env_config=env_config, observation_space=spaces.observation, action_space=spaces.action)
        .env_runners(
            env_runner_cls=ArrayEnvRunner,
            num_env_runners=runners,
            num_envs_per_env_runner=num_envs,
            rollout_fragment_length=keys.rollout,
        )
        .fault_tolerance(
            restart_failed_env_runners=True,
            delay_between_env_runner_restarts_s=0.0,
            env_runner_health_probe_timeout_s=PROBE_S,
        )
        .training(
            train_batch_size_per_learner=keys.rollout * num_envs * max(1, runners),
            minibatch_size=keys.minibatch,
            num_epochs=keys.epochs,
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=NetworkModule, model_config=model_config))
        .learners(
            learner_class=RolloutLearner,
            num_learners=learners,
            num_cpus_per_learner=max(1, keys.threads),
            num_gpus_per_learner=_gpus(keys, learners),
        )
        .debugging(log_level="CRITICAL")  # faults are told by exceptions, lost runners by this file
    )


def _gpus(keys: PPOConfig, learners: int) -> int:
    """Of each learner. Remote ones take them of the cluster, whose GPUs this process need not see."""
    if not learners:
        return int(device_of(keys).type == "cuda")
    there = int(ray.cluster_resources().get("GPU", 0))
    if keys.device == "cuda" and there < learners:
        raise ValueError(f"device cuda: {learners} learners ask for a GPU each, the Ray cluster has {there}")
    return int(keys.device != "cpu" and there >= learners)


def _improve(learner: RolloutLearner, rollouts: Any, began: int) -> dict[str, float]:
    return learner.improve(ray.get(rollouts) if isinstance(rollouts, ray.ObjectRef) else rollouts, began)


def _good(answers: list[Rollout | TrainingError]) -> list[Rollout]:
    for answer in answers:
        if isinstance(answer, TrainingError):
            raise answer
    return [answer for answer in answers if isinstance(answer, Rollout)]


def _lately(episodes: deque[Ended]) -> dict[str, float]:
    """Means over the episodes that ended lately: return, length, and the parts of the reward."""
    if not episodes:
        return {}
    means = {name: float(np.mean([episode[name] for episode in episodes])) for name in episodes[0]}
    named = {"r": "rollout/return", "l": "rollout/length"}
    return {named.get(name, f"reward/{name}"): mean for name, mean in means.items()}
