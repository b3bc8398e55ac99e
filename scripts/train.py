"""Train a policy, freeze it, judge it on validation, register it; or go on with a run that was interrupted.

wavetank train agent=sb3_ppo|sb3_recurrent|sb3_sac|rllib_ppo env=history|process|arena|mixture steps=N seed=N out=DIR
wavetank train resume=DIR [steps=N]
"""

from datetime import UTC, datetime

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ..conf import schema


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="train")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank train`."""
    config, run = schema.typed(composed, schema.TrainConfig), None
    if config.resume is not None:
        from ..experiments.resume import steps_asked, unfinished_run  # numpy and its kin: not for --help

        steps = steps_asked(HydraConfig.get().overrides.task, config)
        run, config = unfinished_run(config.resume, steps)
    from ..experiments.train import train  # torch and its kin cost seconds: not for --help or a mistyped key
    from .progress import count_bar, show_figures, steps_bar

    shown = steps_bar(f"{config.agent.backend} on {config.env.kind}", config.steps, config.select)
    with count_bar("bars recalled") as recalling, shown as bar:
        result = train(config, now=datetime.now(UTC), callbacks=[bar], run=run, recalling=recalling)
    show_figures(
        "validation (policy under live limits, baselines under none)", {"policy": result.metrics} | result.baselines
    )
    print(f"run       {result.folder}")
    print(f"passport  {result.passport}")
    if config.validate_every:
        print(f"weights   of step {result.selected_step:,}, best of {result.looks} looks by {config.select}")
    if result.version is not None:
        print(f"registry  {config.tracking.model} version {result.version} in {config.tracking.root}")


if __name__ == "__main__":
    main()
