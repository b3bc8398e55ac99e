"""Raise one storm and look at it: bars, tape, what was drawn, what the band measures, and a picture.

    wavetank storm flash_crash --seed 7 --out storm
    wavetank storm crash_with_spoofing --seed 7 --role judge --onset 60 --orders --out storm
    wavetank storm --gallery docs/storms                # every storm that has one beside its cousin of the record
    wavetank storm flash_crash --gallery docs/storms    # this one anew

The folder gets bars.parquet, tape.parquet, labels.parquet, storm.json and storm.png; with --orders also orders.parquet.
A gallery gets SCENARIO.png, replaced where it is there, and needs recorded data (WAVETANK_DATA).
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..simulators.population import UNITS
from ..simulators.storms import ROLES

if TYPE_CHECKING:
    from ..simulators.crowd import CrowdMarket
    from ..simulators.storm_pairs import Pair

FACTS, PICTURE, GALLERY = "storm.json", "storm.png", "--gallery"


def main() -> int:
    """Raise the storm, write its folder, and say where it lies; or draw the gallery."""
    if any(word.split("=")[0] == GALLERY for word in sys.argv[1:]):
        return _gallery(_gallery_parser().parse_args())
    given = _parser().parse_args()
    out = Path(given.out)
    _check_out(out)
    from ..simulators.storm_pairs import Pairs  # Mesa, and kernels to compile: not for a wrong command line

    keywords = {"role": given.role, "interval": given.interval, "onset": given.onset, "all_orders": given.orders}
    pairs = Pairs(given.scenario, **keywords)
    pair = pairs.at(given.seed)
    market = pairs.stormy
    half = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _write(half, market, pair, given)
        half.chmod(0o755)  # a temporary folder is its maker's alone
        os.replace(half, out)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    for storm in pair.storms:
        way = "up" if storm.direction > 0 else "down"
        print(f"{storm.scenario}: {way} from bar {storm.onset}, {storm.duration} bars, severity {storm.severity:.4g}")
    print(f"storm     {out}")
    return 0


def facts(pair: "Pair", market: "CrowdMarket", seed: int) -> dict[str, Any]:
    """What `storm.json` holds: what was drawn, when it rages, and what the band measures of this one pair."""
    onset, last, over = pair.scenario.span(pair.storms)
    told: dict[str, Any] = {
        "scenario": pair.scenario.name,
        "seed": str(seed),  # 64 bits: more than a JSON number keeps everywhere
        "interval": market.crowd.unit.interval,
        "role": market.role,
        "storms": [asdict(storm) for storm in pair.storms],
        "bars": {"onset": onset, "end": last, "calm_again": over, "run": market.bars_done},
        "opened_at": market.opened_at,
        "tape_sha256": market.tape_digest(),
    }
    if pair.scenario.band is not None:
        lines = pair.scenario.band.lines
        told["band"] = [
            {"line": line.told, "storm": _number(storm), "calm_twin": _number(calm), "holds": line.holds(storm)}
            for line, storm, calm in zip(lines, *pair.values(pair.scenario.band), strict=True)
        ]
    return told


def _gallery(given: argparse.Namespace) -> int:
    """Draw storms beside their cousins, and put the pictures in place once all are drawn."""
    out = Path(given.gallery)
    if not (out.is_dir() or out.parent.is_dir()):
        raise ValueError(f"--gallery {out}: there is no folder {out.parent} to put it in")
    from ..experiments.cousins import beside, cousins_of  # Mesa and numba, as above
    from ..experiments.storm_pictures import draw_beside, told  # matplotlib, an extra

    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as half:
        drawn = []
        for cousin in cousins_of(given.scenarios):
            courses, title = beside(cousin), cousin.scenario.replace("_", " ")
            drawn.append(draw_beside(courses, cousin.interval, title, Path(half, f"{cousin.picture}.png")))
            for course in courses:
                print(f"{title:<20} {course.name}: {'; '.join(told(course.figures))}")
        out.mkdir(exist_ok=True)
        for picture in drawn:
            os.replace(picture, out / picture.name)
    print(f"{'gallery':<20} {out}")
    return 0


def _write(folder: Path, market: "CrowdMarket", pair: "Pair", given: argparse.Namespace) -> None:
    from ..experiments.storm_pictures import draw_storm  # matplotlib, an extra
    from ..simulators.tape_files import write_tape

    write_tape(market, folder, orders=given.orders)
    told = facts(pair, market, given.seed)
    (folder / FACTS).write_text(json.dumps(told, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    storms = "; ".join(f"{s.scenario} {s.severity:.3g}, {s.duration} bars" for s in pair.storms)
    title = f"{pair.scenario.name} · seed {given.seed} · {given.role} · {given.interval} bars · severity {storms}"
    draw_storm(pair, title, folder / PICTURE)


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out {out} is there already and not empty, name a new folder")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {out.parent} to put it in")


def _gallery_parser() -> argparse.ArgumentParser:
    """A gallery's command line of its own: what is drawn there is fixed, so it takes no seed, role or interval."""
    parser = argparse.ArgumentParser(prog="wavetank storm", description="Draw storms beside their cousins.")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="which (default: all that have a cousin)")
    parser.add_argument(GALLERY, required=True, metavar="FOLDER", help="where the pictures go")
    return parser


def _parser() -> argparse.ArgumentParser:
    description = (__doc__ or "").partition("\n")[0]
    gallery = f"wavetank storm [SCENARIO …] {GALLERY} FOLDER draws storms beside recorded events of their kind."
    parser = argparse.ArgumentParser(prog="wavetank storm", description=description, epilog=gallery)
    parser.add_argument("scenario", help="a name of conf/scenario, or the path of a YAML file of your own")
    parser.add_argument("--seed", type=_whole, default=0, help="of the market; equal seeds, equal markets (default 0)")
    parser.add_argument("--out", required=True, help="a folder that is not there yet")
    parser.add_argument("--interval", choices=tuple(UNITS), default="1m", help="the crowd's time unit (default 1m)")
    parser.add_argument("--role", choices=ROLES, default="train", help="whose ranges it is drawn from (default train)")
    parser.add_argument("--onset", type=_whole, help="the bar it begins at, in place of the drawn one")
    parser.add_argument("--orders", action="store_true", help="keep every order event too")
    return parser


def _whole(word: str) -> int:
    if not word.isdigit():
        raise argparse.ArgumentTypeError(f"{word} is no whole number of 0 or more")
    return int(word)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    sys.exit(main())
