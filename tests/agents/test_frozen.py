"""The frozen policy: what it answers, row by row and in a batch, with and without a state."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.graph import Graph
from wavetank.agents.policy import Decision

from .passports import BARS, KINDS, NETWORKS, UNITS, WIDTH, random_rows

RECURRENT = ("recurrent", "both")
STATE = 2 * UNITS


@pytest.fixture(scope="module")
def policies(passports: dict[str, Path]) -> dict[str, FrozenPolicy]:
    return {kind: FrozenPolicy.load(folder) for kind, folder in passports.items()}


@pytest.fixture
def recurrent(policies: dict[str, FrozenPolicy]) -> FrozenPolicy:
    return policies["recurrent"]


def drawn_state(n: int) -> np.ndarray:
    return np.tanh(np.random.default_rng(5).standard_normal((n, STATE))).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_passport_loads_and_decides(passports: dict[str, Path], policies: dict[str, FrozenPolicy], kind: str) -> None:
    policy, network = policies[kind], NETWORKS[kind]
    decision = policy.act(random_rows(3, *policy.shape))
    assert decision.action.shape == (3, 1)
    assert decision.confidence.shape == decision.value.shape == (3,)
    assert (policy.shape, policy.state_size) == (network.shape, network.state_size)
    assert policy.width == WIDTH
    assert policy.folder == passports[kind]
    assert policy.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    if network.state_size:
        assert decision.state is not None
        assert decision.state.shape == (3, STATE)
    else:
        assert decision.state is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_answered_like_its_rows_to_the_last_bit(policies: dict[str, FrozenPolicy], kind: str) -> None:
    policy = policies[kind]
    rows = random_rows(777, *policy.shape)
    given: list[Any] = [None, None]
    if policy.state_size:
        given = [drawn_state(777), np.random.default_rng(6).random(777) < 0.3]
    singles = [policy.act(rows[i], *(part if part is None else part[i : i + 1] for part in given)) for i in range(777)]
    assert np.ptp([one.action[0, 0] for one in singles]) > 0.1  # a constant would agree as well
    for size in (2, 3, 5, 16, 64, 777):
        batch = policy.act(rows[:size], *(part if part is None else part[:size] for part in given))
        for got, ones in zip(batch, zip(*singles[:size], strict=True), strict=True):
            assert got is None or np.array_equal(got, np.concatenate(ones))


@pytest.mark.parametrize("kind", ["box", "recurrent"])
def test_a_machine_whose_batches_differ_runs_rows_singly(
    passports: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Graph.batch

    def nudged(self: Graph, *given: Any) -> Decision:
        parts = [None if part is None else np.nextafter(part, np.float32(9)) for part in whole(self, *given)]
        return Decision._make(parts)

    monkeypatch.setattr(Graph, "batch", nudged)
    policy = FrozenPolicy.load(passports[kind])
    rows = random_rows(20)
    kept = drawn_state(20) if policy.state_size else None
    starts = np.arange(20) % 4 == 0 if policy.state_size else None
    batch = policy.act(rows, kept, starts)
    for i in range(20):
        one = policy.act(rows[i], None if kept is None else kept[i], None if starts is None else starts[i : i + 1])
        for got, want in zip(batch, one, strict=True):
            assert got is None or np.array_equal(got[i : i + 1], want)  # type: ignore[arg-type]  # both have a state


@pytest.mark.parametrize("kind", RECURRENT)
def test_without_a_state_every_row_starts_and_a_start_forgets_the_state(
    policies: dict[str, FrozenPolicy], kind: str
) -> None:
    policy, rows = policies[kind], random_rows(6, *policies[kind].shape)
    fresh = policy.act(rows)
    kept, every = drawn_state(6), np.ones(6, np.bool_)
    for same in (policy.act(rows, kept, every), policy.act(rows, 0 * kept), policy.act(rows, None, ~every)):
        for got, want in zip(same, fresh, strict=True):
            assert np.array_equal(got, want)  # type: ignore[arg-type]  # a recurrent policy has a state
    assert not np.array_equal(policy.act(rows, kept).value, fresh.value)
    some = policy.act(rows, kept, np.arange(6) < 2)
    assert np.array_equal(some.value[:2], fresh.value[:2])
    assert np.array_equal(some.value[2:], policy.act(rows, kept).value[2:])


def test_a_state_may_come_as_it_left_or_as_one_row(recurrent: FrozenPolicy) -> None:
    rows = random_rows(2)
    first = recurrent.act(rows[0])
    assert first.state is not None
    kept = first.state.copy()
    whole, flat = recurrent.act(rows[1], first.state), recurrent.act(rows[1], first.state[0])
    assert np.array_equal(whole.value, flat.value)
    assert np.array_equal(first.state, kept)  # the caller's own: later calls leave it alone


def test_decisions_belong_to_the_caller(recurrent: FrozenPolicy) -> None:
    rows = random_rows(2)
    first = recurrent.act(rows[0])
    kept = [part.copy() for part in first if part is not None]
    recurrent.act(rows[1], first.state)
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))  # type: ignore[arg-type]  # no part is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_is_not_finite_is_refused_with_its_place(policies: dict[str, FrozenPolicy], kind: str) -> None:
    policy = policies[kind]
    bar = ", bar 0" if len(policy.shape) == 2 else ""
    for bad in (np.nan, np.inf):
        rows = random_rows(3, *policy.shape)
        rows[1, ..., 2] = bad
        with pytest.raises(ValueError, match=f"observation 1{bar}, column 2 is {bad}"):
            policy.act(rows)
        with pytest.raises(ValueError, match=f"observation 0{bar}, column 2 is {bad}"):
            policy.act(rows[1])


def test_a_state_that_is_not_finite_is_refused_with_its_place(recurrent: FrozenPolicy) -> None:
    kept = drawn_state(3)
    kept[2, 7] = np.nan
    with pytest.raises(ValueError, match="state 2, column 7 is nan"):
        recurrent.act(random_rows(3), kept)
    with pytest.raises(ValueError, match="state 0, column 7 is nan"):
        recurrent.act(random_rows(1), kept[2])


@pytest.mark.parametrize("shape", [(WIDTH + 1,), (2, WIDTH + 1), (1, 2, WIDTH), (0, WIDTH), ()])
def test_observations_of_another_shape_are_refused(policies: dict[str, FrozenPolicy], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit a policy of 5 columns"):
        policies["box"].act(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(WIDTH,), (3, WIDTH), (BARS + 1, WIDTH), (2, BARS, WIDTH + 1), (0, BARS, WIDTH)])
def test_windows_of_another_shape_are_refused(policies: dict[str, FrozenPolicy], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not fit a policy of 6 bars of 5 columns"):
        policies["windowed"].act(np.zeros(shape, np.float32))


@pytest.mark.parametrize("n", [1, 3])
def test_a_state_of_another_shape_or_for_another_number_of_rows_is_refused(recurrent: FrozenPolicy, n: int) -> None:
    rows = random_rows(n)
    for shape in ((n, STATE + 1), (n + 1, STATE), (STATE + 1,)):
        with pytest.raises(ValueError, match=r"a state of shape .* does not fit"):
            recurrent.act(rows, np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=r"starts of shape \(5,\) do not fit"):
        recurrent.act(rows, np.zeros((n, STATE), np.float32), np.zeros(5, np.bool_))


@pytest.mark.parametrize("n", [1, 3])
def test_a_state_for_a_stateless_policy_is_refused_and_starts_are_not_heeded(
    policies: dict[str, FrozenPolicy], n: int
) -> None:
    policy, rows = policies["box"], random_rows(n)
    with pytest.raises(ValueError, match="keeps no state"):
        policy.act(rows, np.zeros((n, 3), np.float32))
    assert np.array_equal(policy.act(rows, None, np.ones(n, np.bool_)).action, policy.act(rows).action)


@pytest.mark.parametrize("kind", ["box", "both"])
def test_loading_and_acting_needs_no_trainer_and_no_exporter(passports: dict[str, Path], kind: str) -> None:
    code = (
        "import sys, numpy as np\n"
        "from wavetank.agents.frozen import FrozenPolicy\n"
        f"policy = FrozenPolicy.load({str(passports[kind])!r})\n"
        "print(policy.act(np.zeros(policy.shape, np.float32)).action.shape)\n"
        "heavy = {'torch', 'onnx', 'stable_baselines3', 'ray', 'gymnasium', 'numba', 'pandas', 'cryptography'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["(1, 1)", "[]"]
