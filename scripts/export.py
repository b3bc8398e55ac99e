"""Write a run's policy as a passport folder.

wavetank export RUN --out DIR
"""

import argparse
import shutil
from pathlib import Path


def main() -> int:
    """Open the door of `wavetank export`."""
    parser = argparse.ArgumentParser(prog="wavetank export", description="Write a run's policy as a passport folder.")
    parser.add_argument("run", type=Path, help="the folder of a finished run (or of a passport)")
    parser.add_argument("--out", type=Path, required=True, help="the passport's folder; must not exist yet")
    given = parser.parse_args()
    from ..envs.passport import load_passport  # heavier than a usage message needs

    source = given.run / "passport" if (given.run / "run.json").is_file() else given.run
    passport = load_passport(source)  # a damaged one is not handed on
    copy_whole(source, given.out)
    print(f"passport  {given.out}")
    print(f"policy    {passport.manifest['name']}, {passport.terrain.instrument.symbol} {passport.terrain.interval}")
    return 0


def copy_whole(source: Path, target: Path) -> None:
    """Copy a sealed folder, whole or not at all; the seal stays valid, for it names no place."""
    from ..agents.seal import whole_folder

    with whole_folder(target) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
