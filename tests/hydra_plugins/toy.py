"""A Hydra job of a few lines, run by the tests in its own process: -(x - depth)², told in four reports."""

import os
import signal
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from wavetank.experiments.sweep import TrialMetrics, join_trial


@hydra.main(version_base="1.3", config_path=None)
def main(cfg: DictConfig) -> float:
    """Report the curve of one trial; die, fail or say nothing where the overrides ask for it."""
    trial = cfg.trial
    with Path(cfg.folder, "walked.txt").open("a") as walked:
        walked.write(f"{trial.number} {cfg.x!r} {cfg.depth}\n")
    pruner = instantiate(HydraConfig.get().sweeper.pruner)
    metrics = TrialMetrics(join_trial(trial.study, trial.storage, trial.key, pruner), trial.reported)
    if trial.number == cfg.get("dies_at", -1) and not Path(cfg.folder, "died").exists():
        Path(cfg.folder, "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if trial.number in cfg.get("fails_at", []):
        raise ValueError(f"depth {cfg.depth} is out of reach")
    value = -((float(cfg.x) - float(cfg.depth)) ** 2)
    for step in range(4):
        metrics.log(step, {"train/loss": 0.0} if step == 0 else {"train/loss": 0.0, "score": value})
    return value


if __name__ == "__main__":
    sys.exit(main())
