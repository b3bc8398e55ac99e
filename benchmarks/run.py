"""Run every benchmark, one after the other, and write docs/benchmarks.md: `make bench` on a quiet machine.

`python benchmarks/run.py recall.py arena.py` runs those alone, and leaves the other rows of the page as they are. So
does `run.py live_memory.py -- 1000000`, which hands what follows to the program, and `run.py recall.py --saved FILE`,
which takes the lines of FILE, what the program printed before, instead of running it.
"""

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import machine, short

HERE = Path(__file__).parent
PROGRAMS = (
    "batch_env.py",
    "growth.py",
    "portfolio_env.py",
    "book.py",
    "crowd.py",
    "arena.py",
    "recall.py",
    "live_memory.py",
    "features.py",
    "backtest.py",
    "sb3_ppo.py",
    "rllib_ppo.py",
    "whole_run.py",
    "frozen_policy.py",
    "decision_latency.py",
)
PAGE = HERE.parent / "docs" / "benchmarks.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("programs", nargs="*", choices=[[], *PROGRAMS], default=[], metavar="PROGRAM")
    parser.add_argument("--saved", type=Path, help="what the one named program printed before")
    words, _, handed = " ".join(sys.argv[1:]).partition(" -- ")
    arguments = parser.parse_args(words.split())
    rows = standing() if arguments.programs else {}
    for program in arguments.programs or PROGRAMS:
        print(f"== {program}", flush=True)
        printed = output(program, handed.split()) if arguments.saved is None else arguments.saved.read_text()
        if printed is None:
            return 1
        print(printed)
        figures = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        rows.setdefault(program, {}).update({figure["name"]: row(figure, program) for figure in figures})
        PAGE.write_text(page(rows))
    print(f"written: {PAGE.relative_to(HERE.parent)}")
    return 0


def output(program: str, handed: list[str]) -> str | None:
    """What a program prints; None where it fails. It finds the machine's own BLAS kernel, whatever the shell names."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    done = subprocess.run([sys.executable, str(HERE / program), *handed], stdout=subprocess.PIPE, text=True, env=plain)
    if done.returncode:
        print(f"{program} failed with exit code {done.returncode}", file=sys.stderr)
        return None
    return done.stdout


def standing() -> dict[str, dict[str, str]]:
    """The rows of the page as it is, by program and name."""
    rows: dict[str, dict[str, str]] = {}
    for line in PAGE.read_text().splitlines() if PAGE.is_file() else []:
        for program in PROGRAMS:
            if f"`benchmarks/{program}`" in line:
                rows.setdefault(program, {})[line.split("|")[1].strip()] = line
    return rows


def page(rows: dict[str, dict[str, str]]) -> str:
    """The page as Markdown."""
    here = machine()
    lines = [
        "# Benchmarks",
        "",
        f"{here['processor']}, {here['cores']} cores. Median [min–max] of the repetitions, after a warm-up; when, and",
        "of which commit, stands in each row. Written by `make bench`; nothing is judged here.",
        "",
        "A program alone: `python benchmarks/NAME.py`. What a peer was timed in the same run with stands beside it.",
        "",
        "| what | median | min–max | unit | beside it | load | program | when |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [line for program in PROGRAMS for line in rows.get(program, {}).values()]
    return "\n".join(lines) + "\n"


def row(figure: dict[str, Any], program: str) -> str:
    """One figure as a row of the page."""
    low, high = short(min(figure["values"])), short(max(figure["values"]))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return (
        f"| {figure['name']} | {short(figure['median'])} | {low}–{high} | {figure['unit']} | {beside(figure)} "
        f"| {figure['load']} | `benchmarks/{program}` | {datetime.now(UTC):%Y-%m-%d}, {commit or 'unknown'} |"
    )


def beside(figure: dict[str, Any]) -> str:
    """What else a figure's line tells: the peer and how often it goes into ours, shares, growth."""
    about, told = figure["about"], list[str]()
    if about.get("peer_median"):
        told.append(f"{about['peer']}: {short(about['peer_median'])}, × {about['ratio']:.3g}")
    if "scan_p50" in about:
        told.append(f"a numpy scan takes × {about['ratio']:.1f}")
    for key, words in (
        ("share_of_fill_bound", "{:.0%} of the fill bound"),
        ("solvent_and_unlatched", "{:.1%} of steps solvent and unlatched"),
        ("of_the_shortest", "{:.2f} of the shortest tape's"),
        ("share_of_int8", "the integer product alone is {:.0%} of it"),
        ("ratio_to_ours", "{:.1f} times ours"),
        ("sets_equal_ours", "{:.2%} of sets equal ours"),
        ("recall", "recall {:.4f}"),
        ("share_equal", "equal in {:.1%}"),
    ):
        if key in about:
            told.append(words.format(about[key]))
    return "; ".join(told)


if __name__ == "__main__":
    sys.exit(main())
