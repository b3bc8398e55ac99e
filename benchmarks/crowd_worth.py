"""The table that justifies the crowd: policies trained on recorded bars and storms against such of recorded bars alone.

    python benchmarks/crowd_worth.py --out outputs/crowd_worth                  # 5 seeds: ten minutes on one core
    python benchmarks/crowd_worth.py --out outputs/short --seeds 2 --steps 8192 --markets 3  # does everything join?

Trains what `--out` does not hold yet, judges everything anew, and writes worth.json and worth.md there. A run that was
trained in another crowd, in other storms or over other bars is refused. Nothing is timed and nothing is judged here.
Words behind `--` are overrides of both arms' config, such as `-- env.actions=discrete:5 +env.rewards.turnover=0.001`.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hydra import compose, initialize_config_module

from wavetank.conf.schema import TrainConfig, typed
from wavetank.experiments.crowd_worth import BASELINES, CROWDED, PLAIN, Row, Worth, crowd_worth
from wavetank.experiments.runs import origin, write_json
from wavetank.experiments.statistics import Interval
from wavetank.experiments.stress import STORM_BARS
from wavetank.experiments.tables import percent
from wavetank.market.store import data_folder
from wavetank.simulators.scenarios import load_scenario, scenario_names

RECORD = "ohlcv/ftx_BTC-PERP_1m_2022-01.parquet"
INSTRUMENT = {"symbol": "BTC-PERP", "venue": "ftx", "tick": 1.0, "lot": 0.0001}
# Chosen on one seed of each arm, for trainings that come to an end in these steps, and looked at on --judge-seed 77.
# The limits of later judgement end an episode at a fall of a fifth: without them ruin drowns every other signal.
AGENT = (
    "agent=sb3_ppo",
    "agent.learning_rate=1.0e-3",
    "agent.learning_rate_end=1.0e-4",
    "agent.minibatch=512",
    "limits=live",
    "limits.terminate_on_halt=true",
    "env.actions=discrete:3",
    "env.num_envs=64",
    "env.episode_bars=360",  # from calm to a storm's end
    "env.dead_band=0.2",
)
SHOWN = {"total_return": "return", "max_drawdown": "drawdown"}


def main() -> int:
    told = arguments().parse_args()
    out, market = Path(told.out), Path(told.market) if told.market else data_folder() / RECORD
    if not market.is_file():
        print(f"there are no bars at {market}: set WAVETANK_DATA, or say --market FILE.parquet", file=sys.stderr)
        return 2
    known = [name for name in scenario_names() if name not in told.without]
    storms = [name for name in known if not load_scenario(name).parts]
    arms = {
        arm: [composed(arm, out, market, storms, seed, told) for seed in range(1, told.seeds + 1)]
        for arm in (PLAIN, CROWDED)
    }
    scenarios = sorted(told.scenarios or known, key=lambda name: name != "normal")
    worth = crowd_worth(
        arms,
        scenarios=scenarios,
        markets=told.markets,
        now=datetime.now(UTC),
        judge_seed=told.judge_seed,
        bars=told.bars,
        progress=say,
    )
    about = {**vars(told), "market": market.name, "trained_in": storms, "origin": origin()}
    write_json(out / "worth.json", {"about": about, **worth.to_json()})
    page = page_of(worth, storms, told)
    (out / "worth.md").write_text(page)
    print(page)
    return 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="outputs/crowd_worth")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300_000, help="of every training, in both arms")
    parser.add_argument("--markets", type=int, default=16, help="of each storm, the same for every policy")
    parser.add_argument("--bars", type=int, default=STORM_BARS, help="of a judged episode")
    parser.add_argument("--scenarios", nargs="+", help="judged in; where not given all that there are")
    parser.add_argument("--without", nargs="+", default=[], help="scenarios to leave out of training and of judgement")
    parser.add_argument("--judge-seed", type=int, default=0, help="of the markets; tune on another than is reported")
    parser.add_argument("--market", help="one-minute bars; else the recorded ones of WAVETANK_DATA")
    parser.add_argument("overrides", nargs="*", help="of both arms' config, after --")
    return parser


def composed(
    arm: str, out: Path, market: Path, storms: Sequence[str], seed: int, told: argparse.Namespace
) -> TrainConfig:
    """The config that `wavetank train` would run with."""
    words = [f"env={arm}", *AGENT, f"market.path={market}", "tracking=none", f"steps={told.steps}"]
    words += [f"market.instrument.{key}={value}" for key, value in INSTRUMENT.items()]
    words += [f"seed={seed}", f"out={out / f'{arm}-{seed}'}", f"checkpoint_every={told.steps}"]
    if arm == CROWDED:
        words += ["env.history=0.5", f"env.scenario=[{','.join(storms)}]"]
    with initialize_config_module("wavetank.conf", version_base="1.3"):
        return typed(compose("train", [*words, *told.overrides]), TrainConfig)


def page_of(worth: Worth, storms: Sequence[str], told: argparse.Namespace) -> str:
    """The table as Markdown."""
    new = sorted({row.scenario for row in worth.rows} & set(scenario_names()) - set(storms))
    lines = [
        f"PPO of {told.seeds} seeds and {told.steps:,} steps, half of them in {len(storms)} scenarios of the crowd "
        f"({CROWDED}) or all on recorded bars ({PLAIN}), judged over {told.bars} bars of {told.markets} markets a "
        "storm, from the judge's ranges. Advantages are of the mixture, positive where it is better (more return, a "
        "shallower drawdown), with 95 % intervals over trained seeds and markets together."
        + (f" Nobody was trained in {', '.join(new)}." if new else ""),
        "",
        f"| | | {PLAIN} | {CROWDED} | flat | hold | advantage over {PLAIN} | over flat | trades |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(line_of(worth, row) for row in worth.rows)]) + "\n"


def line_of(worth: Worth, row: Row) -> str:
    """A row of the table: means, advantages, and how often either arm trades."""
    means = " | ".join(percent(row.means[name]) for name in (PLAIN, CROWDED, *BASELINES))
    trades = " / ".join(f"{worth.cells['trades'][row.scenario][arm].mean():.0f}" for arm in (PLAIN, CROWDED))
    advantages = " | ".join(interval(each) for each in (row.advantage, row.over_flat))
    return f"| {row.scenario} | {SHOWN[row.figure]} | {means} | {advantages} | {trades} |"


def interval(found: Interval) -> str:
    """In bold where it does not hold 0."""
    text = f"{percent(found.estimate)} [{percent(found.low)}, {percent(found.high)}]"
    return f"**{text}**" if found.low > 0.0 or found.high < 0.0 else text


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
