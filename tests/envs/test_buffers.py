"""Arrays that an environment returns belong to the caller: never touched again, or two buffers that take turns."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from wavetank.envs.batch import BatchTradingEnv
from wavetank.envs.walk import walk_serial
from wavetank.market.jit import COMPILED

from ..market.handmade import same_bits
from .cases import GAPPY, SMOOTH

MODES = ("SAME_STEP", "NEXT_STEP")


@pytest.mark.parametrize("autoreset", MODES)
def test_what_was_returned_is_never_touched_again(autoreset: str) -> None:
    env = BatchTradingEnv(GAPPY, 6, autoreset=autoreset, episode_bars=7, parts=True)
    held: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def hold(*arrays: NDArray[Any]) -> None:
        held.extend((array, array.copy()) for array in arrays)

    hold(env.reset(seed=1)[0])
    rng = np.random.default_rng(2)
    for step in range(60):
        actions = rng.uniform(-1, 1, (6, 1))
        *arrays, infos = env.step(actions)
        hold(*arrays, infos["reward_parts"], *infos.get("episode", {}).values())
        hold(*(infos[name] for name in ("final_obs", "_final_obs", "_episode") if name in infos))
        if step == 30:
            hold(env.reset(seed=3)[0])
    assert len(held) > 300
    assert all(same_bits(array, copy) for array, copy in held)
    observations = [array for array, _ in held if array.shape == (6, 18)]
    assert not any(np.shares_memory(a, b) for a, b in pairwise(observations))


def test_a_caller_may_write_into_what_it_was_given() -> None:
    clean, scribbled = (BatchTradingEnv(GAPPY, 4, episode_bars=9, parts=True) for _ in range(2))
    clean.reset(seed=1)
    scribbled.reset(seed=1)[0].fill(np.nan)
    for k in range(40):
        actions = np.full((4, 1), np.sin(k), np.float32)
        expected = clean.step(actions)
        got = scribbled.step(actions)
        for a, b in zip(expected[:4], got[:4], strict=True):
            assert same_bits(a, b)
            b.fill(0)
        for array in (got[4]["reward_parts"], got[4].get("final_obs")):
            if array is not None:
                array.fill(np.nan)


def test_actions_are_read_and_not_kept() -> None:
    env, twin = BatchTradingEnv(SMOOTH, 4), BatchTradingEnv(SMOOTH, 4)
    env.reset(seed=1)
    twin.reset(seed=1)
    actions = np.full((4, 1), 0.7)
    before = actions.copy()
    env.step(actions)
    assert same_bits(actions, before)
    twin.step(before)
    actions[:] = -1.0
    assert same_bits(env.step(before)[0], twin.step(before)[0])


@pytest.mark.skipif(not COMPILED, reason="numba is switched off")
def test_no_form_of_the_actions_compiles_the_step_anew() -> None:
    """A read-only or strided array is another type to numba: seconds of compilation in the midst of a run."""
    env = BatchTradingEnv(SMOOTH, 4)
    env.reset(seed=1)
    env.step(np.zeros((4, 1)))
    signatures = len(walk_serial.signatures)  # type: ignore[attr-defined]  # a compiled kernel knows them
    forms = [
        np.zeros((4, 3))[:, :1],
        np.broadcast_to(0.5, (4, 1)),
        np.zeros(4, np.float32),
        np.zeros(4, np.int64),
        [0.1] * 4,
    ]
    for actions in forms:
        env.step(actions)  # type: ignore[arg-type]
    assert len(walk_serial.signatures) == signatures  # type: ignore[attr-defined]


def test_two_buffers_take_turns_and_hold_what_copies_hold() -> None:
    copying = BatchTradingEnv(GAPPY, 6, episode_bars=7)
    swapping = BatchTradingEnv(GAPPY, 6, episode_bars=7, copy=False)
    first, expected = swapping.reset(seed=1)[0], copying.reset(seed=1)[0]
    assert same_bits(first, expected)
    rng, seen = np.random.default_rng(2), [first]
    for _ in range(40):
        actions = rng.uniform(-1, 1, (6, 1))
        last = expected
        got, fresh = swapping.step(actions), copying.step(actions)
        expected = fresh[0]
        assert same_bits(got[0], expected)
        assert same_bits(got[1], fresh[1])
        assert same_bits(seen[-1], last), "the observation before stays intact during one step"
        assert not np.shares_memory(got[0], seen[-1])
        seen.append(got[0])
        for name in ("final_obs", "_final_obs"):
            assert (name in got[4]) == (name in fresh[4])
            assert name not in got[4] or same_bits(got[4][name], fresh[4][name])
    assert all(a is b for a, b in zip(seen, seen[2:], strict=False)), "two buffers, not more"
    assert swapping.step(np.zeros((6, 1)))[0] is seen[-2]


def test_the_final_observation_is_a_copy_that_outlives_both_buffers() -> None:
    env = BatchTradingEnv(GAPPY, 3, episode_bars=4, copy=False)
    env.reset(seed=1)
    kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for k in range(40):
        infos = env.step(np.full((3, 1), np.cos(k)))[4]
        if "final_obs" in infos:
            kept.append((infos["final_obs"], infos["final_obs"].copy()))
    assert len(kept) == 10
    assert all(same_bits(array, copy) for array, copy in kept)
    assert not same_bits(kept[0][0], kept[1][0])


def test_memory_that_nobody_holds_serves_again() -> None:
    """New arrays of a megabyte a step would cost more page faults than the step costs arithmetic."""
    env = BatchTradingEnv(SMOOTH, 4)
    env.reset(seed=1)
    addresses = {env.step(np.zeros((4, 1)))[0].ctypes.data for _ in range(30)}
    assert len(addresses) == 1
    observations, addresses = env.step(np.zeros((4, 1)))[0], set()
    for _ in range(30):  # as loops usually are: the last observation is held while the next one is made
        observations = env.step(np.zeros((4, 1)))[0]
        addresses.add(observations.ctypes.data)
    assert len(addresses) == 2


@pytest.mark.parametrize("hold", [lambda a: a, lambda a: a[2], lambda a: a[:, 3:5].T, lambda a: memoryview(a)])
@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_memory_of_which_anybody_holds_a_view_does_not(hold: Callable[[Any], Any], which: int) -> None:
    env = BatchTradingEnv(SMOOTH, 4, episode_bars=6)
    env.reset(seed=1)
    rng, held, copies = np.random.default_rng(2), [], []
    for _ in range(30):  # more than are ever kept
        array: NDArray[Any] = env.step(rng.uniform(-1, 1, (4, 1)))[:4][which]
        held.append(hold(array if which == 0 else np.broadcast_to(array[:, None], (4, 5))))  # still a view
        copies.append(np.array(held[-1]))
        del array
    assert all(same_bits(np.array(view), copy) for view, copy in zip(held, copies, strict=True))
