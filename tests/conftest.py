"""What every test runs under: no telemetry, one torch thread, no clock in hypothesis; and one Ray for all of them."""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from wavetank.scripts.cli import TELEMETRY_OFF

os.environ.update(TELEMETRY_OFF)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else ray warns, and warnings are errors

# A deadline would let a busy machine fail a test; the same examples each time keep one run equal to the next.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
settings.register_profile("proof", deadline=None, max_examples=2000)  # `make proof`: fresh examples, many of them


@pytest.fixture(autouse=True)
def absl_leaves_pytest_s_stream_alone() -> None:
    """absl, which RLlib brings, closes the stream it was born with when a Hydra door resets logging: not pytest's."""
    absl = sys.modules.get("absl.logging")
    if absl is not None:
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray of two CPUs. Tests that use it are marked `ray` and `slow`."""
    rllib = pytest.importorskip("wavetank.agents.rllib", exc_type=ImportError)
    rllib.start_ray(num_cpus=2)
    yield
    rllib.stop_ray()
