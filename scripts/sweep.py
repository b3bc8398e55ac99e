"""Search hyper-parameters: a resumable, pruning study whose trials are training runs.

wavetank sweep env=process steps=50000 n_trials=20 out=outputs/sweep agent.learning_rate='tag(log,interval(1e-4,1e-2))'
"""

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from ..conf import verdict_schema
from ..conf.schema import TrainConfig, typed


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="sweep")
def main(composed: DictConfig) -> float:
    """Run one trial; Hydra's sweeper calls this once for each."""
    config = typed(composed, verdict_schema.SweepConfig)
    trial = config.trial
    if trial.study is None or trial.storage is None or trial.key is None or trial.reported is None:
        raise ValueError("hydra/sweeper: a sweep needs hydra/sweeper=study, and runs as a multirun")
    from ..experiments.sweep import TrialMetrics, join_trial  # heavy, as in train
    from ..experiments.train import train

    pruner = instantiate(HydraConfig.get().sweeper.pruner)
    metrics = TrialMetrics(join_trial(trial.study, trial.storage, trial.key, pruner), trial.reported)
    own = {field.name: getattr(config, field.name) for field in fields(TrainConfig)}
    own["out"] = str(Path(config.out) / "trials" / str(trial.number))
    result = train(TrainConfig(**own), now=datetime.now(UTC), sinks=[metrics])
    if config.objective not in result.metrics:
        raise ValueError(f"objective: {config.objective!r} is not one of {', '.join(result.metrics)}")
    return result.metrics[config.objective]


if __name__ == "__main__":
    main()
