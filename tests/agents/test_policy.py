from itertools import pairwise

from wavetank.agents.policy import derived_seed, derived_seed32, finite_figures


def test_seeds_of_small_runs_purposes_and_workers_lie_far_apart() -> None:
    keys = [(s, p, w) for s in range(5) for p in ("episodes", "weights") for w in range(4)]
    seeds = sorted(derived_seed(*key) for key in keys)
    assert seeds[0] >= 0
    assert seeds[-1] < 2**63
    assert min(b - a for a, b in pairwise(seeds)) > 1_000_000  # no two ranges s + i of envs meet
    assert all(0 <= derived_seed32(*key) < 2**31 for key in keys)
    assert derived_seed(7, "episodes", 1) == derived_seed(7, "episodes", 1)


def test_figures_without_a_value_are_left_out_but_a_nan_loss_is_not_hidden() -> None:
    kept = finite_figures({"train/loss": float("nan"), "rollout/return": float("nan"), "train/kl": 0.1})
    assert sorted(kept) == ["train/kl", "train/loss"]
