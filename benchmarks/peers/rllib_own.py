"""RLlib's own PPO on its new API stack: its runner with a vector entry point, its connectors, its learner."""

import warnings
from collections.abc import Callable
from typing import Any

from wavetank.agents.keys import PPOConfig
from wavetank.agents.ray_start import quiet

ENV = "rllib-own-env"


def ppo_work(make: Callable[[Any], Any], keys: PPOConfig, envs: int) -> Callable[[], int]:
    """One update a call; the loss is ours: no KL term, no clipped value error, all gradients clipped as one."""
    import torch
    from ray.rllib.algorithms.ppo import PPOConfig as RLlibConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.tune.registry import register_env

    torch.set_num_threads(keys.chosen_threads)
    register_env(ENV, make)
    with quiet():
        algorithm = (
            RLlibConfig()
            .environment(ENV)
            .env_runners(
                num_env_runners=0,
                num_envs_per_env_runner=envs,
                gym_env_vectorize_mode="vector_entry_point",
                rollout_fragment_length=keys.rollout,
            )
            .training(
                train_batch_size_per_learner=keys.rollout * envs,
                minibatch_size=keys.minibatch,
                num_epochs=keys.epochs,
                lr=keys.learning_rate,
                use_kl_loss=False,
                vf_clip_param=float("inf"),
                grad_clip=keys.max_grad_norm,
                grad_clip_by="global_norm",
            )
            .rl_module(
                model_config=DefaultModelConfig(
                    fcnet_hiddens=list(keys.hidden), fcnet_activation=keys.activation, vf_share_layers=False
                )
            )
            .debugging(log_level="CRITICAL")
            .build_algo()
        )
    done = 0

    def work() -> int:
        nonlocal done
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            result = algorithm.train()
        before, done = done, int(result["env_runners"]["num_env_steps_sampled_lifetime"])
        return done - before

    return work
