"""Train, freeze and judge in windows that walk through time.

wavetank walkforward market.path=FILE.parquet walk.windows=3 steps=N seed=N out=DIR
"""

from datetime import UTC, datetime

import hydra
from omegaconf import DictConfig

from ..conf import schema


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="walkforward")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank walkforward`."""
    config = schema.typed(composed, schema.WalkForwardConfig)
    from ..experiments.walkforward import walk  # heavy, as in train
    from .progress import show_figures, steps_bar

    with steps_bar(f"{config.walk.windows} windows", config.steps, config.select) as bar:
        result = walk(config, now=datetime.now(UTC), callbacks=[bar])
    for window in result.told["windows"]:
        show_figures(f"window {window['index'] + 1}, out of sample", window["figures"])
    show_figures("all windows stitched (policy under live limits, baselines under none)", result.figures)
    print(f"result    {result.folder / 'walkforward.json'}")


if __name__ == "__main__":
    main()
