import re
from xml.etree import ElementTree

import numpy as np

from wavetank.experiments.pictures import (
    MOST_MARKS,
    equity_picture,
    storm_picture,
    stress_picture,
    timing_picture,
    trade_marks,
    training_picture,
)
from wavetank.experiments.plots import Line, Marks, Panel, Span, bars, chart

from .made_run import BEGAN, MINUTE, track, weather


def drawings(figure: str) -> list[ElementTree.Element]:
    """The SVG pictures in a figure, parsed: what is not well-formed fails here."""
    return ElementTree.fromstring(figure).findall(".//svg")


def points(svg: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    path = next(p for p in svg.iter("path") if p.get("class") == kind)
    return [(float(a), float(b)) for a, b in re.findall(r"([\d.]+) ([\d.]+)", path.get("d", ""))]


def ramp(role: str = "policy") -> Line:
    return Line("ours", role, np.array([0.0, 5.0, 10.0]), np.array([0.0, 1.0, 2.0]))


def test_a_line_goes_where_its_values_are() -> None:
    figure = chart([Panel([ramp()], limits=(0.0, 2.0), height=200)], title="T", alt="A", time=False)
    wide, narrow = drawings(figure)
    assert points(wide, "line policy") == [(64.0, 214.0), (424.0, 114.0), (784.0, 14.0)]
    assert narrow.get("viewBox", "").startswith("0 0 390 ")


def test_every_picture_says_in_words_what_it_shows() -> None:
    figure = chart([Panel([ramp()])], title="A <title>", alt='says "all"', time=False)
    root = ElementTree.fromstring(figure)
    picture = root.find("div")
    assert picture is not None
    assert picture.get("role") == "img"
    assert picture.get("aria-label") == 'says "all"'
    assert "".join(root.find("figcaption").itertext()).startswith("A <title>")  # type: ignore[union-attr]  # it is there


def test_lines_are_labelled_at_their_ends_and_labels_do_not_meet() -> None:
    lines = [ramp("policy"), ramp("hold"), ramp("ma_cross")]
    wide = drawings(chart([Panel(lines)], title="T", alt="A", time=False))[0]
    places = [float(t.get("y", "0")) for t in wide.iter("text") if "label" in t.get("class", "")]
    assert len(places) == 3
    assert np.min(np.diff(sorted(places))) >= 13.9


def test_bought_and_sold_point_apart() -> None:
    marks = Marks(np.array([0.0, 10.0]), np.array([0.0, 2.0]), np.array([True, False]))
    wide = drawings(chart([Panel([ramp()], marks=marks)], title="T", alt="A", time=False))[0]
    kinds = [p.get("class") for p in wide.iter("path")]
    assert (kinds.count("bought"), kinds.count("sold")) == (1, 1)


def test_a_span_outside_the_picture_is_not_drawn() -> None:
    panel = Panel([ramp()], spans=[Span(-5.0, -1.0, "before"), Span(4.0, 20.0, "storm")])
    wide = drawings(chart([panel], title="T", alt="A", time=False))[0]
    shades = list(wide.iter("rect"))
    assert len(shades) == 1
    assert float(shades[0].get("x", "0")) + float(shades[0].get("width", "0")) <= 784.0


def test_the_longest_bar_is_the_largest_value() -> None:
    wide = drawings(bars([("a", 2.0), ("b", 4.0)], title="T", alt="A", unit="s"))[0]
    widths = [float(r.get("width", "0")) for r in wide.iter("rect")]
    assert widths[1] == 2 * widths[0]


def test_trades_are_marked_where_the_position_changed() -> None:
    made = track("policy", 200)
    marks, told = trade_marks(made)
    changed = np.flatnonzero(np.diff(made.exposure)) + 1
    assert list(marks.x) == list(made.closed_at[changed])
    assert list(marks.bought) == [made.exposure[i] > made.exposure[i - 1] for i in changed]
    assert told == "Triangles are its trades: up bought, down sold."


def test_of_many_trades_the_largest_are_marked_and_the_caption_says_so() -> None:
    made = track("policy", 6000)
    marks, told = trade_marks(made)
    assert len(marks.x) == MOST_MARKS
    assert f"the {MOST_MARKS} largest of its {int(made.trades[-1] - made.trades[0])} trades" in told
    assert np.all(np.diff(marks.x) > 0)
    assert trade_marks(track("flat", 100))[1] == "It did not trade."


def test_a_storm_is_shown_around_its_onset() -> None:
    tracks = {name: track(name, 540, seed=9) for name in ("policy", "hold")}
    figure = storm_picture(tracks, weather(), title="T", caption="C")
    wide = drawings(figure)[0]
    assert "storm" in [r.get("class", "").split()[-1] for r in wide.iter("rect")]
    first = BEGAN + (4 * 60 - 60) * MINUTE
    shown = tracks["policy"].closed_at[tracks["policy"].closed_at >= first]
    fall = tracks["policy"].close[tracks["policy"].closed_at >= first]
    assert shown[0] - first < MINUTE
    assert f"{fall[:221].min() / fall[0] - 1.0:+.2%}" in figure


def test_equity_is_told_in_the_alternative_text() -> None:
    made = track("policy", 300)
    figure = equity_picture({"policy": made}, [BEGAN, BEGAN + 100 * MINUTE], "what")
    assert f"policy {made.equity[-1] / made.equity[0] - 1.0:+.2%}" in figure
    assert "window 1" in figure


def test_pictures_without_anything_to_show_are_empty() -> None:
    assert training_picture([{"step": 1, "train/loss": 2.0}]) == ""
    assert timing_picture({"steps": 4.0, "steps_per_s": 9.0}) == ""
    assert stress_picture([], "total_return") == ""


def test_all_in_all_is_no_bar_of_its_own() -> None:
    figure = timing_picture({"train_s": 3.0, "all_s": 61.4})
    assert len(list(drawings(figure)[0].iter("rect"))) == 1
    assert "61 s in all" in figure
