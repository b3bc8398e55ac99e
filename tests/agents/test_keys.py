import math

import pytest

from wavetank.agents.keys import PPOConfig, SACConfig


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gamma", 1.5),
        ("learning_rate", float("nan")),
        ("learning_rate_end", -1.0),
        ("minibatch", 1),
        ("activation", "gelu"),
        ("hidden", (64, 0)),
        ("encoder", "attention"),
        ("conv_channels", (0,)),
        ("schedule", "step"),
        ("device", "tpu"),
        ("lstm", -1),
        ("target_kl", 0.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"ppo: {key} .*(must be|is not)"):
        PPOConfig(**{key: value})  # type: ignore[arg-type]  # each key has its own type


@pytest.mark.parametrize(("key", "value"), [("tau", 1.5), ("entropy", "none"), ("entropy", -0.1), ("buffer", 0)])
def test_so_are_sac_s(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"sac: {key} .*must be"):
        SACConfig(**{key: value})  # type: ignore[arg-type]  # as above


def test_hidden_widths_of_a_config_file_become_a_tuple() -> None:
    assert PPOConfig(hidden=[32, 16]).hidden == (32, 16)  # type: ignore[arg-type]  # YAML gives a list


def test_a_minibatch_that_leaves_a_rest_is_refused_with_the_numbers() -> None:
    assert PPOConfig(rollout=8, minibatch=16).check_batch(4) == 32
    with pytest.raises(ValueError, match="minibatch 16 does not divide rollout 8 x 3 envs = 24"):
        PPOConfig(rollout=8, minibatch=16).check_batch(3)


def test_rates_stay_where_no_end_is_given() -> None:
    keys = PPOConfig(learning_rate=1e-3, clip=0.3, entropy=0.1)
    assert not keys.is_scheduled
    assert keys.rates(0) == keys.rates(10**9) == (1e-3, 0.3, 0.1)


def test_a_linear_schedule_is_a_line_and_stays_at_its_end() -> None:
    keys = PPOConfig(learning_rate=1e-3, learning_rate_end=0.0, clip=0.2, clip_end=0.1, horizon=1000)
    assert keys.rates(0) == (1e-3, 0.2, 0.0)
    assert keys.rates(250).learning_rate == pytest.approx(0.75e-3)
    assert keys.rates(500).clip == pytest.approx(0.15)
    assert keys.rates(1000).learning_rate == keys.rates(5000).learning_rate == 0.0


def test_a_cosine_schedule_is_half_a_wave() -> None:
    keys = PPOConfig(entropy=0.4, entropy_end=0.0, schedule="cosine", horizon=1000)
    assert [keys.rates(steps).entropy for steps in (0, 250, 500, 1000)] == pytest.approx(
        [0.4, 0.2 * (1 + math.cos(math.pi / 4)), 0.2, 0.0]
    )


def test_a_schedule_without_a_horizon_is_refused() -> None:
    with pytest.raises(ValueError, match="a schedule needs a horizon"):
        PPOConfig(clip_end=0.1)


def test_threads_are_one_for_small_minibatches_and_as_asked_otherwise() -> None:
    assert PPOConfig(minibatch=256).chosen_threads == 1
    assert PPOConfig(minibatch=256, threads=3).chosen_threads == 3
    assert PPOConfig(minibatch=4096).chosen_threads == PPOConfig(minibatch=8192).chosen_threads >= 1
