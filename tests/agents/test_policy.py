from itertools import pairwise

import pytest

from wavetank.agents.policy import PPOConfig, derived_seed, derived_seed32, finite_figures


@pytest.mark.parametrize(
    ("key", "value"),
    [("gamma", 1.5), ("learning_rate", float("nan")), ("minibatch", 1), ("activation", "gelu"), ("hidden", (64, 0))],
)
def test_a_value_out_of_range_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"ppo: {key} .*(must be|is not)"):
        PPOConfig(**{key: value})  # type: ignore[arg-type]  # each key has its own type


def test_hidden_widths_of_a_config_file_become_a_tuple() -> None:
    assert PPOConfig(hidden=[32, 16]).hidden == (32, 16)  # type: ignore[arg-type]  # YAML gives a list


def test_a_minibatch_that_leaves_a_rest_is_refused_with_the_numbers() -> None:
    assert PPOConfig(rollout=8, minibatch=16).check_batch(4) == 32
    with pytest.raises(ValueError, match="minibatch 16 does not divide rollout 8 x 3 envs = 24"):
        PPOConfig(rollout=8, minibatch=16).check_batch(3)


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
