"""The whole way once: a market, training, windows, storms, a verdict, paper, and one page about it all.

wavetank demo [--out DIR] [--seed N] [--quick]

Needs no data and no network. The verdict is honest: most policies that a minute of training makes are refused.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console

from .story import Step, Story

if TYPE_CHECKING:
    from ..conf.schema import TrainConfig, WalkForwardConfig
    from ..execution.parts import Step as BarStep
    from ..experiments.promote import Verdict
    from ..experiments.runs import RunFolder

T = TypeVar("T")

MARKET = "market.parquet"
STORM_BARS = 600
SHOWN_EVERY = 500  # bars between two looks at the market
WINDOWS = ("walk.train=0.5", "walk.validation=0.08", "walk.test=0.12")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: one-minute bars, paired storms, and keys of training that differ."""

    market_bars: int
    pairs: int
    overrides: tuple[str, ...] = ()


WHOLE = Size(market_bars=12_000, pairs=10)  # eight days
QUICK = Size(
    2_400,
    3,
    (
        "steps=4096",
        "agent.rollout=32",
        "agent.minibatch=512",
        "env.num_envs=16",
        "env.episode_bars=48",
        "env.observation=spine",  # warm after an hour of bars: windows are short
    ),
)


def main() -> int:
    """Open the door of `wavetank demo`."""
    parser = argparse.ArgumentParser(prog="wavetank demo", description=(__doc__ or "").splitlines()[0])
    now = datetime.now(UTC)
    default = Path("outputs") / "demo" / f"{now:%Y-%m-%d_%H-%M-%S}"
    parser.add_argument(
        "--out", type=Path, default=default, metavar="DIR", help="a new folder (default: outputs/demo/…)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="everything random derives from it")
    parser.add_argument("--quick", action="store_true", help="little of everything: does it all join?")
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        raise ValueError(f"--out {options.out} holds files already; name a new folder")
    page = tell(options.out, options.seed, now, QUICK if options.quick else WHOLE)
    Console().print(f"\n[bold]Open[/] file://{page.resolve()}", soft_wrap=True)
    return 0


def tell(out: Path, seed: int, now: datetime, size: Size) -> Path:
    """Walk the whole way into `out`, and return the page: `out` holds market, run, mlflow and the page."""
    console = Console()
    console.print(f"[bold]wavetank demo[/] into {out}, seed {seed}", highlight=False)
    console.print("[dim]On a fresh installation the first run compiles its kernels: about a minute more.[/]")
    story = Story(console)
    make_market(story, out, seed, size.market_bars)
    run, trained = train_policy(story, composed("train", out, seed, size), now)
    walk_forward(story, composed("walkforward", out, seed, size), now)
    meet_storms(story, run, trained, size.pairs)
    decide(story, run, trained)
    trade_on_paper(story, run, trained)
    return write_page(story, run, out / "report.html")


def make_market(story: Story, out: Path, seed: int, bars: int) -> None:
    """Let a crowd trade on an order book, and keep its bars."""
    with story.step("Market", "a crowd trades on an order book", bars) as step:
        from ..experiments.seeds import derive_seed
        from ..market.store import write_bars
        from ..simulators.crowd import CrowdMarket

        crowd = CrowdMarket("normal", derive_seed(seed, "train", worker=1))
        for done in range(0, bars, SHOWN_EVERY):
            crowd.run(min(SHOWN_EVERY, bars - done))
            step.to(done + SHOWN_EVERY, f"price {crowd.close_price:,.0f}")
        trades = len(crowd.trades())
        out.mkdir(parents=True, exist_ok=True)
        write_bars(out / MARKET, crowd.bars())
        step.say(f"{bars:,} one-minute bars out of {trades:,} trades on an order book")
        crowd.close()


def train_policy(story: Story, config: "TrainConfig", now: datetime) -> tuple["RunFolder", "TrainConfig"]:
    """Train PPO, freeze it as a passport, judge it on validation, register it."""
    with story.step("Train", "torch and its kin are loading") as step:
        from ..experiments.runs import RunFolder
        from ..experiments.train import train

        step.to(0, "PPO")
        result = train(config, now=now, callbacks=[_Scaled(step, config.steps)])
        step.say(
            f"PPO, {result.steps:,} steps; on validation {result.metrics['total_return']:+.2%}, "
            f"holding {result.baselines['hold']['total_return']:+.2%}"
        )
    return RunFolder(result.folder), config


def walk_forward(story: Story, config: "WalkForwardConfig", now: datetime) -> None:
    """Train anew in three windows, and judge each on the bars after it."""
    with story.step("Windows", "three windows, each trained anew") as step:
        from ..experiments.walkforward import walk

        result = walk(config, now=now, callbacks=[_Scaled(step, config.steps, config.walk.windows)])
        ours, hold = result.figures["policy"], result.figures["hold"]
        step.say(
            f"{config.walk.windows} out of sample, {ours['bars']:,.0f} bars: {ours['total_return']:+.2%}, "
            f"holding {hold['total_return']:+.2%}"
        )


def meet_storms(story: Story, run: "RunFolder", trained: "TrainConfig", pairs: int) -> None:
    """Drive policy and baselines through calm and crash, with paired seeds."""
    from ..experiments.promote import seal_digest
    from ..experiments.stress import SCENARIOS, stress_passport, write_stress
    from ..experiments.train import BASELINES
    from .verdicts import show_matrix

    cells = len(SCENARIOS) * pairs * (1 + len(BASELINES))
    with story.step("Storms", "harder ones than it trained on", cells) as step:
        matrix = stress_passport(
            run.passport, baselines=BASELINES, run_seed=trained.seed, pairs=pairs, progress=step.by_one
        )
        write_stress(matrix, run.path, seal_digest(run.passport))
        step.say(f"{cells} drives through {len(SCENARIOS)} scenarios, {pairs} paired seeds")
    show_matrix(matrix, story.console)


def decide(story: Story, run: "RunFolder", trained: "TrainConfig") -> None:
    """Rehearse on paper, count the trials, ask the gates."""
    from ..conf.verdict_schema import PromoteConfig
    from .promote import judge_run, standard_of
    from .verdicts import show_verdict

    verdict: Verdict
    with story.step("Verdict", "the evidence goes before the gates") as step:
        asked = compose_as("promote", PromoteConfig, [f"run={run.path}"])
        verdict, version = judge_run(run, trained, standard_of(asked.standard))
        kept = f"champion is version {version}" if version else "no champion"
        step.say(f"{sum(gate.passed for gate in verdict.gates)} of {len(verdict.gates)} gates open; {kept}")
    show_verdict(verdict, story.console)


def trade_on_paper(story: Story, run: "RunFolder", trained: "TrainConfig") -> None:
    """Trade the passport on paper through a flash crash, and replay every decision from the journal."""
    from ..execution.gates import MEANINGS
    from ..execution.replay import replay
    from ..execution.session import load_trader
    from ..experiments.seeds import derive_seed
    from ..experiments.stress import weather_of
    from ..experiments.tables import percent
    from ..simulators.crowd import CrowdMarket
    from .rehearsal import rehearse, track_of

    with story.step("Paper", "a flash crash, bar by bar", STORM_BARS) as step:
        market = CrowdMarket("flash_crash", derive_seed(trained.seed, "promote", worker=1), role="judge")
        bars, weather = market.run(STORM_BARS).bars(), weather_of(market)
        said: Counter[str] = Counter()
        latencies: list[int] = []

        def watch(bar: "BarStep") -> None:
            said.update(str(code) for code in {*bar.causes, *(bar.verdict.codes if bar.verdict else ())})
            if bar.decided:
                latencies.append(bar.latency_ns)
            step.to(bar.number, f"equity {bar.account.equity:,.0f} {bar.state.name}")

        journal = run.path / "paper.db"
        history = rehearse(run.passport, bars, journal, source="crowd flash_crash", cash=trained.env.cash, watch=watch)
        found = replay(journal, load_trader)
        track = track_of(history, bars.interval_ms, trained.market.instrument.lot)
        track.save(run.track("paper"))
        middle, late = _percentiles_us(latencies)
        facts = {
            "Bars": f"{found.bars:,}, {found.decisions:,} of them with a decision",
            "Orders": f"{found.orders:,} sent, {found.fills:,} fills",
            "Return": percent(float(track.equity[-1] / track.equity[0] - 1.0)),
            "Latency of a bar": f"p50 {middle:,.0f} µs, p99 {late:,.0f} µs, from the bar to the order",
            "Replay": f"every decision, verdict and order id made again from the journal, digest {found.digest[:16]}",
        }
        gates = [{"name": str(g), "effect": effect, "bars": said[str(g)]} for g, (effect, _) in MEANINGS.items()]
        told = weather._asdict() if weather else None
        run.write("paper.json", {"track": "tracks/paper.npz", "weather": told, "facts": facts, "gates": gates})
        step.say(f"{found.bars} bars through a flash crash: {facts['Return']}, {found.orders} orders; replay equal")
        market.close()


def write_page(story: Story, run: "RunFolder", page: Path) -> Path:
    """Put everything on one page."""
    from ..experiments.report import write_report
    from ..experiments.runs import read_json

    known = read_json(run.path / "timings.json")
    steps: dict[str, Any] = {key: known[key] for key in ("steps", "steps_per_s") if key in known}
    with story.step("Page", "drawing") as step:
        run.write("timings.json", {**story.timings, "all_s": round(story.total_s, 2), **steps})
        write_report(run.path, page)
        step.say(f"{page.stat().st_size / 1024:,.0f} KiB, refers to nothing outside itself")
    story.console.print(f"[dim]all in {story.total_s:.0f} s[/]")
    return page


def composed(program: str, out: Path, seed: int, size: Size) -> Any:
    """The config that `wavetank PROGRAM experiment=demo …` would run with."""
    from ..conf.schema import TrainConfig, WalkForwardConfig

    overrides = ["experiment=demo", f"market.path={out / MARKET}", f"out={out / 'run'}", f"seed={seed}"]
    overrides += [f"tracking.root={out.resolve() / 'mlflow'}", "tracking.model=demo"]
    if program == "train":
        return compose_as(program, TrainConfig, [*overrides, *size.overrides])
    return compose_as(program, WalkForwardConfig, [*overrides, *size.overrides, *WINDOWS])


def compose_as(program: str, kind: type[T], overrides: list[str]) -> T:
    """Compose a program's config as Hydra would on the command line."""
    from hydra import compose, initialize_config_module

    from ..conf.schema import typed

    with initialize_config_module("wavetank.conf", version_base="1.3"):
        return typed(compose(program, overrides), kind)


def _percentiles_us(latencies: list[int]) -> tuple[float, float]:
    import numpy as np

    middle, late = np.percentile(latencies or [0], [50, 99]) / 1000.0
    return float(middle), float(late)


class _Scaled:
    """A training's callback that fills a step's bar over several trainings."""

    def __init__(self, step: Step, steps: int, times: int = 1) -> None:
        self._step, self._total = step, steps * times
        self._before, self._last = 0, 0

    def on_update(self, step: int, values: Any) -> None:
        """Follow one training; where a step is lower than the last, another has begun."""
        if step < self._last:
            self._before += self._last
        self._last = step
        earned = values.get("rollout/return")
        done = (self._before + step) / self._total
        self._step.share(done, "" if earned is None else f"episode return {earned:+.4f}")


if __name__ == "__main__":
    sys.exit(main())
