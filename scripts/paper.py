"""Trade a policy on paper behind the risk gates, journalled; on the same journal it goes on.

wavetank paper policy=runs/7/passport feed=replay feed.path=bars.parquet journal=paper.db
wavetank paper policy=champion feed=crowd feed.scenario=flash_crash journal=storm.db api=on
"""

import os

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # one call a bar: interpreted kernels are as fast, and start sooner

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress

from ..conf.paper_schema import CrowdFeedSchema, FeedSchema, PaperConfig, ReplayFeedSchema
from ..conf.schema import TrackingSchema
from ..execution.clock import BarClock, WallClock
from ..execution.feed import ReplayFeed
from ..execution.journal import Journal
from ..execution.metrics import SessionMetrics
from ..execution.panel import Panel
from ..execution.parts import Step
from ..execution.runner import Runner
from ..execution.session import Settings, Trader, begin, load_trader
from ..market.bars import Bars
from ..market.funding import Funding
from ..market.store import read_funding

SHOWN_EVERY = 64  # bars between two looks at the progress bar


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="paper")
def main(config: DictConfig) -> None:
    """Run a session to the end of its feed."""
    paper = OmegaConf.to_object(config)
    assert isinstance(paper, PaperConfig)
    trade(paper)


def trade(paper: PaperConfig) -> None:
    """Everything that can be wrong with the input is found before the journal is touched."""
    settings = Settings(paper.cash, paper.limits_mode, paper.stale_after, paper.snapshot_every)
    moment = datetime.fromtimestamp(WallClock().now_ms() / 1000, UTC)
    folder = passport_folder(paper.policy, Path(paper.journal), paper.tracking)
    clock = BarClock()
    feed = make_feed(paper.feed, clock)
    store = Path(f"{paper.journal}.memory")
    trader = load_trader(
        folder,
        settings.limits,
        now=moment,
        feed_interval=feed.bars.interval,
        store=store,
        funding=funding_of(paper.feed, feed.bars),
    )
    journal = Journal(paper.journal)
    try:
        metrics = SessionMetrics()
        with progress(len(feed)) as shown:

            def watch(step: Step) -> None:
                metrics.watch(step)
                shown(step)

            runner = begin(journal, trader, settings, clock, source=feed.source, watch=watch)
            went_on_from = runner.bars
            with served(paper, Panel(runner, metrics, trader.terms, feed.bars.symbol)):
                runner.run(feed)
        say(runner, trader, went_on_from, journal)
    finally:
        journal.close()
        trader.close()


def passport_folder(policy: str, journal: Path, tracking: TrackingSchema) -> Path:
    """The folder of a passport: named, inside a run's folder, or the registry's champion beside the journal."""
    if policy != "champion":
        folder = Path(policy)
        inner = folder / "passport"
        return inner if inner.is_dir() else folder
    folder = journal.with_name(journal.name + ".passport")
    if folder.is_dir():  # the session goes on with the champion that it began with
        return folder
    if tracking.root is None:
        raise ValueError("policy=champion needs a registry: tracking=sqlite, or name a passport's folder")
    from ..experiments.tracking import download_champion  # the registry needs the extra research

    return download_champion(tracking.model, root=tracking.root, folder=folder)


def make_feed(feed: FeedSchema, clock: BarClock) -> ReplayFeed:
    """Bars from a file, or from a crowd."""
    if isinstance(feed, ReplayFeedSchema):
        return ReplayFeed.read(feed.path, clock)
    assert isinstance(feed, CrowdFeedSchema)
    from ..simulators.crowd import CrowdMarket  # the crowd needs the extra research

    market = CrowdMarket(feed.scenario, feed.seed, interval=feed.interval)
    try:
        bars = market.run(feed.bars).bars()
    finally:
        market.close()
    return ReplayFeed(bars, f"crowd {feed.scenario} seed {feed.seed}", clock)


def funding_of(feed: FeedSchema, bars: Bars) -> Funding | None:
    """The rates of a replayed instrument, which must reach over its bars; None where the constant is charged."""
    if not isinstance(feed, ReplayFeedSchema) or feed.funding is None:
        return None
    rates = read_funding(feed.funding)
    try:
        rates.check_covers(int(bars.opened_at[0]), int(bars.closed_at[-1]))
    except ValueError as error:
        raise ValueError(f"feed.funding={feed.funding}: {error}") from error
    return rates


@contextmanager
def served(paper: PaperConfig, panel: Panel) -> Iterator[None]:
    """The control API for as long as the block lasts, if it is wanted; kills are refused after it."""
    if not paper.api.enabled:
        yield
        return
    from ..execution.api import ApiServer, issue_token, make_app  # 0.3 s that a session without it need not pay
    from ..execution.secrets import api_secret, write_private

    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wavetank"
    folder = Path(paper.api.folder) if paper.api.folder else home
    secret, now_ms = api_secret(folder / "api.secret"), WallClock().now_ms()
    server = ApiServer(make_app(panel, secret), paper.api.port)
    for scope in ("read", "kill"):
        token = issue_token(secret, scope, now_ms=now_ms, hours=paper.api.token_hours)
        write_private(folder / f"{scope}.token", token)
    server.start()
    print(f"API at {server.address}; tokens in {folder}/read.token and kill.token", flush=True)
    try:
        yield
    finally:
        server.stop()


@contextmanager
def progress(bars: int) -> Iterator[Callable[[Step], None]]:
    """A progress bar on a terminal, silence elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("paper", total=bars)

        def watch(step: Step) -> None:
            if step.number % SHOWN_EVERY == 0:
                text = f"equity {step.account.equity:,.0f} {step.state.name}"
                shown.update(task, completed=step.number, description=text)

        yield watch


def say(runner: Runner, trader: Trader, went_on_from: int, journal: Journal) -> None:
    """What came of it, in two lines."""
    step = runner.last
    if step is None:
        print(f"{trader.name}: no bar came; journal {journal.path}")
        return
    account, causes = step.account, ", ".join(step.causes)
    went = f", went on from bar {went_on_from}" if went_on_from else ""
    print(f"{trader.name}: {runner.bars} bars{went}, {account.trades} fills, state {step.state.name} {causes}".rstrip())
    print(f"equity {account.equity:,.2f}, position {account.lots} lots; journal {journal.path}")


if __name__ == "__main__":
    main()
