"""N portfolios in one call walk exactly as N single ones, whatever the assets, terms, resets and threads."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from wavetank.envs.portfolio import PortfolioEnv
from wavetank.envs.portfolio_batch import BatchPortfolioEnv
from wavetank.envs.portfolio_episodes import PARALLEL_FROM, PortfolioEpisodes
from wavetank.envs.portfolio_walk import BLOCK
from wavetank.market.jit import set_threads, threads
from wavetank.market.ledger import open_account

from ..market.handmade import same_bits
from .portfolios import CASES, draw_targets

COUNT, STEPS = 8, 400
MODES = ("SAME_STEP", "NEXT_STEP")
HOLES, KEYWORDS = CASES["holes"]


def test_the_comparison_covers_a_hundred_thousand_steps_of_one_to_eight_assets() -> None:
    assert len(CASES) * len(MODES) * COUNT * STEPS >= 100_000
    assert {1, 2, 3, 4, 5, 6, 7, 8} <= {len(bars) for bars, _ in CASES.values()}


@pytest.mark.slow
@pytest.mark.parametrize("autoreset", MODES)
@pytest.mark.parametrize("name", CASES)
def test_a_batch_equals_single_portfolios_to_the_last_bit(name: str, autoreset: str) -> None:
    bars, keywords = CASES[name]
    batch = BatchPortfolioEnv(bars, COUNT, autoreset=autoreset, parts=True, **keywords)
    singles = [PortfolioEnv(bars, **keywords) for _ in range(COUNT)]
    observations, _ = batch.reset(seed=90)
    for i, env in enumerate(singles):
        assert same_bits(observations[i], env.reset(seed=90 + i)[0])
    targets = draw_targets(np.random.default_rng(91), STEPS, COUNT, len(bars))
    over, totals, endings = [False] * COUNT, np.zeros(COUNT), 0
    for k in range(STEPS):
        observations, rewards, terminated, truncated, infos = batch.step(targets[k])
        for i, env in enumerate(singles):
            if over[i]:  # NEXT_STEP: this step only begins the next episode
                seen, _ = env.reset()
                over[i], totals[i] = False, 0.0
                assert (rewards[i], terminated[i], truncated[i]) == (0.0, False, False)
                assert not infos["reward_parts"][i].any()
            else:
                seen, reward, end, cut, info = env.step(targets[k, i])
                assert (rewards[i], terminated[i], truncated[i]) == (reward, end, cut)
                assert tuple(infos["reward_parts"][i]) == tuple(info["reward_parts"].values())
                totals[i] += float(reward)
                if end or cut:
                    endings += 1
                    assert infos["_episode"][i]
                    assert infos["episode"]["r"][i] == totals[i]
                    assert infos["episode"]["equity"][i] == info["equity"]
                    if autoreset == "SAME_STEP":
                        assert same_bits(infos["final_obs"][i], seen)
                        seen, _ = env.reset()
                        totals[i] = 0.0
                    else:
                        over[i] = True
            assert same_bits(observations[i], seen)
            assert _books(batch.episodes, i) == _books(env.episodes, 0)
    assert endings > 0, "this walk has never seen an episode end"


def _books(episodes: PortfolioEpisodes, i: int) -> list[bytes]:
    """Account and positions of one portfolio, to the last bit."""
    running = episodes.running
    books = (running.money, running.counts, running.lots, running.entry, running.idle, running.moments)
    return [book[i].tobytes() for book in books]


def _walk(env: BatchPortfolioEnv, seed: int, steps: int) -> list[bytes]:
    """Everything that an environment returns over some steps."""
    targets = draw_targets(np.random.default_rng(seed), steps, env.num_envs, env.assets)
    walked = [env.reset(seed=seed)[0].tobytes()]
    for target in targets:
        *arrays, infos = env.step(target)
        told = [*arrays, *infos.get("episode", {}).values()]
        walked.append(b"".join(array.tobytes() for array in told))
    return walked


def test_threads_change_no_bit() -> None:
    count = PARALLEL_FROM + BLOCK + 7  # several blocks, the last one not full
    bars, keywords = CASES["levered"]
    before, walks = threads(), []
    try:
        for asked in (0, 1, 2):  # 0: the serial kernel
            env = BatchPortfolioEnv(bars, count, **(keywords | {"episode_bars": 20}))
            assert env.parallel
            env.parallel = asked > 0
            set_threads(max(asked, 1))
            walks.append(_walk(env, 3, 60))
    finally:
        set_threads(before)
    assert walks[0] == walks[1] == walks[2]


def test_a_portfolio_does_not_depend_on_its_neighbours() -> None:
    small, large = (BatchPortfolioEnv(HOLES, n, **(KEYWORDS | {"episode_bars": 30})) for n in (3, 40))
    a, b = small.reset(seed=5)[0], large.reset(seed=5)[0]
    for targets in draw_targets(np.random.default_rng(6), 100, 40, 5):
        assert same_bits(a, b[:3])
        a, b = small.step(targets[:3])[0], large.step(targets)[0]


def test_swapped_buffers_tell_the_same_and_last_for_one_step() -> None:
    own, swapped = (BatchPortfolioEnv(HOLES, 4, copy=copy, **KEYWORDS) for copy in (True, False))
    kept, lent = [own.reset(seed=2)[0]], [swapped.reset(seed=2)[0]]
    for targets in draw_targets(np.random.default_rng(1), 20, 4, 5):
        kept.append(own.step(targets)[0])
        lent.append(swapped.step(targets)[0])
        assert same_bits(kept[-1], lent[-1])
        assert same_bits(kept[-2], lent[-2])
    assert not any(np.shares_memory(kept[-1], other) for other in kept[:-1])
    assert np.shares_memory(lent[-1], lent[-3])


def test_everything_of_an_episode_is_rebuilt_at_its_start() -> None:
    env = BatchPortfolioEnv(HOLES, 4, **(KEYWORDS | {"episode_bars": 5}))
    env.reset(seed=1)
    for _ in range(5):
        _, _, _, truncated, infos = env.step(np.full((4, 5), 0.2))
    assert truncated.all()
    assert (infos["episode"]["l"] == 5).all()
    assert all(env.episodes.account(i) == open_account(100_000.0) for i in range(4))
    assert not any(np.any(column) for column in env.episodes.positions)
    _, rewards, *_ = env.step(np.zeros((4, 5)))
    assert not rewards.any(), "who holds nothing earns nothing"


def test_a_mask_resets_some_and_leaves_the_others_as_they_stand() -> None:
    env = BatchPortfolioEnv(HOLES, 4, **KEYWORDS)
    env.reset(seed=1)
    last = env.step(np.full((4, 5), 0.2))[0]
    accounts = [env.episodes.account(i) for i in range(4)]
    mask = np.array([True, False, False, True])
    observations, _ = env.reset(options={"reset_mask": mask})
    assert same_bits(observations[~mask], last[~mask])
    for i in range(4):
        assert env.episodes.account(i) == (open_account(100_000.0) if mask[i] else accounts[i])


def test_a_named_start_is_the_first_row_observed() -> None:
    env = BatchPortfolioEnv(HOLES, 3, **KEYWORDS)
    observations, _ = env.reset(seed=1, options={"start": [100, 150, 200]})
    assert env.episodes.running.clock[:, 0].tolist() == [100, 150, 200]
    single = PortfolioEnv(HOLES, **KEYWORDS)
    assert same_bits(single.reset(options={"start": 200})[0], observations[2])


def test_seeds_count_up_along_the_batch() -> None:
    whole, tail = (BatchPortfolioEnv(HOLES, n, **(KEYWORDS | {"episode_bars": 20})) for n in (8, 5))
    assert same_bits(whole.reset(seed=40)[0][3:], tail.reset(seed=43)[0])
    a, b = (BatchPortfolioEnv(HOLES, 16, **KEYWORDS).reset()[0] for _ in range(2))
    assert not same_bits(a, b)


def test_the_modes_are_declared_as_gymnasium_names_them() -> None:
    for mode in MODES:
        assert BatchPortfolioEnv(HOLES, 1, autoreset=mode, **KEYWORDS).metadata["autoreset_mode"] is AutoresetMode[mode]


# wrong input


def test_wrong_calls_cost_one_sentence() -> None:
    with pytest.raises(ValueError, match="num_envs 0 must be 1 or more"):
        BatchPortfolioEnv(HOLES, 0, **KEYWORDS)
    with pytest.raises(ValueError, match="autoreset 'DISABLED' must be 'SAME_STEP' or 'NEXT_STEP'"):
        BatchPortfolioEnv(HOLES, 2, autoreset="DISABLED", **KEYWORDS)
    env = BatchPortfolioEnv(HOLES, 2, **KEYWORDS)
    with pytest.raises(ValueError, match="call reset before the first step"):
        env.step(np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"a batch is seeded by one number: episode i gets seed \+ i"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="a reset_mask that leaves some out comes later"):
        env.reset(options={"reset_mask": [True, False]})
    env.reset(seed=1)
    before = [env.episodes.account(i) for i in range(2)]
    with pytest.raises(ValueError, match=r"actions of shape \(2, 4\) were given; 2 × 5 targets are needed"):
        env.step(np.zeros((2, 4)))
    targets = np.zeros((2, 5))
    targets[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"action nan of episode 1, asset 3 is not a number in \[-1, 1\]"):
        env.step(targets)
    targets[0, 4] = -1.5
    with pytest.raises(ValueError, match=r"action -1.5 of episode 0, asset 4 is not a number in \[-1, 1\]"):
        env.step(targets)
    assert before == [env.episodes.account(i) for i in range(2)], "a refused action leaves everything as it was"
    with pytest.raises(ValueError, match=r"an episode cannot start at row 3; rows 15…\d+ can be observed and traded"):
        env.reset(options={"start": 3})
    with pytest.raises(ValueError, match="reset has no option begin; it has reset_mask, start"):
        env.reset(options={"begin": 70})


@pytest.mark.parametrize("autoreset", MODES)
def test_portfolios_are_taken_up_where_they_were_put_aside(autoreset: str) -> None:
    first, second = (BatchPortfolioEnv(HOLES, COUNT, autoreset=autoreset, **KEYWORDS) for _ in range(2))
    first.reset(seed=5)
    second.reset(seed=99)
    targets = draw_targets(np.random.default_rng(7), 120, COUNT, len(HOLES))
    for target in targets[:50]:
        first.step(target)
        second.step(target)
    second.set_state(first.state())
    for target in targets[50:]:
        for ours, theirs in zip(first.step(target)[:4], second.step(target)[:4], strict=True):
            assert np.array_equal(ours, theirs)
