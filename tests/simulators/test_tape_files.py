"""The tape as Parquet: what stands in the market stands in the files, and they say what its units are."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from wavetank.market.parquet import decode
from wavetank.market.store import read_bars
from wavetank.simulators.crowd import CrowdMarket
from wavetank.simulators.tape_files import write_tape


def test_files_hold_what_the_market_holds(tmp_path: Path) -> None:
    market = CrowdMarket("flash_crash", 3, onset=2, all_orders=True, quotes=True).run(14)
    files = write_tape(market, tmp_path / "tape", orders=True, quotes=True)
    assert sorted(file.name for file in files) == sorted(file.name for file in (tmp_path / "tape").iterdir())
    held = {"tape": market.trades(), "labels": market.labels(), "orders": market.events(), "quotes": market.quotes()}
    for name, rows in held.items():
        table = pq.read_table(tmp_path / "tape" / f"{name}.parquet")
        assert table.column_names == ["ts", *(column for column in rows.dtype.names or () if column != "at_ms")]
        for column in table.column_names[1:]:
            assert np.array_equal(table[column].to_numpy(), rows[column]), f"{name}.{column}"
        assert np.array_equal(table["ts"].to_numpy().astype("datetime64[ms]").astype(np.int64), rows["at_ms"])
    bars, kept = market.bars(), read_bars(tmp_path / "tape" / "bars.parquet")
    assert (kept.symbol, kept.interval) == (bars.symbol, bars.interval)
    assert np.array_equal(kept.close, bars.close)
    assert np.array_equal(kept.opened_at, bars.opened_at)
    _, facts = decode((tmp_path / "tape" / "tape.parquet").read_bytes())
    assert (facts["tick"], facts["lot"], facts["scenario"]) == ("1.0", "0.001", "flash_crash")
    assert "5=spoof" in facts["labels"].split()


def test_what_was_not_kept_cannot_be_written(tmp_path: Path) -> None:
    market = CrowdMarket("normal", 3).run(3)
    assert len(write_tape(market, tmp_path)) == 3
    with pytest.raises(ValueError, match="this market keeps trades only"):
        write_tape(market, tmp_path / "more", orders=True)
    with pytest.raises(ValueError, match="this market keeps no quotes"):
        write_tape(market, tmp_path / "more", quotes=True)
    assert not (tmp_path / "more").exists()
