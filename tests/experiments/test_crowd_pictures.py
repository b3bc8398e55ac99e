"""Pictures of a market of three bars, typed by hand, so that every corner can be worked out on paper."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from wavetank.experiments.crowd_pictures import DEPTH_BP, depth_picture, facts_line, holdings_picture, market_picture
from wavetank.experiments.watched_market import Look, Weather
from wavetank.simulators.storms import Storm

MINUTE = 60_000
NOON = 1_704_110_400_000  # 2024-01-01 12:00 UTC


def look() -> Look:
    return Look(
        market="normal, seed 1",
        symbol="CROWD",
        interval="1m",
        closed_at=NOON + MINUTE * np.arange(1.0, 4.0),
        price=np.array([100.0, 101.0, 99.0]),
        value=np.array([100.0, 100.0, 100.0]),
        spread_ticks=np.array([2.0, 4.0, 3.0]),
        volume=np.array([1.0, 5.0, 2.0]),
        quoted_share=np.array([1.0, 0.5, 1.0]),
        holdings={"noise": np.array([0.0, 2.0, 1.0]), "makers": np.array([0.0, -2.0, -1.0]), "spoofer": np.zeros(3)},
        bids=np.array([[99.9, 2.0], [99.8, 3.0], [90.0, 50.0]]),
        asks=np.array([[100.1, 1.0], [100.2, 1.0]]),
        mid=100.0,
        steps_in_bar=0,
        steps_a_bar=60,
        weather=(Weather(Storm("flash_crash", "train", 1, 0.2, 1, -1), 1, 2, 60),),
        told="",
    )


def wide(figure: str) -> ElementTree.Element:
    return ElementTree.fromstring(figure).findall(".//svg")[0]


def path(figure: str, kind: str) -> list[tuple[float, float]]:
    found = next(p for p in wide(figure).iter("path") if p.get("class") == kind)
    return [(float(a), float(b)) for a, b in re.findall(r"([\d.]+) ([\d.]+)", found.get("d", ""))]


def words(figure: str) -> list[str]:
    return [text.text or "" for text in wide(figure).iter("text")]


def test_the_book_is_added_up_from_the_mid_outwards_in_steps() -> None:
    figure = depth_picture(look())
    left, right, bottom, top = 64.0, 784.0, 184.0, 14.0  # of the wide drawing, and y of 0 and of 5.0

    def at(bp: float) -> float:
        return left + (right - left) * (bp + DEPTH_BP) / (2 * DEPTH_BP)

    def height(lots: float) -> float:
        return bottom - (bottom - top) * lots / 5.0

    corners = [(-DEPTH_BP, 5), (-20, 5), (-20, 2), (-10, 2), (-10, 0), (0, 0)]
    assert np.allclose(path(figure, "line bids"), [(at(bp), height(lots)) for bp, lots in corners], atol=0.11)
    corners = [(0, 0), (10, 0), (10, 1), (20, 1), (20, 2), (DEPTH_BP, 2)]
    assert np.allclose(path(figure, "line asks"), [(at(bp), height(lots)) for bp, lots in corners], atol=0.11)
    assert "bp" in words(figure)


def test_an_empty_side_of_the_book_lies_flat() -> None:
    figure = depth_picture(replace(look(), asks=np.zeros((0, 2))))
    assert {y for _, y in path(figure, "line asks")} == {184.0}


def test_price_value_and_trading_are_drawn_over_the_same_minutes_with_their_units() -> None:
    figure = market_picture(look())
    lines = [path(figure, f"line {kind}") for kind in ("market", "value", "spread", "quoted")]
    assert {tuple(x for x, _ in line) for line in lines} == {(64.0, 424.0, 784.0)}
    assert lines[0][1][1] < lines[0][0][1] < lines[0][2][1]  # 101 above 100 above 99
    assert {"quote per CROWD", "ticks, mean of a bar", "CROWD a bar", "of a bar, both sides quoted", "UTC"} <= set(
        words(figure)
    )


def test_a_storm_is_shaded_where_it_acts_and_paler_after_it() -> None:
    figure = market_picture(look())
    storm = next(r for r in wide(figure).iter("rect") if r.get("class") == "shade storm")
    after = next(r for r in wide(figure).iter("rect") if r.get("class") == "shade after")
    # bar 1 opens where the first closed, bar 2 one minute later, and the picture ends with the third's close
    assert (storm.get("x"), storm.get("width")) == ("64.0", "360.0")
    assert (after.get("x"), after.get("width")) == ("424.0", "360.0")
    assert "flash crash" in words(figure)


def test_cohorts_that_hold_something_have_a_line_and_the_others_none() -> None:
    figure = holdings_picture(look())
    kinds = {p.get("class") for p in wide(figure).iter("path")}
    assert {"line noise", "line makers"} <= kinds
    assert "line spoofer" not in kinds
    assert {"noise", "makers"} <= set(words(figure))


def test_the_facts_say_where_the_market_stands() -> None:
    facts = ElementTree.fromstring(facts_line(replace(look(), steps_in_bar=30)))
    told = {cell[0].text: cell[1].text for cell in facts}
    assert told["clock"] == "01 Jan 2024 12:03:30 UTC"
    assert told["finished bars"] == "3, step 30 of 60"
    assert told["off value"] == "-1.00%"
    assert told["weather"] == "after flash crash"
