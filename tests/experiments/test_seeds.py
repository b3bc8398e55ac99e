import numpy as np
import pytest

from wavetank.envs.batch import BatchTradingEnv
from wavetank.experiments.seeds import ROLES, derive_seed, role_rng

from .made_bars import wandering

WORKERS, ENVS, RUN_SEEDS = 4, 1024, (1, 2, 3, 4, 5)


def test_no_two_first_episodes_of_five_runs_share_a_stream() -> None:
    bases = [derive_seed(seed, "train", worker=worker) for seed in RUN_SEEDS for worker in range(WORKERS)]
    env = BatchTradingEnv(wandering(200), ENVS)
    streams = []
    for base in bases:
        env.reset(seed=base)
        streams.append(env.episodes.running.streams.copy())
    found = np.concatenate(streams)

    assert len(np.unique(found)) == len(RUN_SEEDS) * WORKERS * ENVS


def test_neighbouring_small_seeds_would_share_streams() -> None:
    env = BatchTradingEnv(wandering(200), 8)
    env.reset(seed=1)
    first = env.episodes.running.streams.copy()
    env.reset(seed=2)

    assert set(first) & set(env.episodes.running.streams)  # why nobody passes a run's own seed to an env


def test_every_role_fold_and_worker_has_its_own_seed() -> None:
    seeds = {
        derive_seed(seed, role, fold, worker)
        for seed in range(5)
        for role in ROLES
        for fold in range(4)
        for worker in range(4)
    }

    assert len(seeds) == 5 * len(ROLES) * 4 * 4


def test_a_seed_is_the_documented_sequence_of_run_role_fold_and_worker() -> None:
    expected = int(np.random.SeedSequence([7, 3, 2, 1]).generate_state(1, np.uint64)[0])

    assert derive_seed(7, "stress", fold=2, worker=1) == expected
    assert role_rng(7, "stress", 2, 1).random() == np.random.default_rng(expected).random()


def test_an_unknown_role_and_a_negative_seed_are_refused() -> None:
    with pytest.raises(ValueError, match="no seed role 'tset'"):
        derive_seed(1, "tset")
    with pytest.raises(ValueError, match="fold -1"):
        derive_seed(1, "test", fold=-1)
