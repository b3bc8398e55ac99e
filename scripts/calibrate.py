"""Fit a crowd to real markets, and leave its parameter file with the evidence.

wavetank calibrate [space=1m] [trials=800] [seed=1] out=DIR
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from ..conf import calibrate_schema, schema

NOT_SOUND = 1  # exit code


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="calibrate")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank calibrate`; the exit code is 1 where no crowd met gates and impact law."""
    config = schema.typed(composed, calibrate_schema.CalibrateConfig)
    from ..experiments.calibrate import FINALISTS, Effort, Range, calibrate  # heavy, as in train
    from ..experiments.crowd_file import write_calibration
    from ..simulators.population import population
    from .progress import turns_bar

    base = population(config.interval if config.base is None else config.base)
    if base.unit.interval != config.interval:
        held = base.unit.interval
        raise ValueError(f"base: {config.base} holds a crowd of {held}, the space one of {config.interval}")
    space = {name: Range(float(ends[0]), float(ends[1]), "log" in ends) for name, ends in config.space.items()}
    effort = Effort(config.trials, config.seeds, config.pairs, config.final_seeds, config.final_pairs)
    with turns_bar("calibrating", config.trials + min(FINALISTS, config.trials)) as turn:
        found = calibrate(base, space, effort, config.seed, turn)
    path = write_calibration(found, Path(config.out))
    judged = found.judged
    print(f"passes    {' '.join(map(str, judged.evidence.get('passes', [])))} of 17")
    print(f"impact    {judged.evidence.get('impact', 'not asked: the market is not healthy')}")
    print(f"crowd     {path}")
    if not judged.sound:
        print("no crowd met every gate and the impact law with room to spare: this is the nearest")
        raise SystemExit(NOT_SOUND)


if __name__ == "__main__":
    main()
