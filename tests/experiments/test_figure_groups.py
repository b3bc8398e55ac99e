import pytest

from wavetank.experiments.figure_groups import GROUPS, KINDS, VAR_TESTS, VERSUS_GROUP, Section, sections_of
from wavetank.experiments.figures import METRICS
from wavetank.experiments.measured import measure
from wavetank.experiments.ratios import LARGEST_ANNUAL, LOSSLESS
from wavetank.experiments.versus import VERSUS

from .hand_tracks import kept_track, track_of, walk_of


def cells(sections: list[Section], title: str, label: str) -> dict[str, str]:
    (section,) = [one for one in sections if one.title == title]
    return dict(zip(section.names, dict(section.rows)[label], strict=True))


def test_every_figure_is_shown_once_under_words_of_its_own() -> None:
    shown = [figure for group in GROUPS for figure in group.figures]
    assert sorted(figure.key for figure in shown) == sorted(METRICS)
    assert sorted(figure.key for figure in VERSUS_GROUP.figures) == sorted(VERSUS)
    for group in (*GROUPS, VERSUS_GROUP):
        labels = [figure.label for figure in group.figures]
        assert len(set(labels)) == len(labels)
        assert group.note.endswith(".")


@pytest.mark.parametrize(
    "kind, value, text",
    [
        ("share", -0.0123, "−1.23%"),
        ("share", -1e-9, "0.00%"),
        ("share", LARGEST_ANNUAL, "off the scale"),
        ("share", 9_999.0, "999900.00%"),
        ("fine", -0.000123, "−0.012%"),
        ("ratio", -1.239, "−1.24"),
        ("ratio", -0.001, "0.00"),
        ("ratio", -61_850_453.0, "off the scale"),
        ("factor", LOSSLESS, "no loss"),
        ("factor", 2.5, "2.50"),
        ("money", -1234.5, "−1,234.50"),
        ("count", 12345.0, "12,345"),
        ("mean", 3.25, "3.2"),
        ("yes", 1.0, "yes"),
        ("yes", 0.0, "no"),
    ],
)
def test_a_figure_is_told_in_its_unit(kind: str, value: float, text: str) -> None:
    assert KINDS[kind](value) == text


def test_ours_comes_first_and_buy_and_hold_last() -> None:
    tracks = {"hold": walk_of(1, 400), "policy": kept_track(1, 400)[0], "flat": track_of([10_000.0] * 401)}
    sections = sections_of(measure(tracks, var_window=100))

    assert [list(section.names) for section in sections[:2]] == [["policy", "flat", "hold"]] * 2
    assert [section.title for section in sections[-2:]] == ["Against buy-and-hold", "Does the VaR hold? (Kupiec)"]
    assert list(sections[-2].names) == ["policy", "flat"]
    assert len(sections[-1].rows) == 2 * len(VAR_TESTS)


def test_cells_are_the_figures_of_their_track() -> None:
    tracks = {"policy": kept_track(1, 400)[0], "hold": track_of([10_000.0 * 1.001**i for i in range(401)])}
    measured = measure(tracks, var_window=100)
    sections = sections_of(measured)

    figures, test = measured.figures["policy"], measured.var_tests["policy"]["historical_95"]
    assert cells(sections, "Growth", "total return")["policy"] == f"{figures['total_return']:.2%}".replace("-", "−")
    assert cells(sections, "Ratios", "omega")["hold"] == "no loss"
    exceeded = cells(sections, "Does the VaR hold? (Kupiec)", "95 %, historical: exceeded")
    assert exceeded["policy"] == f"{test.violations} (15.0)"


def test_figures_of_round_trips_need_one_that_ended() -> None:
    measured = measure({"policy": kept_track(1, 400)[0], "hold": walk_of(1, 400)}, var_window=100)
    sections = sections_of(measured)

    assert cells(sections, "Round trips", "closed round trips")["hold"] == "0"
    assert cells(sections, "Round trips", "win rate")["hold"] == "–"
    assert cells(sections, "Round trips", "win rate")["policy"].endswith("%")
    assert cells(sections, "Round trips", "still open, profit")["hold"] == "0.00"


def test_a_track_too_short_for_the_window_has_no_test() -> None:
    sections = sections_of(measure({"policy": kept_track(1, 60)[0]}, var_window=100))
    assert cells(sections, "Does the VaR hold? (Kupiec)", "99 %, CF: p-value") == {"policy": "–"}
