"""The crowd market as a whole: one tape however it is advanced, a healthy market, sound accounts, no leaks."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref
from dataclasses import replace

import mesa
import numpy as np
import pytest

from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.matching import Reject
from wavetank.simulators.population import Noise, Population
from wavetank.simulators.scenarios import load_scenario
from wavetank.simulators.traders import CLASSES, CohortAgent

HOUR_MS = 3_600_000
DIGEST = """
from wavetank.simulators.crowd import CrowdMarket
print(CrowdMarket("flash_crash", rng=5, onset=0).run(2).tape_digest())
"""


@pytest.fixture(scope="module")
def day() -> CrowdMarket:
    return CrowdMarket("normal", rng=11).run(1440)


def stepped(market: CrowdMarket, steps: int) -> CrowdMarket:
    for _ in range(steps):
        market.step()
    return market


def test_stepped_through_mesa_or_run_compiled_the_tape_is_the_same() -> None:
    run = CrowdMarket("flash_crash", rng=3, onset=2).run(12)
    walked = stepped(CrowdMarket("flash_crash", rng=3, onset=2), 12 * 60)
    mixed = stepped(CrowdMarket("flash_crash", rng=3, onset=2).run(4), 30).run(8)
    assert run.tape_digest() == walked.tape_digest() == mixed.tape_digest()
    assert run.trades().tobytes() == walked.trades().tobytes()
    assert run.steps == walked.steps == mixed.steps == 720
    assert run.datacollector.model_vars == walked.datacollector.model_vars


def test_same_seed_same_tape_and_another_seed_another() -> None:
    digests = [CrowdMarket("normal", rng=seed).run(5).tape_digest() for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_another_process_makes_the_same_tape_compiled_or_interpreted(interpreted: str) -> None:
    here = CrowdMarket("flash_crash", rng=5, onset=0).run(2).tape_digest()
    environment = os.environ | {"NUMBA_DISABLE_JIT": interpreted}
    there = subprocess.run(
        [sys.executable, "-W", "error", "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


def test_reset_in_place_equals_a_new_market() -> None:
    market = CrowdMarket("flash_crash", rng=1, onset=1).run(20)
    market.reset(9).run(10)
    fresh = CrowdMarket("flash_crash", rng=9, onset=1).run(10)
    assert market.tape_digest() == fresh.tape_digest()
    assert market.datacollector.model_vars == fresh.datacollector.model_vars


def test_a_generator_seeds_a_market_with_its_next_draw() -> None:
    one = CrowdMarket("normal", rng=np.random.default_rng(4))
    again = CrowdMarket("normal", rng=np.random.default_rng(4))
    rng = np.random.default_rng(4)
    rng.random()
    moved = CrowdMarket("normal", rng=rng)
    assert one.run(2).tape_digest() == again.run(2).tape_digest() != moved.run(2).tape_digest()


def test_a_copy_and_a_pickle_go_on_identically() -> None:
    market = stepped(CrowdMarket("flash_crash", rng=6, onset=1).run(2), 17)
    twin, thawed = copy.deepcopy(market), pickle.loads(pickle.dumps(market))
    digests = [one.run(4).tape_digest() for one in (market, twin, thawed)]
    assert digests[0] == digests[1] == digests[2]
    stepped(twin, 60), stepped(thawed, 60)
    assert market.run(1).tape_digest() == twin.tape_digest() == thawed.tape_digest()


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_the_normal_market_is_healthy(seed: int) -> None:
    market = CrowdMarket("normal", rng=seed).run(1440)
    bars, reports = market.bars(), market.datacollector.model_vars
    returns = np.diff(np.log(bars.close)) * 1e4
    assert bars.trades is not None
    assert 3.0 < returns.std() < 20.0
    assert (bars.trades > 0).mean() >= 0.98
    assert np.mean(reports["quoted_share"]) >= 0.99
    assert np.median(reports["spread_ticks"]) <= 30
    assert abs(np.corrcoef(returns[:-1], returns[1:])[0, 1]) < 0.5
    assert abs(math_log_gap(market)) < 0.01


def math_log_gap(market: CrowdMarket) -> float:
    """How far the price strayed from the fundamental, in log price."""
    return float(np.log(market.close_price / market.value))


def test_accounts_sum_to_nothing_and_nobody_was_refused(day: CrowdMarket) -> None:
    assert day.world.book.accounts.sum(axis=0).tolist() == [0, 0]
    refused = {code for code, count in day.rejects().items() if count}
    assert refused <= {Reject.UNKNOWN_ID}  # a maker pulled a quote that was filled while the cancel travelled
    assert sum(agent.lost for agent in day.agents if isinstance(agent, CohortAgent)) == 0
    bids, asks = day.depth(3)
    assert bids[0, 0] < asks[0, 0]


def test_the_clock_starts_at_a_full_utc_hour_that_the_seed_draws() -> None:
    starts = {CrowdMarket("normal", rng=seed).run(1).bars().opened_at[0] for seed in range(4)}
    assert len(starts) == 4
    assert all(start % HOUR_MS == 0 for start in starts)


def test_makers_quote_no_further_than_their_inventory_limit(day: CrowdMarket) -> None:
    rules = day.crowd.makers
    quoted = rules.size * sum(range(1, rules.quote_levels + 1))  # may yet fill while its cancel travels
    most = rules.traders * (rules.inventory_limit + min(quoted, rules.inventory_limit)) / day.lot
    held = np.abs(day.datacollector.model_vars["makers_lots"])
    assert 0 < held.max() <= most
    assert np.quantile(held, 0.99) <= 1.1 * rules.traders * rules.inventory_limit / day.lot


def test_one_collect_a_bar() -> None:
    market = CrowdMarket("normal", rng=1)
    stepped(market, 59)
    assert len(market.datacollector.model_vars["close_price"]) == 0
    stepped(market, 1)
    market.run(2)
    frame = market.datacollector.get_model_vars_dataframe()
    assert frame["close_price"].tolist() == market.bars().close.tolist()


class Watcher(mesa.Agent):  # type: ignore[misc]  # mesa ships no types
    """A user's own trader: buys one lot in every hundredth step."""

    def __init__(self, model: CrowdMarket) -> None:
        super().__init__(model)
        self.owner = model.add_trader("watcher")
        self.seen = 0

    def step(self) -> None:
        self.seen += 1
        if self.seen % 100 == 0:
            self.model.submit_market(self.owner, 1)


def test_an_agent_of_ones_own_is_stepped_and_trades_in_the_same_market() -> None:
    market = CrowdMarket("normal", rng=2)
    watcher = Watcher(market)
    market.run(5)
    assert watcher.seen == 300
    assert market.position(watcher.owner) == 2  # the third order is still on its way
    assert len({agent.unique_id for agent in market.agents}) == len(market.agents) == len(CLASSES) + 1


def test_markets_are_freed_and_mesa_keeps_none_of_them() -> None:
    before = len(mesa.Agent._ids)
    seen = []
    for seed in range(3):
        market = CrowdMarket("normal", rng=seed)
        market.reset(seed + 10)
        seen.append(weakref.ref(market))
        del market
    gc.collect()
    assert [ref() for ref in seen] == [None, None, None]
    assert len(mesa.Agent._ids) == before


def test_a_closed_market_lets_go_of_its_agents() -> None:
    market = CrowdMarket("normal", rng=0)
    market.close()
    assert len(market.agents) == 0
    assert market not in mesa.Agent._ids


def test_storms_given_or_drawn_obey_the_role() -> None:
    judge = load_scenario("flash_crash").draw(np.random.default_rng(0), "judge")
    with pytest.raises(ValueError, match="a judge draw of flash_crash was given to a market in train role"):
        CrowdMarket("flash_crash", rng=1, storm=judge)
    assert CrowdMarket("flash_crash", rng=1, storm=judge, role="judge").storm == judge
    drawn = [CrowdMarket("flash_crash", rng=7, role=role).storm for role in ("train", "judge")]
    assert [storm.role for storm in drawn if storm] == ["train", "judge"]


def test_wrong_input_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="no scenario 'gale'"):
        CrowdMarket("gale")
    with pytest.raises(ValueError, match="no interval '5m', it trades at 1m, 1h"):
        CrowdMarket("normal", interval="5m")
    with pytest.raises(ValueError, match="role 'exam'"):
        CrowdMarket("normal", role="exam")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="latency_steps is 0"):
        CrowdMarket("normal", latency_steps=0)
    with pytest.raises(ValueError, match="onset -1"):
        CrowdMarket("flash_crash", onset=-1)
    with pytest.raises(ValueError, match="seed -3"):
        CrowdMarket("normal", rng=-3)
    with pytest.raises(ValueError, match=r"noise\.rate is nan"):
        Population(noise=Noise(rate=float("nan")))


def test_importing_the_room_is_free_of_mesa_and_numba() -> None:
    code = "import sys, wavetank.simulators; print(sorted({'mesa', 'numba', 'numpy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_calm_bars_put_a_drawn_storm_off_and_no_other() -> None:
    soon, later = (CrowdMarket("flash_crash", rng=7, calm_bars=calm) for calm in (0, 110))
    assert soon.storm is not None
    assert later.storm == replace(soon.storm, onset=soon.storm.onset + 110)
    given = CrowdMarket("flash_crash", rng=7, onset=3, calm_bars=110).storm
    assert given is not None
    assert given.onset == 3
    with pytest.raises(ValueError, match="calm_bars -1 must be 0 or more"):
        CrowdMarket("normal", calm_bars=-1)
