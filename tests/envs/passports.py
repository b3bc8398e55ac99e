"""A passport of every class of policy, exported as the desk exports them, on bars by draw."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wavetank.agents.reissue import reissue
from wavetank.envs.observation import ObservationSpec
from wavetank.envs.passport import Terrain, export_passport
from wavetank.envs.past import Tabled
from wavetank.envs.remembrance import Remembrance
from wavetank.market.bars import Bars
from wavetank.market.costs import Costs
from wavetank.market.limits import Limits
from wavetank.market.orders import Instrument
from wavetank.memory.embed import Embedder

from ..market.handmade import drawn_bars
from .networks import Restless

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
KEY = bytes(range(32))
HORIZON, NEIGHBOURS, WINDOW = 12, 8, 9
MARKET = ("return_5", "volatility_20", "rsi_14", "donchian_20")
SOURCES = {  # of the class "own"; whoever exports or loads it puts them on the path
    "sealed_desk/__init__.py": '"""Of the desk."""\n',
    "sealed_desk/features.py": "from wavetank.envs.own import Feature\n\n\ndef body(state, bar):\n"
    "    return (bar.close - bar.open) / bar.open\n\n\nbody = Feature(body)\n",
    "sealed_desk/rewards.py": "def calm(before, after):\n    return after.equity / after.peak - 1.0\n",
}
SPECS = {
    "box": ObservationSpec("small", 1, MARKET),
    "discrete": ObservationSpec("small", 1, MARKET),
    "windowed": ObservationSpec("wide", 1, MARKET, window=WINDOW),
    "recurrent": ObservationSpec("small", 1, MARKET),
    "both": ObservationSpec("wide", 1, MARKET, window=WINDOW),
    "memory": ObservationSpec.load("spine_memory"),
}
ACTIONS = {"discrete": "discrete:5", "both": "discrete"}
LEVELS, UNITS = {"discrete": 5, "both": 3}, {"recurrent": 16, "both": 16}
CLASSES = (*SPECS, "own", "signed")


def made_bars() -> Bars:
    return drawn_bars(np.random.default_rng(4), 700)


def terrain_of(kind: str) -> Terrain:
    own = (*MARKET, "sealed_desk.features:body")  # a spec looks its columns up, so the module must be there
    spec = ObservationSpec("own", 1, own) if kind == "own" else SPECS[kind]
    return Terrain(spec, Instrument(lot=0.01), Costs(), Limits(mode="live"), "1h", ACTIONS.get(kind, "box"))


def network_of(kind: str) -> Restless:
    return Restless(terrain_of(kind).spec.shape, LEVELS.get(kind, 0), UNITS.get(kind, 0))


def made(kind: str, folder: Path, of: Callable[[str], Path]) -> Path:
    """Export the class `kind` to a folder; `of` gives the folder of another class."""
    if kind == "signed":
        reissue(of("recurrent"), folder, signing_key=KEY)
        return folder
    bars, more = made_bars(), dict[str, Any]()
    if kind == "memory":
        embedder = Embedder.fit(bars)
        more["past"] = Tabled.of(bars, embedder, k=NEIGHBOURS, horizon=HORIZON)
        more["memory"] = Remembrance(embedder, bars.symbol, "1h", NEIGHBOURS, HORIZON)
    if kind == "own":
        more["rewards"] = {"log_growth": 1.0, "sealed_desk.rewards:calm": 0.1}
    return export_passport(
        network_of(kind), folder, terrain_of(kind), bars, name=kind, created_at=NOON, training={}, **more
    )


def write_sources(folder: Path) -> Path:
    for place, source in SOURCES.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder
