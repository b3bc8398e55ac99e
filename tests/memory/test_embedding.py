"""The seam of embedders: made by name, read back from a file, whichever kind wrote it; one's own among them."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wavetank.memory.embed import WIDTH, Embedder
from wavetank.memory.embedding import Fitted, check_embedder, fit_embedder, kind_of, load_embedder
from wavetank.memory.moments import PastError, moments_of
from wavetank.memory.own_embedder import OwnEmbedder, high_volatility, windows
from wavetank.memory.table import memory_table

from .walks import splice, walk

BARS = walk(420, gap_at=260)
STOP, WINDOW = 330, 32
SOURCE = """
import numpy as np
from .shape import shape
from wavetank.memory.own_embedder import windows


class Shape:
    def __init__(self, numbers):
        self.numbers = numbers
        self.bars_seen = 0

    @classmethod
    def fit(cls, bars, window, width):
        rows = np.array([shape(each) for each in windows(bars, window)])
        made = cls({"mean": rows.mean(axis=0), "kept": np.array(width or 5)})
        made.bars_seen = len(bars)
        return made

    def vector(self, window):
        assert len(window) == 32
        return (shape(window) - self.numbers["mean"])[: int(self.numbers["kept"])]


class Broken(Shape):
    def vector(self, window):
        found = super().vector(window)
        found[0] = np.inf
        return found


class Numberless:
    fit = classmethod(lambda cls, bars, window, width: cls())
    vector = lambda self, window: np.ones(3)


class Wordy(Shape):
    fit = classmethod(lambda cls, bars, window, width: cls({"words": np.array(["up", "down"])}))


class Vague(Shape):
    fit = classmethod(lambda cls, bars, window, width: cls({"mean": np.array([np.nan])}))


nothing = 3
"""
SHAPE = """
import numpy as np


def shape(window):
    moves = np.diff(np.log(window.close))
    return np.array([moves[:8].sum(), moves[8:16].sum(), moves[16:24].sum(), moves[24:].sum(), moves.std()])
"""


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of somebody's own, on the path."""
    folder = tmp_path / "desk" / "odd_desk"
    folder.mkdir(parents=True)
    for name, text in (("__init__", ""), ("embedders", SOURCE), ("shape", SHAPE)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "odd_desk"]:
        del sys.modules[name]


def own(name: str = "Shape", stop: int = STOP, width: int | None = None) -> Fitted:
    return fit_embedder(f"odd_desk.embedders:{name}", BARS, stop, window=WINDOW, width=width)


def test_the_house_s_first_embedder_is_made_by_its_name_with_its_own_width() -> None:
    embedder = fit_embedder("statistics", BARS, STOP, window=WINDOW)
    assert isinstance(embedder, Embedder)
    assert kind_of(embedder) == "statistics"
    assert (embedder.width, embedder.window) == (WIDTH, WINDOW)
    assert embedder.digest == Embedder.fit(BARS, STOP, window=WINDOW).digest
    assert fit_embedder("statistics", BARS, STOP, window=WINDOW, width=7).width == 7


@pytest.mark.parametrize("name", ["statistics", "odd_desk.embedders:Shape"])
def test_what_was_saved_is_read_back_by_its_kind_and_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    embedder = fit_embedder(name, BARS, STOP, window=WINDOW)
    embedder.save(tmp_path / "embedder.npz")
    again = load_embedder(tmp_path / "embedder.npz")
    assert type(again) is type(embedder)
    assert kind_of(again) == name
    for term in ("digest", "window", "width", "interval", "fitted_until", "high_volatility"):
        assert getattr(again, term) == getattr(embedder, term)
    assert again.vectors(BARS).tobytes() == embedder.vectors(BARS).tobytes()


def test_a_vector_of_one_s_own_is_the_direction_of_what_the_class_says_of_its_window() -> None:
    embedder, rows = own(), np.flatnonzero(np.isfinite(own().vectors(BARS)[:, 0]))
    vectors = embedder.vectors(BARS)
    assert rows.tolist() == [*range(31, 260), *range(260 + 31, 420)]  # each stretch is silent until it has 32 bars
    moves = np.diff(np.log(BARS.close[100 - 31 : 101]))
    told = np.array([*(moves[k : k + 8].sum() for k in (0, 8, 16)), moves[24:].sum(), moves.std()])
    seen = [np.diff(np.log(each.close)) for each in windows(BARS.slice(0, STOP), WINDOW)]
    mean = np.mean([[*(m[k : k + 8].sum() for k in (0, 8, 16)), m[24:].sum(), m.std()] for m in seen], axis=0)
    np.testing.assert_allclose(vectors[100], (told - mean) / np.linalg.norm(told - mean), rtol=1e-5)


def test_a_window_alone_gives_the_bits_of_its_row_in_a_long_history() -> None:
    embedder = own()
    vectors = embedder.vectors(BARS)
    for t in (31, 150, 259, 300, 419):
        assert embedder.vector(BARS.slice(t - 60 if t > 60 else 0, t + 1)).tobytes() == vectors[t].tobytes()


def test_fitting_sees_the_training_slice_and_nothing_else() -> None:
    behind = splice(BARS, walk(420, seed=9), STOP)
    assert fit_embedder("odd_desk.embedders:Shape", behind, STOP, window=WINDOW).digest == own().digest
    assert own(stop=STOP - 1).digest != own().digest
    assert own().fitted_until == BARS.closed_at[STOP - 1]


def test_what_is_not_among_its_numbers_is_forgotten_when_it_is_fitted() -> None:
    embedder = own()
    assert isinstance(embedder, OwnEmbedder)
    assert vars(embedder.mind)["bars_seen"] == 0


def test_the_digest_covers_numbers_terms_and_source(desk: Path) -> None:
    digests = {own().digest, own(width=3).digest, own(stop=STOP - 1).digest}
    _forget()
    (desk / "shape.py").write_text(SHAPE + "\n# another file that it needs\n")
    digests.add(own().digest)
    assert len(digests) == 4


def test_a_memory_of_one_s_own_embedder_remembers() -> None:
    embedder = own()
    table = memory_table(BARS, embedder, k=8, horizon=6)
    assert table[:, -1].sum() > 100
    assert len(moments_of(BARS, embedder, 6)) == np.isfinite(embedder.vectors(BARS)[:, 0]).sum() - 2 * 6


def test_the_threshold_of_high_volatility_is_the_two_thirds_quantile_of_the_windows() -> None:
    moves = [np.diff(np.log(each.close)) for each in windows(BARS, WINDOW)]
    wanted = np.quantile([np.sqrt(np.mean(m * m)) for m in moves], 2 / 3)
    assert high_volatility(BARS, WINDOW) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    "name, reason",
    [
        ("statistic", "embedder 'statistic' is not one of statistics, hybrid, nor an address"),
        ("odd_desk.embedders:Nobody", "odd_desk.embedders has no class Nobody with fit and vector"),
        ("odd_desk.embedders:nothing", "odd_desk.embedders has no class nothing with fit and vector"),
        ("odd_desk.missing:Shape", "there is no module odd_desk.missing"),
        ("odd_desk.embedders:Broken", "gives NaN or infinity for the window that closed at"),
        ("odd_desk.embedders:Numberless", "has no numbers: a mapping of names to arrays"),
        ("odd_desk.embedders:Wordy", "numbers 'words' of embedder odd_desk.embedders:Wordy are <U4"),
        ("odd_desk.embedders:Vague", "numbers 'mean' of embedder odd_desk.embedders:Vague hold NaN"),
    ],
)
def test_an_embedder_that_cannot_be_is_refused_in_one_sentence(name: str, reason: str) -> None:
    with pytest.raises(PastError, match=reason):
        fit_embedder(name, BARS, STOP, window=WINDOW).vectors(BARS)


def test_a_width_that_it_does_not_have_and_a_slice_that_is_not_there_are_refused() -> None:
    with pytest.raises(PastError, match="is 5 wide, memory.width asks for 9"):
        own(width=9)
    with pytest.raises(PastError, match="ends at bar 421, the history has 420"):
        own(stop=421)
    with pytest.raises(PastError, match="20 bars hold no whole window of 32"):
        own(stop=20)
    with pytest.raises(PastError, match="was fitted on 1h bars, these are 1d"):
        own().vectors(replace(BARS, interval="1d", opened_at=24 * BARS.opened_at))


def test_a_file_made_with_other_code_is_refused_with_the_file_s_name(desk: Path, tmp_path: Path) -> None:
    own().save(tmp_path / "embedder.npz")
    _forget()
    (desk / "shape.py").write_text(SHAPE.replace("moves.std()", "2 * moves.std()"))
    with pytest.raises(PastError, match=r"odd_desk/shape\.py is not the code that odd_desk\.embedders:Shape was"):
        load_embedder(tmp_path / "embedder.npz")


def test_a_torn_a_changed_a_missing_and_a_strange_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "embedder.npz"
    with pytest.raises(PastError, match="there is no embedder at"):
        load_embedder(path)
    own().save(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(PastError, match="cannot be read"):
        load_embedder(path)
    own().save(path)
    with np.load(path) as file:
        held = dict(file)
    held["numbers/mean"] = held["numbers/mean"] + 1e-9
    np.savez(path, **held)
    with pytest.raises(PastError, match="is not the one that was saved: its digest differs"):
        load_embedder(path)
    np.savez(path, kind=np.array("oracle"))
    with pytest.raises(PastError, match="is of the kind 'oracle', which this house does not know"):
        load_embedder(path)


def test_names_are_checked_before_any_bar_is_read() -> None:
    for name in ("statistics", "hybrid", "my_package.embedders:Learned"):
        check_embedder(name)
    with pytest.raises(PastError, match="is not one of"):
        check_embedder("")
