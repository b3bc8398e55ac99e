"""Write a run's policy as a passport folder; sign it, let it end, or look whose signature it bears.

wavetank export RUN --out DIR
wavetank export RUN --out DIR --sign release.pem --expires 90 --stages paper
wavetank export DIR --verify release.pub
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

LONGEST_DAYS = 36_500.0  # a century; dates end not far beyond


def main() -> int:
    """Open the door of `wavetank export`."""
    parser = argparse.ArgumentParser(prog="wavetank export", description="Write a run's policy as a passport folder.")
    parser.add_argument("run", type=Path, help="the folder of a finished run, or of a passport")
    parser.add_argument("--out", type=Path, help="the passport's folder; must not exist yet")
    parser.add_argument("--sign", type=Path, metavar="KEYFILE", help="sign with this private Ed25519 key")
    parser.add_argument("--expires", type=float, metavar="DAYS", help="let it end so many days from now")
    parser.add_argument("--stages", metavar="NAMES", help="where it may run, with commas between: paper")
    parser.add_argument("--verify", metavar="PUBLICKEY", help="demand that RUN is signed by this key, a file or hex")
    given = parser.parse_args()
    if given.out is None and (given.verify is None or given.sign or given.expires or given.stages):
        parser.error("say --out DIR, or --verify PUBLICKEY alone")
    return export(given, datetime.now(UTC))


def export(given: argparse.Namespace, now: datetime) -> int:
    """Everything that can be wrong is found before a folder is made."""
    from ..agents.reissue import reissue  # with numpy and onnxruntime behind it: heavier than a usage message needs
    from ..agents.seal import signer_of
    from ..agents.signing import public_key, signing_key
    from ..envs.passport import check_real_memory, load_passport

    key = None if given.sign is None else signing_key(given.sign)
    trusted = None if given.verify is None else public_key(given.verify)
    expires_at = None if given.expires is None else now + timedelta(days=_days(given.expires))
    stages = None if given.stages is None else [name.strip() for name in given.stages.split(",")]
    source = given.run / "passport" if (given.run / "run.json").is_file() else given.run
    passport = load_passport(source, now=now, public_key=trusted)  # a damaged one is not handed on
    folder, manifest = source, passport.manifest
    if given.out is not None:
        check_real_memory(source)
        folder = given.out
        manifest = reissue(source, folder, expires_at=expires_at, stages=stages, signing_key=key)
    terrain, ends = passport.terrain, manifest["expires_at"]
    print(f"passport  {folder}")
    print(f"policy    {manifest['name']}, {terrain.instrument.symbol} {terrain.interval}")
    print(f"stages    {', '.join(manifest['stages'])}; {f'expires at {ends}' if ends else 'does not expire'}")
    print(f"signed    {signer_of(folder) or 'by nobody'}")
    return 0


def _days(days: float) -> float:
    if not 0.0 < days <= LONGEST_DAYS:
        raise ValueError(f"--expires {days:g} must lie above 0 and not beyond {LONGEST_DAYS:.0f} days")
    return days


if __name__ == "__main__":
    raise SystemExit(main())
