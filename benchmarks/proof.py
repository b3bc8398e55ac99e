"""The long evidence, beyond the budget of `make test`: run each proof and write docs/proof.md (`make proof`,
or `python benchmarks/proof.py NAME …` for some).

A proof is a command that ends with 0 or does not stand. The page carries the date, the commit and what was seen, and
is committed with them; a tree with changes says so.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "proof.md"
CURVES = ROOT / "docs" / "proof-of-learning.png"
LEARNING = "learning"  # folder of that proof
PYTEST = (sys.executable, "-m", "pytest", "-q")
KERNEL_ROOMS = ("tests/market", "tests/envs", "tests/memory", "tests/simulators")
QUICK = ("-m", "not slow and not ray")


class Proof(NamedTuple):
    name: str
    claim: str
    command: tuple[str, ...]
    environment: dict[str, str]


class Outcome(NamedTuple):
    proof: Proof
    stands: bool
    seen: str
    seconds: float


def proofs(scratch: str) -> list[Proof]:
    """What this house claims and cannot show within a test run. A new long proof is a new line."""
    return [
        Proof("tests", "every test passes, kernels compiled", PYTEST, {}),
        Proof("interpreted", "so do the fast ones, kernels interpreted", (*PYTEST, *QUICK), {"NUMBA_DISABLE_JIT": "1"}),
        Proof(
            "bounds",
            "no kernel reads past an array's end",
            (*PYTEST, *QUICK, *KERNEL_ROOMS),
            {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": scratch},
        ),
        Proof(
            "properties",
            "properties hold for 2,000 fresh examples each",
            (*PYTEST, *QUICK, "--hypothesis-profile=proof", *KERNEL_ROOMS),
            {},
        ),
        Proof(
            LEARNING,
            "both trainers learn where the right answer is known, and nobody passes without learning",
            (sys.executable, "-P", "-m", "wavetank.scripts.cli", "prove", f"out={scratch}/{LEARNING}"),
            {},
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="of proofs: tests interpreted bounds properties learning; none: all")
    names = parser.parse_args().names
    with tempfile.TemporaryDirectory() as scratch:
        every = proofs(scratch)
        if unknown := set(names) - {proof.name for proof in every}:
            parser.error(f"there is no proof {', '.join(sorted(unknown))}")
        outcomes = [shown(proof) for proof in every if not names or proof.name in names]
        left_out = [proof.claim for proof in every if names and proof.name not in names]
        PAGE.write_text(page(outcomes, left_out) + learnt(Path(scratch) / LEARNING))
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0 if all(outcome.stands for outcome in outcomes) else 1


def shown(proof: Proof) -> Outcome:
    print(f"== {proof.claim}", flush=True)
    began = time.perf_counter()
    done = subprocess.run(
        proof.command, cwd=ROOT, env=os.environ | proof.environment, stdout=subprocess.PIPE, text=True, check=False
    )
    last = (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    if done.returncode:
        print(done.stdout)
    print(last, flush=True)
    return Outcome(proof, done.returncode == 0, last, time.perf_counter() - began)


def page(outcomes: list[Outcome], left_out: Sequence[str] = ()) -> str:
    """The page as Markdown; `left_out` are claims that were not tried this time."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = " with uncommitted changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    lines = [
        "# Proof",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}{changed}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores. Written by `make proof`.",
        "",
        "| claim | stands | seen | seconds |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {proof.claim} | {'yes' if stands else '**no**'} | {seen} | {seconds:.0f} |"
        for proof, stands, seen, seconds in outcomes
    ]
    lines += [f"| {claim} | not run this time | | |" for claim in left_out]
    return "\n".join(lines) + "\n"


def learnt(folder: Path) -> str:
    """The table that `wavetank prove` left, as a chapter of the page; its curves are kept beside the page."""
    if not (folder / "prove.md").is_file():
        return ""
    shutil.copyfile(folder / "curves.png", CURVES)
    table = (folder / "prove.md").read_text()
    return f"\n#{table}\n![Learning curves of every seed]({CURVES.name})\n"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
