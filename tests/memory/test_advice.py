"""Advice against numbers worked on paper, its monotony, its calibration and its blindness to the future."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.memory.walks import HOUR_MS, splice, walk

from wavetank.memory.advice import LEVELS, REGIMES, Advice, advise, level_of, neighbours_of, wilson
from wavetank.memory.calibration import Calibration
from wavetank.memory.embed import Embedder
from wavetank.memory.moments import Moments, PastError, forward_outcomes, moments_of
from wavetank.memory.recall import nearest_as_of
from wavetank.memory.rule_returns import RULES, RuleReturns
from wavetank.memory.store import Neighbour, Payload

HORIZON, K, STOP = 6, 10, 1600
BARS = walk(2000, seed=5, gap_at=1700)
EMBEDDER = Embedder.fit(BARS, STOP, window=32, width=12)
MOMENTS = moments_of(BARS, EMBEDDER, HORIZON)
UNTIL = int(BARS.closed_at[STOP - 1])
PAPER = Calibration(
    embedder="e", interval_ms=HOUR_MS, neighbours=10, horizon=HORIZON, embargo=32, fitted_until=0, moments=900,
    alarm_rate=0.01, anomaly=0.5, deep_fall=0.05, base_rate=0.1, shrinkage=8.0, stormy=0.02, rising=0.01, falling=-0.01,
    novelty=tuple(np.linspace(0.0, 0.5, 1001).tolist()),
)  # fmt: skip


def witness(
    identity: int, similarity: float = 0.9, gain: float = 0.0, fall: float = 0.0, volatility: float = 0.01
) -> Neighbour:
    payload = Payload(
        known=1, symbol="X", closed_at=0, forward_return=gain, forward_drawdown=fall, forward_volatility=volatility
    )
    return Neighbour(identity, similarity, np.zeros(2, np.float32), payload)


def fitted(moments: Moments = MOMENTS) -> Calibration:
    return Calibration.fit(moments, EMBEDDER, interval_ms=HOUR_MS, horizon=HORIZON, until=UNTIL, k=K)


def told(moments: Moments, row: int, rules: RuleReturns, calibration: Calibration) -> Advice:
    found = nearest_as_of(
        moments.vectors,
        moments.known_at,
        moments.vectors[row : row + 1],
        moments.closed_at[row : row + 1],
        k=K,
        embargo=32 * HOUR_MS,
        episode=moments.episodes(HORIZON * HOUR_MS),
    )
    return advise(neighbours_of(moments, found[0][0], found[1][0]), calibration, rules)


def test_eight_equal_witnesses_give_the_numbers_worked_on_paper() -> None:
    """Two of eight fell deeply, three stormed, two rose, one fell, two stood still; every weight is 1/8."""
    eight = [
        witness(0, gain=-0.08, fall=0.09, volatility=0.03),
        witness(1, gain=-0.02, fall=0.06, volatility=0.03),
        witness(2, gain=0.05, fall=0.01, volatility=0.03),
        witness(3, gain=0.02),
        witness(4, gain=0.03),
        witness(5, gain=-0.02, fall=0.05),  # exactly at the threshold is not above it
        witness(6),
        witness(7, gain=0.001),
    ]
    said = advise(eight, PAPER)
    assert said.risk == pytest.approx((8 * 2 / 8 + 8 * 0.1) / 16)
    assert said.level == "high"  # 0.175 is 1.75 times 0.1
    assert said.effective_k == pytest.approx(8)
    assert said.regimes == pytest.approx((3 / 8, 1 / 8, 2 / 8, 2 / 8))
    assert said.regime == "stormy"
    assert said.novelty == pytest.approx(0.1, abs=1e-7)
    assert not said.anomaly
    assert said.novelty_rank == pytest.approx(0.2, abs=0.002)
    assert said.rule is None
    assert said.rules == ()


def test_the_nearer_witness_weighs_more() -> None:
    """A similarity 0.1 lower weighs 1/e: one near faller among seven far ones holds e / (e + 7) of the weight."""
    eight = [witness(0, 0.9, fall=0.2), *(witness(i, 0.8) for i in range(1, 8))]
    share, total = math.e / (math.e + 7), math.e + 7
    effective = total**2 / (math.e**2 + 7)
    said = advise(eight, PAPER)
    assert said.effective_k == pytest.approx(effective, rel=1e-5)
    assert said.risk == pytest.approx((effective * share + 0.8) / (effective + 8), rel=1e-5)


def test_the_rule_that_earned_most_is_named_with_its_interval() -> None:
    ids = np.arange(8)
    gains = np.array([0.02, 0.02, 0.02, 0.02, -0.01, -0.01, 0.0, 0.0])
    signs = np.array([1.0, 1, 1, -1, -1, -1, 1, 1])
    positions = np.stack([0 * signs, 0 * signs + 1, 0 * signs - 1, signs, -signs], axis=1)
    table = RuleReturns(32, HORIZON, 10.0, ids, positions * gains[:, None] - 0.001 * np.abs(positions))
    said = advise([witness(i) for i in range(8)], PAPER, table)
    by_name = {standing.rule: standing for standing in said.rules}
    assert [standing.rule for standing in said.rules] == list(RULES)
    assert by_name["long"].mean_return == pytest.approx(0.06 / 8 - 0.001)
    assert by_name["trend"].mean_return == pytest.approx(0.06 / 8 - 0.001)  # three ups and two downs caught, one missed
    assert by_name["flat"].won == pytest.approx(2 / 8)
    assert by_name["trend"].won == pytest.approx(5 / 8)
    assert said.rule in ("long", "trend")
    assert said.confidence == by_name[said.rule].won
    assert (by_name["flat"].low, by_name["flat"].high) == pytest.approx(wilson(2 / 8, 8))


def test_wilsons_interval_holds_the_shares_that_the_count_does_not_refuse() -> None:
    """Its ends p solve |share − p| = z · sqrt(p (1 − p) / n), which a grid of p finds without its formula."""
    grid = np.linspace(0.0, 1.0, 100_001)
    for share, count in ((0.0, 8.0), (0.25, 8.0), (0.7, 11.3), (1.0, 16.0)):
        held = grid[np.abs(share - grid) <= 2.576 * np.sqrt(grid * (1 - grid) / count) + 1e-12]
        assert wilson(share, count) == pytest.approx((held[0], held[-1]), abs=2e-5)


def test_what_the_rules_earned_is_worked_from_the_bars() -> None:
    table = RuleReturns.of(BARS, 32, HORIZON, cost_bps=20.0)
    assert len(table) == len(MOMENTS)
    outcome = forward_outcomes(BARS, HORIZON)
    for row in (31, 500, 1693, 1731):
        identity = int(MOMENTS.id[0]) + int((BARS.opened_at[row] - BARS.opened_at[31]) // HOUR_MS)
        gross = math.exp(float(outcome[row, 0])) - 1.0
        trend = 1.0 if BARS.close[row] > BARS.close[row - 31] else -1.0
        expected = [0.0, gross - 0.002, -gross - 0.002, trend * gross - 0.002, -trend * gross - 0.002]
        np.testing.assert_allclose(table.rows([identity])[0], expected, atol=1e-12)
    with pytest.raises(PastError, match="is not known: add its bars"):
        table.rows([int(MOMENTS.id[0]) - 1])  # its window is not whole


def test_rule_returns_grow_by_later_bars_and_survive_the_disk(tmp_path: Path) -> None:
    whole = RuleReturns.of(BARS, 32, HORIZON)
    grown = RuleReturns.of(BARS.slice(0, 900), 32, HORIZON).joined(RuleReturns.of(BARS.slice(800, 2000), 32, HORIZON))
    assert len(grown) < len(whole) + 1
    np.testing.assert_array_equal(grown.returns, whole.rows(grown.ids.tolist()))
    grown.save(tmp_path / "r.npz")
    again = RuleReturns.load(tmp_path / "r.npz")
    assert (again.window, again.horizon, again.cost_bps) == (32, HORIZON, 10.0)
    np.testing.assert_array_equal(again.ids, grown.ids)
    np.testing.assert_array_equal(again.returns, grown.returns)
    with pytest.raises(PastError, match="cannot join"):
        grown.joined(RuleReturns.of(BARS, 32, HORIZON + 1))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "r.npz").read_bytes()[:-40])
    for name, sentence in (("torn.npz", "cannot be read"), ("none.npz", "there are no rule returns")):
        with pytest.raises(PastError, match=sentence):
            RuleReturns.load(tmp_path / name)


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-0.3, 0.3), st.floats(0, 0.9), st.floats(0, 0.1)),
        min_size=8,
        max_size=10,
    ),
    st.integers(0, 7),
    st.floats(0.0, 0.5),
)
def test_a_deeper_fall_never_lowers_the_risk_and_all_shares_stay_within_bounds(
    rows: list[tuple[float, float, float, float]], deeper: int, by: float
) -> None:
    some = [witness(i, *row) for i, row in enumerate(sorted(rows, reverse=True))]
    said = advise(some, PAPER)
    assert 0.0 < said.risk < 1.0
    assert sum(said.regimes) == pytest.approx(1.0)
    assert 1.0 - 1e-9 <= said.effective_k <= len(some) + 1e-9
    payload = some[deeper].payload
    worse = Payload(**{**payload, "forward_drawdown": payload["forward_drawdown"] + by})
    some[deeper] = some[deeper]._replace(payload=worse)
    assert advise(some, PAPER).risk >= said.risk


def test_levels_rise_with_the_score_and_an_anomaly_is_never_calm() -> None:
    names = [name for name, _ in LEVELS]
    assert [level_of(risk, 0.25) for risk in (0.0, 0.249, 0.25, 0.374, 0.375, 0.499, 0.5, 1.0)] == [
        names[at] for at in (0, 0, 1, 1, 2, 2, 3, 3)
    ]
    assert level_of(0.01, 0.1, anomaly=True) == "watchful"
    assert level_of(0.3, 0.1, anomaly=True) == "extreme"
    strange = advise([witness(i, 0.45) for i in range(8)], PAPER)
    assert strange.anomaly
    assert strange.level == "watchful"
    assert strange.novelty_rank == 1.0


def test_too_few_or_wrong_witnesses_give_a_sentence_and_no_calm_answer() -> None:
    with pytest.raises(PastError, match="only 7 outcomes are known, 8 are needed"):
        advise([witness(i) for i in range(7)], PAPER)
    with pytest.raises(PastError, match="11 neighbours came to a calibration for 10"):
        advise([witness(i) for i in range(11)], PAPER)
    with pytest.raises(PastError, match="NaN or infinity"):
        advise([*(witness(i) for i in range(7)), witness(7, fall=math.nan)], PAPER)
    bare = Neighbour(7, 0.5, np.zeros(2, np.float32), Payload(known=77))
    with pytest.raises(PastError, match="known at 77 carries no forward_return"):
        advise([*(witness(i) for i in range(7)), bare], PAPER)
    with pytest.raises(PastError, match="over 7 bars, the calibration over 6"):
        advise([witness(i) for i in range(8)], PAPER, RuleReturns.of(BARS, 32, HORIZON + 1))


def test_a_calibration_is_what_a_plain_loop_over_the_training_slice_finds() -> None:
    calibration = fitted()
    episodes = MOMENTS.episodes(HORIZON * HOUR_MS)
    novelties, falls = [], []
    for row in np.flatnonzero(MOMENTS.known_at <= UNTIL).tolist():
        visible = np.flatnonzero(MOMENTS.known_at <= MOMENTS.closed_at[row] - 32 * HOUR_MS)
        best: dict[int, float] = {}
        for other in visible.tolist():
            value = float(MOMENTS.vectors[other].astype(float) @ MOMENTS.vectors[row].astype(float))
            best[int(episodes[other])] = max(best.get(int(episodes[other]), -2.0), value)
        if len(best) >= 8:
            novelties.append(1.0 - float(np.mean(sorted(best.values())[-K:])))
            falls.append(float(MOMENTS.forward_drawdown[row]))
    last = np.sort(novelties[int(0.75 * len(novelties)) :])
    assert calibration.moments == len(novelties)
    assert calibration.anomaly == pytest.approx(last[math.ceil(0.99 * (len(last) + 1)) - 1], abs=1e-6)
    assert np.mean(last > calibration.anomaly + 1e-6) <= 0.01
    assert np.mean(np.array(falls) > calibration.deep_fall) == pytest.approx(calibration.base_rate)
    assert calibration.base_rate == pytest.approx(0.1, abs=0.001)
    assert calibration.embargo == 32
    named = MOMENTS.forward_volatility[MOMENTS.known_at <= UNTIL][-len(falls) :] > calibration.stormy
    assert named.mean() == pytest.approx(0.25, abs=0.001)


def test_nothing_after_the_training_slice_enters_a_calibration() -> None:
    other = moments_of(splice(BARS, walk(2000, seed=77), STOP), EMBEDDER, HORIZON)
    assert not np.array_equal(other.forward_return, MOMENTS.forward_return)
    assert fitted(other).__dict__ == fitted().__dict__


def test_another_future_leaves_advice_bit_identical() -> None:
    """Bars behind the asked close are another walk's: other outcomes, other vectors, other rule returns."""
    calibration, asked = fitted(), 1800
    row = int(np.flatnonzero(MOMENTS.closed_at == BARS.closed_at[asked])[0])
    other = splice(BARS, walk(2000, seed=78), asked + 1)
    changed = moments_of(other, EMBEDDER, HORIZON)
    assert changed.forward_return[row] != MOMENTS.forward_return[row]
    first = told(MOMENTS, row, RuleReturns.of(BARS, 32, HORIZON), calibration)
    again = told(changed, row, RuleReturns.of(other, 32, HORIZON), calibration)
    assert json.dumps(first.to_json()) == json.dumps(again.to_json())
    assert len({told(MOMENTS, r, RuleReturns.of(BARS, 32, HORIZON), calibration).risk for r in range(1500, 1520)}) > 3


def test_a_calibration_survives_the_disk_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    file, calibration = tmp_path / "calibration.json", fitted()
    calibration.save(file)
    assert Calibration.load(file).__dict__ == calibration.__dict__
    calibration.check(embedder=EMBEDDER.digest, neighbours=K, horizon=HORIZON)
    with pytest.raises(PastError, match="is of neighbours 10, not 16"):
        calibration.check(embedder=EMBEDDER.digest, neighbours=16, horizon=HORIZON)
    held = json.loads(file.read_text())
    wrong: list[tuple[object, str]] = [
        ({**held, "format": 9}, "another format"),
        ({**held, "extra": 1}, "lacks or adds extra"),
        ({**held, "novelty": held["novelty"][:-1]}, "rising quantiles of novelty, not 1000"),
        ({**held, "stormy": math.nan}, "NaN or infinity"),
        ({**held, "moments": "many"}, "cannot be read"),
        ([1], "cannot be read"),
    ]
    for content, sentence in wrong:
        file.write_text(json.dumps(content))
        with pytest.raises(PastError, match=sentence):
            Calibration.load(file)
    with pytest.raises(PastError, match="there is no calibration at"):
        Calibration.load(tmp_path / "none.json")


def test_a_calibration_wants_enough_moments_and_a_rate_that_they_can_show() -> None:
    with pytest.raises(PastError, match="a calibration needs 500"):
        Calibration.fit(MOMENTS, EMBEDDER, interval_ms=HOUR_MS, horizon=HORIZON, until=int(BARS.closed_at[400]), k=K)
    with pytest.raises(PastError, match="too few for an alarm rate of 0.0001"):
        Calibration.fit(MOMENTS, EMBEDDER, interval_ms=HOUR_MS, horizon=HORIZON, until=UNTIL, k=K, alarm_rate=0.0001)
    with pytest.raises(PastError, match="alarm rate 0.7 must lie"):
        Calibration.fit(MOMENTS, EMBEDDER, interval_ms=HOUR_MS, horizon=HORIZON, until=UNTIL, k=K, alarm_rate=0.7)


def test_the_json_form_names_regimes_and_rules() -> None:
    told_json = advise([witness(i) for i in range(8)], PAPER).to_json()
    assert set(told_json["regimes"]) == set(REGIMES)
    assert told_json["rules"] == {}
    row = int(np.flatnonzero(MOMENTS.closed_at == BARS.closed_at[1500])[0])
    full = told(MOMENTS, row, RuleReturns.of(BARS, 32, HORIZON), fitted())
    said = json.loads(json.dumps(full.to_json()))
    assert list(said["rules"]) == list(RULES)
    assert said["rules"][said["rule"]]["won"] == said["confidence"]
