"""A policy with a memory on paper: its past travels in the passport and lives in a real Edge store."""

import json
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from wavetank.agents.frozen import PassportError
from wavetank.agents.seal import write_seal
from wavetank.envs import remembrance
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, export_passport, load_passport
from wavetank.envs.past import Tabled
from wavetank.envs.remembrance import Remembrance
from wavetank.envs.trading import TradingEnv
from wavetank.execution.clock import BarClock
from wavetank.execution.feed import ReplayFeed
from wavetank.execution.history import read_history
from wavetank.execution.journal import Journal
from wavetank.execution.replay import replay
from wavetank.execution.session import Settings, begin, load_trader
from wavetank.experiments.evaluate import judge
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.memory.edge import EdgeMemory
from wavetank.memory.embed import Embedder
from wavetank.memory.store import EF

from ..envs.networks import restless_network
from ..market.handmade import drawn_bars

TRAIN, HORIZON, NEIGHBOURS = 420, 12, 8
MADE = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return drawn_bars(np.random.default_rng(4), 620)


@pytest.fixture(scope="module")
def past(bars: Bars) -> Tabled:
    return Tabled.of(bars, _embedder(bars), k=NEIGHBOURS, horizon=HORIZON)


@pytest.fixture(scope="module")
def passport(bars: Bars, past: Tabled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _exported(bars, past, tmp_path_factory.mktemp("memory") / "passport")


def _exported(bars: Bars, past: Tabled, folder: Path) -> Path:
    terrain = Terrain(ObservationSpec.load("spine_memory"), Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h")
    return export_passport(
        restless_network(terrain.spec.width),
        folder,
        terrain,
        bars.slice(0, TRAIN),
        name="mindful",
        created_at=MADE,
        training={},
        memory=Remembrance(_embedder(bars), bars.symbol, "1h", NEIGHBOURS, HORIZON),
        past=past,
    )


def _embedder(bars: Bars) -> Embedder:
    return Embedder.fit(bars.slice(0, TRAIN))


def test_paper_with_a_live_past_equals_the_env_with_a_tabled_one(
    passport: Path, bars: Bars, past: Tabled, tmp_path: Path
) -> None:
    """The runner asks Edge bar by bar; the env looked everything up beforehand: one equity, to the last bit."""
    _trade(passport, bars, tmp_path / "paper.db", tmp_path / "store")
    booked = read_history(tmp_path / "paper.db")
    closed_at = booked.opened_at + bars.interval_ms - 1
    mind = load_passport(passport)
    env = TradingEnv(
        bars,
        instrument=mind.terrain.instrument,
        limits=mind.terrain.limits,
        observation=mind.terrain.spec,
        past=past,
        random_start=False,
    )
    observation, info = env.reset(seed=1)
    memories = []
    over = False
    while not over:
        memories.append(observation[10:20])
        observation, _, terminated, truncated, info = env.step(mind.policy.act(observation).action[0])
        over = terminated or truncated
        row = int(np.searchsorted(closed_at, info["closed_at"]))
        assert booked.equity[row] == info["equity"]
    assert env.account.trades > 5
    assert np.array(memories)[:, -1].sum() > 300  # the past was there to be looked at on most bars


def test_on_bars_that_follow_the_archive_paper_equals_the_env_over_archive_and_own_bars(
    passport: Path, bars: Bars, tmp_path: Path
) -> None:
    """What a promotion rehearses: the policy meets bars that training has not seen, and remembers the archive."""
    unseen, mind = bars.slice(TRAIN - 80, len(bars)), load_passport(passport)
    _trade(passport, unseen, tmp_path / "paper.db", tmp_path / "store")
    booked = read_history(tmp_path / "paper.db")
    assert mind.memory is not None
    tabled = mind.memory.tabled(unseen)
    assert tabled.matrix_for(unseen)[64:, -1].all()  # the archive speaks as soon as the first window is whole
    alone = Tabled.of(unseen, mind.memory.embedder, k=NEIGHBOURS, horizon=HORIZON)
    assert not np.array_equal(alone.matrix_for(unseen), tabled.matrix_for(unseen))
    track = judge(mind.policy, unseen, mind.terrain, past=tabled)
    rows = np.searchsorted(booked.opened_at + unseen.interval_ms - 1, track.closed_at)
    assert track.trades[-1] > 3
    np.testing.assert_array_equal(booked.equity[rows], track.equity)


def test_a_session_that_stops_goes_on_with_the_store_it_left(passport: Path, bars: Bars, tmp_path: Path) -> None:
    _trade(passport, bars, tmp_path / "whole.db", tmp_path / "whole")
    _trade(passport, bars.slice(0, 500), tmp_path / "broken.db", tmp_path / "broken")
    _trade(passport, bars, tmp_path / "broken.db", tmp_path / "broken")
    whole, broken = (_replayed(tmp_path / f"{name}.db", tmp_path / f"again-{name}") for name in ("whole", "broken"))
    assert whole == broken


def test_without_a_folder_to_keep_it_in_a_memory_is_refused(passport: Path) -> None:
    with pytest.raises(PassportError, match="no folder was named"):
        load_trader(passport, "live")


def test_a_feed_of_another_interval_leaves_no_store(passport: Path, tmp_path: Path) -> None:
    with pytest.raises(PassportError, match="the feed holds 1m bars, the policy lives at 1h"):
        load_trader(passport, "live", feed_interval="1m", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_graph_that_was_not_finished_is_finished_at_the_next_start(
    bars: Bars, past: Tabled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembrance, "EXACT_UP_TO", 100)
    mind = load_passport(_exported(bars, past, tmp_path / "passport")).memory
    assert mind is not None
    built = list[int]()
    optimize = EdgeMemory.optimize

    def dying(memory: EdgeMemory) -> bool:
        raise KeyboardInterrupt

    def counted(memory: EdgeMemory) -> bool:
        built.append(memory.count())
        return optimize(memory)

    monkeypatch.setattr(EdgeMemory, "optimize", dying)
    with pytest.raises(KeyboardInterrupt) as killed:  # all points are in, the graph is not
        mind.live(tmp_path / "store")
    assert killed.value.__traceback__ is not None  # which keeps the store alive: it must have been let go of
    monkeypatch.setattr(EdgeMemory, "optimize", counted)
    mind.live(tmp_path / "store").close()
    mind.live(tmp_path / "store", exact=True).close()  # asked exactly, it needs none
    assert mind.archive is not None
    assert built == [len(mind.archive)]


def test_a_large_past_is_asked_by_its_graph_and_the_passport_says_so(
    bars: Bars, past: Tabled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its archive is over the limit, which is lowered here: the mode is the manifest's, and the store is asked so."""
    monkeypatch.setattr(remembrance, "EXACT_UP_TO", 100)
    folder = _exported(bars, past, tmp_path / "passport")
    told = json.loads((folder / "manifest.json").read_text())["memory"]
    assert (told["mode"], told["ef"]) == ("hnsw", EF)
    trader = load_trader(folder, "live", store=tmp_path / "store")
    try:
        assert trader.past is not None
        terms = json.loads(trader.past.state())["terms"]
        assert (terms["exact"], terms["ef"]) == (False, EF)
    finally:
        trader.close()
    _trade(folder, bars.slice(0, 200), tmp_path / "paper.db", tmp_path / "store")
    assert read_history(tmp_path / "paper.db").opened_at[-1] == bars.opened_at[199]
    monkeypatch.undo()
    with pytest.raises(PassportError, match="its memory has mode exact, its manifest says hnsw"):
        load_passport(folder)


def test_a_memory_that_is_not_the_manifests_is_named(passport: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(passport, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["memory"]["archive"]["moments"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    write_seal(copy)
    with pytest.raises(PassportError, match="its memory has archive"):
        load_passport(copy)


def test_one_flipped_byte_of_the_archive_is_refused(passport: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(passport, copy)
    segment = max((copy / "memory" / "archive").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[100] ^= 1
    segment.write_bytes(bytes(content))
    with pytest.raises(PassportError, match=segment.name):
        load_passport(copy)


def _trade(passport: Path, bars: Bars, journal: Path, store: Path) -> None:
    trader = load_trader(passport, "live", store=store)
    opened, clock = Journal(journal), BarClock()
    try:
        begin(opened, trader, Settings(), clock, source="drawn").run(ReplayFeed(bars, "drawn", clock))
    finally:
        opened.close()
        trader.close()


def _replayed(journal: Path, store: Path) -> tuple[int, str]:
    found = replay(journal, partial(load_trader, store=store))
    return found.bars, found.digest
