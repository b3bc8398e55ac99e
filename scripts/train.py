"""Train a policy, freeze it, judge it on validation, register it.

wavetank train agent=sb3_ppo|rllib_ppo env=history|process|arena [market.path=FILE.parquet] steps=N seed=N out=DIR
"""

from datetime import UTC, datetime

import hydra
from omegaconf import DictConfig

from ..conf import schema


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="train")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank train`."""
    config = schema.typed(composed, schema.TrainConfig)
    from ..experiments.train import train  # torch and its kin cost seconds: not for --help or a mistyped key
    from .progress import show_figures, steps_bar

    with steps_bar(f"{config.agent.backend} on {config.env.kind}", config.steps) as bar:
        result = train(config, now=datetime.now(UTC), callbacks=[bar])
    show_figures(
        "validation (policy under live limits, baselines under none)", {"policy": result.metrics} | result.baselines
    )
    print(f"run       {result.folder}")
    print(f"passport  {result.passport}")
    if result.version is not None:
        print(f"registry  {config.tracking.model} version {result.version} in {config.tracking.root}")


if __name__ == "__main__":
    main()
