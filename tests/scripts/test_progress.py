import contextlib
import io

import pytest
from rich.console import Console

from wavetank.scripts.progress import EVERY_S, StepsBar, StepsLines, count_bar, figures_told, steps_bar, turns_bar

ALL = {
    "train/loss": 0.5,
    "train/kl": 0.00412,
    "train/entropy": 1.4189,
    "rollout/return": -0.0123,
    "time/steps_per_second": 45_234.0,
    "validation/sharpe": 1.234,
    "validation/max_drawdown": 0.2,
}


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines(clock: Clock, total: int = 1000) -> tuple[StepsLines, io.StringIO]:
    out = io.StringIO()
    return StepsLines(Console(file=out, width=40), "sb3 on history", total, "sharpe", clock), out


def live(width: int, *updates: dict[str, float]) -> str:
    """The last frame of a live line of 1,000,000 steps, without its colours."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    bar = StepsBar(console, "sb3 on history", 1_000_000, "sharpe")
    for i, values in enumerate(updates, 1):
        bar.on_update(100_000 * i, values)
    bar.stop()
    frames = [part for part in out.getvalue().replace("\x1b[2K", "\r").split("\r") if "sb3 on" in part]
    return frames[-1].split("\x1b")[0].split("\n")[0]


def test_the_figures_are_told_in_the_order_of_their_weight() -> None:
    assert figures_told(ALL, "sharpe") == ["45.2k/s", "return -0.0123", "sharpe +1.23", "KL 0.0041", "entropy 1.42"]
    assert figures_told(ALL, "max_drawdown")[2] == "max drawdown +0.2"


@pytest.mark.parametrize("missing", ALL)
def test_a_figure_that_is_missing_is_left_out(missing: str) -> None:
    rest = {key: value for key, value in ALL.items() if key != missing}
    shown = figures_told(rest, "sharpe")

    assert len(shown) == (5 if missing in ("train/loss", "validation/max_drawdown") else 4)
    assert set(shown) <= set(figures_told(ALL, "sharpe"))
    assert figures_told({}, "sharpe") == []


def test_a_terminal_shows_one_line_with_bar_steps_figures_and_time_to_go() -> None:
    line = live(140, ALL, ALL)

    assert line.startswith("sb3 on history ━")
    assert "200,000/1,000,000 45.2k/s  return -0.0123  sharpe +1.23  KL 0.0041  entropy 1.42 0:" in line
    assert len(line) <= 140


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_shows_fewer_figures_and_never_half_of_one(width: int) -> None:
    line = live(width, {"train/loss": 1.0}, ALL)

    assert "…" not in line
    assert "200,000/1,000,000" in line
    assert len(line) <= width
    shown = [part for part in figures_told(ALL, "sharpe") if part in line]
    assert shown == figures_told(ALL, "sharpe")[: len(shown)]
    assert len(shown) == {60: 1, 80: 2, 100: 4}[width]


def test_without_a_terminal_a_line_is_printed_every_ten_seconds_and_at_the_end() -> None:
    clock = Clock()
    bar, out = lines(clock)
    for step in range(1, 1001):  # a thousand updates in a hundred seconds
        clock.now += 0.1
        bar.on_update(step, ALL | {"time/steps_per_second": 10.0})
    bar.stop()

    told = out.getvalue().splitlines()
    assert 10 <= len(told) <= 1 + 100 / EVERY_S
    assert told[0] == (
        "sb3 on history  100/1,000  10/s  return -0.0123  sharpe +1.23  KL 0.0041  entropy 1.42  0:01:30 to go"
    )
    assert told[-1].startswith("sb3 on history  1,000/1,000  10/s")
    assert "to go" not in told[-1]


def test_a_short_training_prints_its_end_once_and_a_wrong_input_nothing() -> None:
    bar, out = lines(Clock())
    bar.on_update(512, {})
    bar.on_update(1000, {})
    assert out.getvalue() == ""
    bar.stop()
    assert out.getvalue() == "sb3 on history  1,000/1,000\n"

    untouched, silent = lines(Clock())
    untouched.stop()
    assert silent.getvalue() == ""


def test_a_pipe_gets_plain_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with steps_bar("sb3 on [arena]", 512) as bar:
        bar.on_update(512, {"rollout/return": 0.5})
    told = capsys.readouterr()

    assert told.err == "sb3 on [arena]  512/512  return +0.5000\n"
    assert told.out == ""


def test_a_bar_of_turns_counts_whose_turn_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    with turns_bar("judging", 3) as turn:
        for name in ("policy", "hold", "[red]"):
            turn(name)
    told = capsys.readouterr()
    assert "3/3" in told.err
    assert told.out == ""


def test_a_bar_that_was_cut_short_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), turns_bar("judging", 3) as turn:
        turn("policy")
        turn("ma_cross [a]")
        raise ValueError("no such bars")
    told = capsys.readouterr().err
    assert "judging ma_cross [a]" in told
    assert "1/3" in told


def test_a_wrong_input_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no such policy"), turns_bar("judging", 3):
        raise ValueError("no such policy")
    assert capsys.readouterr().err == ""


def test_a_count_is_shown_while_there_is_more_to_do_and_goes_when_all_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with count_bar("bars recalled") as count:
        count(5, 5)
    assert capsys.readouterr().err == ""  # all at once: nothing worth a line
    with count_bar("bars recalled") as count:
        count(2, 5)
        count(5, 5)
    told = capsys.readouterr().err
    assert "bars recalled" in told
    assert "5/5" in told
    assert told.endswith("\x1b[2K")  # the line is wiped
