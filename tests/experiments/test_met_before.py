"""Which share of a file a policy was trained on: of 1,000 hour bars, rows 100 to 699 trained and 720 to 869 chose."""

from dataclasses import replace
from typing import Any

import pytest

from wavetank.experiments.met_before import Met, met_before
from wavetank.experiments.runs import bars_facts
from wavetank.market.bars import Bars

from .made_bars import wandering

BARS = replace(wandering(1000), symbol="OURS")
TRAIN, VALIDATION = bars_facts(BARS.slice(100, 700)), bars_facts(BARS.slice(720, 870))
TRAINING = {"data_sha256": TRAIN["sha256"], "range": [TRAIN["from"], TRAIN["until"]]}
OTHER = replace(wandering(1000, seed=1), symbol="OURS")  # of another price, so that no hash tells


def record(kind: str = "history", path: str | None = "there/ours.parquet", **data: Any) -> dict[str, Any]:
    config = {"env": {"kind": kind}, "market": {"path": path}}
    return {"config": config, "data": {"train": TRAIN, "validation": VALIDATION, **data}}


@pytest.mark.parametrize(
    ("bars", "source", "known", "met"),
    [
        (BARS, "here.parquet", record(symbol="OURS"), Met("same", 0.6, 0.15)),
        (BARS.slice(500, 1000), "there/ours.parquet", record(), Met("same", 0.4, 0.3)),  # cut: the place tells
        (BARS.slice(500, 1000), "there/../there/ours.parquet", record(), Met("same", 0.4, 0.3)),
        (BARS.slice(500, 1000), "here.parquet", record(symbol="OURS"), Met("same", 0.4, 0.3)),  # the symbol tells
        (BARS.slice(900, 1000), "there/ours.parquet", record(), Met("same", 0.0, 0.0)),
        (BARS, "here.parquet", {}, Met("same", 0.6, None)),  # a passport alone: the hash tells
        (BARS, "here.parquet", record(symbol="THEIRS"), Met("same", 0.6, 0.15)),  # the same bars under another name
        (OTHER, "here.parquet", record(symbol="THEIRS"), Met("another", 0.6, 0.15)),
        (OTHER, "here.parquet", record(), Met("unknown", 0.6, 0.15)),
        (OTHER, "here.parquet", {}, Met("unknown", 0.6, None)),
        (OTHER, "here.parquet", record("process", path=None), Met("invented", 0.0, 0.0)),
    ],
)
def test_what_a_policy_has_met_is_told_by_hash_place_or_symbol(
    bars: Bars, source: str, known: dict[str, Any], met: Met
) -> None:
    assert met_before(bars, source, TRAINING, known) == met


def test_every_word_has_a_sentence_of_its_own() -> None:
    said = [Met(market, 0.5, None).sentence for market in ("same", "another", "invented", "unknown")]
    assert len(set(said)) == 4
    assert said[0] == "it was trained on 50.0% of these bars"
