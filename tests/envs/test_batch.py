"""N episodes in one call walk exactly as N single environments, whatever the terms, the resets and the threads."""

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.episodes import PARALLEL_FROM
from wavetank.envs.rewards import ALWAYS
from wavetank.envs.trading import TradingEnv
from wavetank.envs.walk import BLOCK
from wavetank.market.jit import set_threads, threads
from wavetank.market.ledger import open_account

from ..market.handmade import same_bits
from .cases import CASES, EXTRA, GAPPY, LEVERED, SHORT, SMOOTH, WILD, draw_actions

COUNT, STEPS = 8, 550
MODES = ("SAME_STEP", "NEXT_STEP")


def test_the_comparison_covers_a_hundred_thousand_steps() -> None:
    assert len(CASES | EXTRA) * len(MODES) * COUNT * STEPS >= 100_000


@pytest.mark.parametrize("autoreset", MODES)
@pytest.mark.parametrize("case", CASES | EXTRA)
def test_a_batch_equals_single_environments_to_the_last_bit(case: str, autoreset: str) -> None:
    bars, keywords = (CASES | EXTRA)[case]
    batch = BatchTradingEnv(bars, COUNT, autoreset=autoreset, parts=True, **keywords)
    singles = [TradingEnv(bars, **keywords) for _ in range(COUNT)]
    observations, _ = batch.reset(seed=90)
    for i, env in enumerate(singles):
        assert same_bits(observations[i], env.reset(seed=90 + i)[0])
    actions = draw_actions(np.random.default_rng(91), keywords, STEPS, COUNT)
    over, totals, endings = [False] * COUNT, np.zeros(COUNT), 0
    for k in range(STEPS):
        observations, rewards, terminated, truncated, infos = batch.step(actions[k])
        for i, env in enumerate(singles):
            if over[i]:  # NEXT_STEP: this step only begins the next episode
                seen, _ = env.reset()
                over[i], totals[i] = False, 0.0
                assert (rewards[i], terminated[i], truncated[i]) == (0.0, False, False)
                assert not infos["reward_parts"][i].any()
            else:
                seen, reward, end, cut, info = env.step(actions[k, i])
                assert (rewards[i], terminated[i], truncated[i]) == (reward, end, cut)
                assert tuple(infos["reward_parts"][i]) == tuple(info["reward_parts"].values())
                totals[i] += float(reward)
                if end or cut:
                    endings += 1
                    _assert_ending(infos, i, seen, totals[i], info)
                    if autoreset == "SAME_STEP":
                        seen, _ = env.reset()
                        totals[i] = 0.0
                    else:
                        over[i] = True
            assert same_bits(observations[i], seen)
            assert batch.episodes.account(i) == env.account
    assert endings > 0, "this walk has never seen an episode end"


def _assert_ending(
    infos: dict[str, Any], i: int, seen: NDArray[np.float32], total: float, info: dict[str, Any]
) -> None:
    assert infos["_episode"][i]
    assert infos["episode"]["r"][i] == total
    assert infos["episode"]["equity"][i] == info["equity"]
    if "final_obs" in infos:
        assert infos["_final_obs"][i]
        assert same_bits(infos["final_obs"][i], seen)


def _walk(env: BatchTradingEnv, seed: int, steps: int) -> list[tuple[Any, ...]]:
    """Everything that an environment returns over some steps, copied."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, env.num_envs, 1)).astype(np.float32)
    walked: list[tuple[Any, ...]] = [(env.reset(seed=seed)[0].copy(),)]
    for action in actions:
        *arrays, infos = env.step(action)
        walked.append(
            (*(array.copy() for array in arrays), *(np.copy(infos["episode"][k]) for k in infos.get("episode", ())))
        )
    return walked


def _assert_same_walk(a: list[tuple[Any, ...]], b: list[tuple[Any, ...]]) -> None:
    for step, (one, other) in enumerate(zip(a, b, strict=True)):
        assert len(one) == len(other)
        assert all(same_bits(x, y) for x, y in zip(one, other, strict=True)), f"step {step} differs"


def test_threads_change_no_bit() -> None:
    count = PARALLEL_FROM + BLOCK + 7  # several blocks, the last one not full
    before, walks = threads(), []
    try:
        for asked in (0, 1, 2):  # 0: the serial kernel
            env = BatchTradingEnv(WILD, count, instrument=LEVERED, observation=SHORT, episode_bars=20)
            assert env.parallel
            env.parallel = asked > 0
            set_threads(max(asked, 1))
            walks.append(_walk(env, 3, 60))
    finally:
        set_threads(before)
    _assert_same_walk(walks[0], walks[1])
    _assert_same_walk(walks[0], walks[2])


def test_an_episode_does_not_depend_on_its_neighbours() -> None:
    small, large = (BatchTradingEnv(GAPPY, n, episode_bars=30) for n in (3, 40))
    a, b = small.reset(seed=5)[0], large.reset(seed=5)[0]
    rng = np.random.default_rng(6)
    for _ in range(100):
        assert same_bits(a, b[:3])
        actions = rng.uniform(-1, 1, (40, 1))
        a, b = small.step(actions[:3])[0], large.step(actions)[0]


def test_same_step_and_next_step_tell_the_same_episodes() -> None:
    """Both modes see the same rewards, last observations and first observations; one of them a step later."""
    told: dict[str, list[list[bytes]]] = {}
    for mode in MODES:
        env = BatchTradingEnv(GAPPY, 5, autoreset=mode, episode_bars=17)
        seen = [[row.tobytes()] for row in env.reset(seed=8)[0]]
        over = np.zeros(5, np.bool_)
        for _ in range(200):
            actions = np.where(over, 0.9, 0.25)[:, None]  # what is asked in a dummy step must not matter
            observations, rewards, terminated, truncated, infos = env.step(actions)
            done = terminated | truncated
            for i in range(5):
                if mode == "SAME_STEP" and done[i]:
                    seen[i] += [rewards[i].tobytes() + infos["final_obs"][i].tobytes(), observations[i].tobytes()]
                else:
                    seen[i].append((b"" if over[i] else rewards[i].tobytes()) + observations[i].tobytes())
            over = done if mode == "NEXT_STEP" else over
        told[mode] = seen
    for same, following in zip(told["SAME_STEP"], told["NEXT_STEP"], strict=True):
        common = min(len(same), len(following))
        assert common > 150
        assert same[:common] == following[:common]


def test_the_modes_are_declared_as_gymnasium_names_them() -> None:
    for mode in MODES:
        assert BatchTradingEnv(SMOOTH, 1, autoreset=mode).metadata["autoreset_mode"] is AutoresetMode[mode]
    assert BatchTradingEnv(SMOOTH, 1).metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


# resets


def test_two_resets_with_one_seed_are_equal_whatever_happened_between() -> None:
    env = BatchTradingEnv(WILD, 5, instrument=LEVERED, observation=SHORT)
    first = _walk(env, 4, 120)
    env.step(np.ones((5, 1)))
    _assert_same_walk(first, _walk(env, 4, 120))


def test_everything_of_an_episode_is_rebuilt_at_its_start() -> None:
    env = BatchTradingEnv(SMOOTH, 4, episode_bars=5)
    env.reset(seed=1)
    for _ in range(5):
        _, _, _, truncated, infos = env.step(np.ones((4, 1)))
    assert truncated.all()
    assert (infos["episode"]["l"] == 5).all()
    assert all(env.episodes.account(i) == open_account(100_000.0) for i in range(4))
    observations, rewards, *_ = env.step(np.zeros((4, 1)))
    assert not rewards.any(), "who holds nothing earns nothing"
    idle = len(env.setup.spec.columns) - 5
    assert observations[:, idle] == pytest.approx(np.full(4, np.log(2.0)), rel=1e-6)


def test_seeds_count_up_along_the_batch_and_wrap_at_64_bits() -> None:
    whole, tail = BatchTradingEnv(SMOOTH, 8, episode_bars=20), BatchTradingEnv(SMOOTH, 5, episode_bars=20)
    assert same_bits(whole.reset(seed=40)[0][3:], tail.reset(seed=43)[0])
    edge = BatchTradingEnv(SMOOTH, 2, episode_bars=20).reset(seed=2**64 - 1)[0]
    wrapped = TradingEnv(SMOOTH, episode_bars=20).reset(seed=0)[0]
    assert same_bits(edge[1], wrapped)


def test_a_named_start_is_the_first_bar_observed() -> None:
    env = BatchTradingEnv(SMOOTH, 3, observation="spine")
    env.reset(seed=1, options={"start": 200})
    assert env.episodes.running.clock[:, 0].tolist() == [200] * 3
    observations, _ = env.reset(options={"start": [100, 200, 300]})
    assert env.episodes.running.clock[:, 0].tolist() == [100, 200, 300]
    single = TradingEnv(SMOOTH, observation="spine")
    assert same_bits(single.reset(options={"start": 300})[0], observations[2])


def test_a_mask_resets_some_and_leaves_the_others_as_they_stand() -> None:
    env = BatchTradingEnv(SMOOTH, 4)
    env.reset(seed=1)
    last = env.step(np.ones((4, 1)))[0]
    accounts = [env.episodes.account(i) for i in range(4)]
    mask = np.array([True, False, False, True])
    observations, _ = env.reset(options={"reset_mask": mask})
    assert same_bits(observations[~mask], last[~mask])
    for i in range(4):
        assert env.episodes.account(i) == (open_account(100_000.0) if mask[i] else accounts[i])
    assert not np.shares_memory(observations, last)


def test_an_unseeded_environment_differs_from_the_next() -> None:
    a, b = (BatchTradingEnv(SMOOTH, 16).reset()[0] for _ in range(2))
    assert not same_bits(a, b)


# reports


def test_sums_of_an_episode_are_those_of_its_steps() -> None:
    env = BatchTradingEnv(SMOOTH, 3, episode_bars=12, parts=True, rewards={"log_growth": 1.0, "cost": 2.0})
    env.reset(seed=1)
    rng, parts, total = np.random.default_rng(2), np.zeros((3, len(ALWAYS))), np.zeros(3)
    for _ in range(12):
        _, rewards, _, _, infos = env.step(rng.uniform(-1, 1, (3, 1)))
        parts += infos["reward_parts"]
        total += rewards
    for k, name in enumerate(ALWAYS):
        assert infos["episode"][name] == pytest.approx(parts[:, k], abs=1e-15)
    assert infos["episode"]["r"] == pytest.approx(total, abs=1e-15)
    assert infos["episode"]["r"] == pytest.approx(parts[:, 0] + 2 * parts[:, 1], abs=1e-15)
    assert infos["episode"]["equity"] == pytest.approx(100_000 * np.exp(parts[:, 0]))


def test_who_has_not_ended_reports_zeros() -> None:
    env = BatchTradingEnv(GAPPY, 30, episode_bars=9, observation="spine")
    env.reset(seed=1, options={"start": [100 + i for i in range(30)]})
    env.reset(options={"reset_mask": np.arange(30) < 1})
    for _ in range(4):
        env.step(np.ones((30, 1)))
    env.reset(options={"reset_mask": np.arange(30) < 10})
    for _ in range(5):
        _, _, _, truncated, infos = env.step(np.ones((30, 1)))
    assert truncated.tolist() == [False] * 10 + [True] * 20
    assert infos["_episode"].tolist() == infos["_final_obs"].tolist() == truncated.tolist()
    assert not infos["final_obs"][:10].any()
    assert not infos["episode"]["r"][:10].any()
    assert infos["episode"]["l"].tolist() == [0] * 10 + [9] * 20


# wrong input


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"num_envs": 0}, "num_envs 0 must be 1 or more"),
        ({"autoreset": "DISABLED"}, "autoreset 'DISABLED' must be 'SAME_STEP' or 'NEXT_STEP'"),
        ({"episode_bars": 0}, "episode_bars 0 must be 1 or more"),
        ({"cash": 0.0}, "an account cannot open with 0.0 in cash"),
        ({"cash": float("nan")}, "an account cannot open with nan in cash"),
        ({"actions": "continuous"}, "actions 'continuous' must be box, discrete, or discrete:n with n from 2 to 201"),
        ({"observation": "spline"}, "there is no observation 'spline'"),
        ({"rewards": {"sharpe": 1.0}}, "there is no reward part 'sharpe'"),
        ({"dead_band": -0.1}, r"dead_band -0.1 must lie in \[0, 1\)"),
    ],
)
def test_a_wrong_keyword_costs_one_sentence(keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        BatchTradingEnv(SMOOTH, **({"num_envs": 2} | keywords))


def test_wrong_calls_cost_one_sentence() -> None:
    env = BatchTradingEnv(SMOOTH, 2, observation="spine")
    with pytest.raises(ValueError, match="call reset before the first step"):
        env.step(np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"a batch is seeded by one number: episode i gets seed \+ i"):
        env.reset(seed=[1, 2])
    env.reset(seed=1)
    with pytest.raises(ValueError, match="3 actions were given for 2 episodes"):
        env.step(np.zeros((3, 1)))
    with pytest.raises(ValueError, match=r"action nan of episode 1 is not a number in \[-1, 1\]"):
        env.step(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match=r"action -1.5 of episode 0 is not a number in \[-1, 1\]"):
        env.step(np.array([-1.5, np.nan]))
    with pytest.raises(ValueError, match="an episode cannot start at bar 5; bars 59…898 can be observed and traded"):
        env.reset(options={"start": 5})
    with pytest.raises(ValueError, match="an episode cannot start at bar 899"):
        env.reset(options={"start": [60, 899]})
    with pytest.raises(ValueError, match="an episode cannot start at bar -7"):
        env.reset(options={"start": -7})
    with pytest.raises(ValueError, match="reset has no option begin; it has reset_mask, start"):
        env.reset(options={"begin": 70})


@pytest.mark.parametrize("actions", [np.array([0, 3]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([0.5, 1.0])])
def test_discrete_actions_are_whole_numbers_of_the_space(actions: NDArray[Any]) -> None:
    env = BatchTradingEnv(SMOOTH, 2, actions="discrete")
    env.reset(seed=1)
    with pytest.raises(ValueError, match=r"actions .* are not integers 0 … 2"):
        env.step(actions)
    env.step(np.array([0, 2]))
    assert [env.episodes.account(i).lots < 0 for i in range(2)] == [True, False]


def test_bars_too_few_to_warm_up_are_refused() -> None:
    with pytest.raises(
        ValueError, match="observation default needs 169 bars to warm up and one to trade; the longest stretch has 169"
    ):
        BatchTradingEnv(SMOOTH.slice(0, 169), 1)
    BatchTradingEnv(SMOOTH.slice(0, 170), 1).reset(seed=1)
