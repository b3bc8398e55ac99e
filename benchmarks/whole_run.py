"""Seconds from the command to the registered policy: `python benchmarks/whole_run.py`.

`wavetank train` with the default config, 2 million steps of PPO with ten epochs: imports, columns, training, export,
judgement and registry included, a process each time. Hourly BTC where recorded bars are at hand, else a process of
nearly that length.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from market_data import LENGTH, RECORDED
from measure import Figure, report

from wavetank.market.store import data_folder

STEPS, REPETITIONS = 2_000_000, 5


def seconds(market: list[str], folder: Path, run: int) -> float:
    """One run of the command."""
    words = ["train", *market, f"steps={STEPS}", f"seed={run}", f"out={folder / str(run)}", f"tracking.root={folder}"]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "wavetank.scripts.cli", *words], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    recorded = (data_folder() / RECORDED).is_file()
    market = ["market=btc_1h"] if recorded else ["env=process", f"env.bars={LENGTH}"]
    with tempfile.TemporaryDirectory() as scratch:
        seconds(market, Path(scratch), 0)  # compiles kernels, makes the registry's tables
        values = [seconds(market, Path(scratch), run + 1) for run in range(REPETITIONS)]
    about = {"market": " ".join(market)}
    report(Figure("`wavetank train`, default config, 2 M steps, 10 epochs, whole command", "s", values, about))


if __name__ == "__main__":
    main()
