import numpy as np
import pytest

from wavetank.agents.rules import RULES, Flat, Hold, MACross

COLUMNS = ("return_1", "ema_ratio", "position")
ROWS = np.array([[0.5, 0.02, 1.0], [-0.5, -0.01, 0.0], [0.0, 0.0, -1.0]], np.float32)


def test_flat_holds_nothing_and_hold_holds_all() -> None:
    assert Flat(COLUMNS).act(ROWS).action.tolist() == [[0.0], [0.0], [0.0]]
    assert Hold(COLUMNS).act(ROWS).action.tolist() == [[1.0], [1.0], [1.0]]


def test_cross_follows_the_sign_of_its_named_column_wherever_it_stands() -> None:
    assert MACross(COLUMNS).act(ROWS).action.tolist() == [[1.0], [-1.0], [0.0]]
    moved = MACross(("ema_ratio", "return_1", "position")).act(ROWS[:, [1, 0, 2]])
    assert moved.action.tolist() == [[1.0], [-1.0], [0.0]]


def test_discrete_rules_answer_the_index_of_short_flat_long() -> None:
    assert MACross(COLUMNS, kind="discrete").act(ROWS).action.tolist() == [[2.0], [0.0], [1.0]]


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_decides_like_any_policy(name: str) -> None:
    decision = RULES[name](COLUMNS).act(ROWS[0])
    assert decision.action.shape == (1, 1)
    assert decision.action.dtype == decision.confidence.dtype == decision.value.dtype == np.float32
    assert decision.confidence.tolist() == [1.0]
    assert decision.state is None


def test_cross_without_its_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="needs the column 'ema_ratio'"):
        MACross(("return_1", "position"))


def test_cross_refuses_a_column_that_is_no_number() -> None:
    rows = ROWS.copy()
    rows[1, 1] = np.nan
    with pytest.raises(ValueError, match="column 'ema_ratio' is nan"):
        MACross(COLUMNS).act(rows)


def test_observations_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit a rule of 3 columns"):
        Flat(COLUMNS).act(ROWS[:, :2])
