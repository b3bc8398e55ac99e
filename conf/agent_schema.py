"""The schema of who learns: PPO's keys, RLlib's beside them, SAC's; the YAML files of `agent/` hold the values.

Which values a key may have is checked in `agents/keys.py`. Imports nothing of the house, and Hydra alone of the world.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from .ranges import at_least


@dataclass
class AgentSchema:
    """What every agent has: `_target_` is the trainer's class."""

    _target_: str = MISSING
    backend: str = MISSING


@dataclass
class PPOSchema(AgentSchema):
    """PPO's keys, the same for every backend."""

    learning_rate: float = MISSING
    learning_rate_end: float | None = MISSING
    rollout: int = MISSING
    minibatch: int = MISSING
    epochs: int = MISSING
    gamma: float = MISSING
    gae_lambda: float = MISSING
    clip: float = MISSING
    clip_end: float | None = MISSING
    entropy: float = MISSING
    entropy_end: float | None = MISSING
    schedule: str = MISSING
    value_coef: float = MISSING
    max_grad_norm: float = MISSING
    target_kl: float | None = MISSING
    normalize_advantage: bool = MISSING
    encoder: str = MISSING
    conv_channels: list[int] = MISSING
    conv_kernel: int = MISSING
    lstm: int = MISSING
    hidden: list[int] = MISSING
    activation: str = MISSING
    orthogonal: bool = MISSING
    separate: bool = MISSING
    mask: bool = MISSING
    log_std_init: float = MISSING
    reward_scale: float = MISSING
    threads: int = MISSING
    device: str = MISSING


@dataclass
class RLlibSchema(PPOSchema):
    """The same keys, and how many processes collect and learn: 0 does it in the trainer's own."""

    runners: int = MISSING
    learners: int = MISSING

    def __post_init__(self) -> None:
        at_least("agent.runners", self.runners, 0)
        at_least("agent.learners", self.learners, 0)


@dataclass
class SACSchema(AgentSchema):
    """Soft actor-critic's keys."""

    learning_rate: float = MISSING
    buffer: int = MISSING
    learning_starts: int = MISSING
    minibatch: int = MISSING
    tau: float = MISSING
    gamma: float = MISSING
    train_every: int = MISSING
    gradient_steps: int = MISSING
    entropy: float | int | str = MISSING
    hidden: list[int] = MISSING
    activation: str = MISSING
    reward_scale: float = MISSING
    threads: int = MISSING
    device: str = MISSING


@dataclass
class RaySchema:
    """Where Ray runs; `address: null` starts it here."""

    address: str | None = MISSING


SCHEDULED = ("learning_rate_end", "clip_end", "entropy_end")
AGENTS: dict[str, type[AgentSchema]] = {"sb3": PPOSchema, "rllib": RLlibSchema, "sb3_sac": SACSchema}


def scheduled(agent: AgentSchema) -> list[str]:
    """The keys of an agent that move something over the steps of the run."""
    return [name for name in SCHEDULED if getattr(agent, name, None) is not None]


def register() -> None:
    """Put the schemas into Hydra's store."""
    store = ConfigStore.instance()
    schemas = {"ppo_schema": PPOSchema, "rllib_schema": RLlibSchema, "sac_schema": SACSchema}
    for name, node in schemas.items():
        store.store(group="agent", name=name, node=node, provider="wavetank")


register()
