"""The table that says what a memory is worth: policies trained with it, without it, and with shuffled outcomes.

    python benchmarks/memory_worth.py --out outputs/memory_worth            # 8 seeds x 3 arms, in two markets
    python benchmarks/memory_worth.py --out outputs/short --seeds 2 --steps 8192            # does everything join?

First in a made market whose past does tell its future (simulators/patterns.py): there the memory must gain, and
shuffled outcomes must lose the gain, or the table could not tell. Then on recorded hourly bars of Bitcoin's perpetual.
Trains what `--out` does not hold yet, judges all anew on the test bars, and writes worth.json and worth.md there.
Nothing is timed and nothing is judged here. Words behind `--` are overrides of all arms' config, for instance
`-- memory.neighbours=32`.

Steps: as many as let all arms come to an end in some twenty minutes on two shared cores; chosen for time.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module

from wavetank.conf.schema import TrainConfig, typed
from wavetank.experiments.memory_worth import (
    ARMS,
    FIGURES,
    FLAT,
    HOLD,
    SHUFFLED,
    WITH,
    WITHOUT,
    Pair,
    Worth,
    memory_worth,
)
from wavetank.experiments.runs import origin, write_json
from wavetank.experiments.statistics import Interval
from wavetank.experiments.tables import number, percent
from wavetank.market.store import data_folder, write_bars
from wavetank.simulators.patterns import LENGTH, patterns

RECORD = "ohlcv/binanceusdm_BTCUSDT_1h.parquet"
INSTRUMENT = {"symbol": "BTCUSDT", "venue": "binanceusdm", "tick": 0.1}
CONTROL, RECORDED = "control", "recorded"
CONTROL_BARS, CONTROL_SEED = 12_000, 1
# Chosen on validation, on one seed of the arm without memory, which is not among the reported ones.
AGENT = (
    "agent=sb3_ppo",
    "agent.learning_rate=1.0e-3",
    "agent.learning_rate_end=1.0e-4",
    "agent.entropy=0.01",
    "limits=live",
    "limits.drawdown=0.5",  # whom a fall of a fifth halts in the first month is silent for the rest of the test bars
    "limits.terminate_on_halt=true",
    "env.actions=discrete:3",
    "env.num_envs=64",
    "env.episode_bars=512",
    "env.dead_band=0.2",
)
PAST = {
    WITHOUT: ("env.observation=default",),
    WITH: ("env.observation=default_memory",),
    SHUFFLED: ("env.observation=default_memory", "memory.outcomes=shuffled"),
}
KINDS = {"total_return": percent, "sharpe": number, "max_drawdown": percent, "trades": "{:,.0f}".format}
SHOWN = {"total_return": "return", "sharpe": "Sharpe, a year", "max_drawdown": "drawdown", "trades": "fills"}
SHOWN |= {"cost_share": "costs paid", "time_in_market": "in the market"}


def main() -> int:
    told = arguments().parse_args()
    out, market = Path(told.out), Path(told.market) if told.market else data_folder() / RECORD
    if RECORDED in told.markets and not market.is_file():
        print(f"there are no bars at {market}: set WAVETANK_DATA, or say --market FILE.parquet", file=sys.stderr)
        return 2
    found, pages = {}, []
    for name in told.markets:
        bars = market if name == RECORDED else control(out)
        own = () if name == RECORDED else (f"memory.horizon={LENGTH}",)
        arms = {arm: [composed(arm, name, bars, seed, told, own) for seed in seeds(told)] for arm in ARMS}
        worth = memory_worth(arms, now=datetime.now(UTC), progress=say)
        found[name] = worth.to_json()
        pages.append(page_of(name, worth, told))
    page = "\n".join(pages)
    write_json(out / "worth.json", {"about": {**vars(told), "market": market.name, "origin": origin()}, **found})
    (out / "worth.md").write_text(page)
    print(page)
    return 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="outputs/memory_worth")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1, help="tune on others than are reported")
    parser.add_argument("--steps", type=int, default=200_000, help="of every training on recorded bars")
    parser.add_argument("--control-steps", type=int, default=50_000, help="of every training in the made market")
    parser.add_argument("--markets", nargs="+", choices=(CONTROL, RECORDED), default=(CONTROL, RECORDED))
    parser.add_argument("--market", help="hourly bars; else the recorded ones of WAVETANK_DATA")
    parser.add_argument("overrides", nargs="*", help="of all arms' config, after --")
    return parser


def seeds(told: argparse.Namespace) -> range:
    return range(told.first_seed, told.first_seed + told.seeds)


def control(out: Path) -> Path:
    """The file of the made market, which every run of this script draws alike."""
    bars = patterns(CONTROL_BARS, rng=np.random.default_rng(CONTROL_SEED))
    return write_bars(out / "patterns.parquet", bars)


def composed(arm: str, name: str, bars: Path, seed: int, told: argparse.Namespace, own: Sequence[str]) -> TrainConfig:
    """The config that `wavetank train` would run with."""
    steps = told.steps if name == RECORDED else told.control_steps
    words = ["env=history", *AGENT, *PAST[arm], *own, f"market.path={bars}", "tracking=none", f"steps={steps}"]
    words += [f"market.instrument.{key}={value}" for key, value in INSTRUMENT.items()]
    words += [f"seed={seed}", f"out={Path(told.out) / f'{name}-{arm}-{seed}'}", f"checkpoint_every={steps}"]
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        return typed(compose("train", [*words, *told.overrides]), TrainConfig)


def page_of(name: str, worth: Worth, told: argparse.Namespace) -> str:
    """Both tables of a market as Markdown."""
    title = "A market whose past tells its future" if name == CONTROL else "Recorded bars"
    steps = told.steps if name == RECORDED else told.control_steps
    names = [*ARMS, FLAT, HOLD]
    lines = [
        f"## {title}",
        "",
        f"PPO of {told.seeds} seeds and {steps:,} steps an arm, judged on {worth.pairs[0].periods:,} "
        f"{worth.pairs[0].unit}s of test bars. Means over seeds, in brackets the least and the most.",
        "",
        f"| | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(
            f"| {SHOWN[key]} | {' | '.join(spread(key, worth.figures[each][key]) for each in names)} |"
            for key in FIGURES
        ),
        "",
        f"Log growth a {worth.pairs[0].unit}, in basis points: the first arm's less the second's, with 95 % intervals "
        "over seeds and days together, in bold where they do not hold 0.",
        "",
        "| | ahead by | before fees | by seed | ahead in |",
        "|---|---|---|---|---|",
        *(line_of(pair) for pair in worth.pairs),
    ]
    return "\n".join(lines) + "\n"


def line_of(pair: Pair) -> str:
    """One pair of arms."""
    by_seed = ", ".join(points(value) for value in pair.by_seed)
    intervals = f"{interval(pair.ahead)} | {interval(pair.before_fees)}"
    return f"| {pair.ours} − {pair.theirs} | {intervals} | {by_seed} | {pair.better} of {len(pair.by_seed)} |"


def spread(key: str, values: Sequence[float]) -> str:
    write = KINDS.get(key, percent)
    mean = write(float(np.mean(values)))
    return mean if len(values) == 1 else f"{mean} [{write(min(values))}, {write(max(values))}]"


def interval(found: Interval) -> str:
    """In bold where it does not hold 0."""
    text = f"{points(found.estimate)} [{points(found.low)}, {points(found.high)}]"
    return f"**{text}**" if found.low > 0.0 or found.high < 0.0 else text


def points(share: float) -> str:
    return f"{round(1e4 * share, 2) + 0.0:.2f}".replace("-", "−")


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
