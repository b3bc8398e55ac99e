"""Score a trained policy on bars that its training never saw, beside the baselines.

wavetank evaluate policy=RUN [slice=test] [market.path=FILE.parquet] [out=DIR]
"""

import hydra
from omegaconf import DictConfig

from ..conf import schema


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="evaluate")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank evaluate`."""
    config = schema.typed(composed, schema.EvaluateConfig)
    from ..experiments.examine import examine  # heavy, as in train
    from .progress import show_figures

    examined = examine(config)
    show_figures("policy under its limits, baselines under none", examined.figures)
    if examined.folder is not None:
        print(f"result    {examined.folder / 'evaluation.json'}")


if __name__ == "__main__":
    main()
