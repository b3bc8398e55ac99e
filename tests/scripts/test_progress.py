import contextlib

import pytest

from wavetank.scripts.progress import turns_bar


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
