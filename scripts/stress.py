"""Drive a run's policy and the baselines through storms with paired seeds; stress.json goes into the run's folder.

wavetank stress run=DIR pairs=10
"""

import hydra
from omegaconf import DictConfig

from ..conf import verdict_schema
from ..conf.schema import typed


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="stress")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank stress`."""
    config = typed(composed, verdict_schema.StressConfig)
    from ..experiments.promote import seal_digest  # heavy, as in train
    from ..experiments.runs import read_run
    from ..experiments.stress import stress_passport, write_stress
    from .verdicts import counted, show_matrix

    run, trained = read_run(config.run)
    cells = len(config.scenarios) * config.pairs * (1 + len(config.baselines))
    with counted("storms", cells) as progress:
        matrix = stress_passport(
            run.passport,
            baselines=config.baselines,
            run_seed=trained.seed if config.seed is None else config.seed,
            scenarios=config.scenarios,
            pairs=config.pairs,
            progress=progress,
        )
    path = write_stress(matrix, run.path, seal_digest(run.passport))
    show_matrix(matrix)
    print(f"result    {path}")


if __name__ == "__main__":
    main()
