import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavetank.experiments.splits import Fold, holdout, purge_of, walk_forward


def test_three_windows_of_a_hundred_bars_are_those_on_paper() -> None:
    folds = walk_forward(100, 3, train=30, validation=10, test=10, purge=5, embargo=0)

    assert folds == [
        Fold(0, train=(20, 50), validation=(55, 65), test=(70, 80)),
        Fold(1, train=(30, 60), validation=(65, 75), test=(80, 90)),
        Fold(2, train=(40, 70), validation=(75, 85), test=(90, 100)),
    ]


def test_anchored_windows_train_from_the_first_bar_and_an_empty_validation_takes_no_gap() -> None:
    folds = walk_forward(100, 2, train=30, validation=0, test=10, purge=4, embargo=1, anchored=True)

    assert [fold.train for fold in folds] == [(0, 75), (0, 85)]
    assert [fold.validation for fold in folds] == [(75, 75), (85, 85)]
    assert [fold.test for fold in folds] == [(80, 90), (90, 100)]


@given(
    windows=st.integers(1, 5),
    train=st.integers(1, 60),
    validation=st.integers(0, 20),
    test=st.integers(1, 30),
    horizon=st.integers(0, 25),
    warm_up=st.integers(0, 25),
    embargo=st.integers(0, 5),
    spare=st.integers(0, 40),
    anchored=st.booleans(),
)
def test_nothing_a_policy_was_fitted_on_reaches_into_what_judges_it(
    windows: int,
    train: int,
    validation: int,
    test: int,
    horizon: int,
    warm_up: int,
    embargo: int,
    spare: int,
    anchored: bool,
) -> None:
    purge = purge_of(horizon, warm_up)
    gaps = (purge + embargo) * (2 if validation else 1)
    n = windows * test + train + validation + gaps + spare
    folds = walk_forward(
        n, windows, train=train, validation=validation, test=test, purge=purge, embargo=embargo, anchored=anchored
    )

    for fold in folds:
        labels_end = fold.train[1] - 1 + horizon  # the last training sample's label looks so far
        for begin, stop in (fold.validation, fold.test):
            if stop > begin:
                features_begin = begin - warm_up  # the first judged sample's columns look so far back
                assert labels_end < begin
                assert features_begin >= fold.train[1]
        assert 0 <= fold.train[0] < fold.train[1] <= fold.validation[0] <= fold.validation[1] <= fold.test[0]
    tested = [bar for fold in folds for bar in range(*fold.test)]
    assert tested == list(range(n - windows * test, n))  # they adjoin, end with the bars, and none is judged twice


def test_too_few_bars_are_refused_with_the_number_needed() -> None:
    with pytest.raises(ValueError, match="need 85 bars; there are 84"):
        walk_forward(84, 3, train=30, validation=15, test=10, purge=5)


@pytest.mark.parametrize("key", ["windows", "train", "test"])
def test_a_window_without_bars_is_refused(key: str) -> None:
    sizes = {"windows": 1, "train": 5, "test": 5} | {key: 0}

    with pytest.raises(ValueError, match=f"{key} 0 must be 1 or more"):
        walk_forward(100, sizes["windows"], train=sizes["train"], validation=0, test=sizes["test"], purge=0)


def test_a_holdout_takes_its_shares_from_the_end_and_keeps_the_gaps_free() -> None:
    assert holdout(1000, validation=0.1, test=0.2, purge=20, embargo=5) == Fold(
        0, train=(0, 650), validation=(675, 775), test=(800, 1000)
    )
    assert holdout(1000, validation=0.1, test=0.0, purge=20).test == (1000, 1000)


def test_a_holdout_that_leaves_less_to_train_on_than_its_purge_is_refused() -> None:
    with pytest.raises(ValueError, match="100 bars are too few"):
        holdout(100, validation=0.3, test=0.3, purge=15)
    with pytest.raises(ValueError, match="validation 1.2 is not a share"):
        holdout(100, validation=1.2, test=0.1, purge=5)
