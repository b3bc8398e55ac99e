"""Run every benchmark, one after the other, and write docs/benchmarks.md: `make bench` on a quiet machine."""

import json
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
    figures: list[dict[str, Any]] = []
    for program in PROGRAMS:
        print(f"== {program}", flush=True)
        done = subprocess.run([sys.executable, str(HERE / program)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{program} failed with exit code {done.returncode}", file=sys.stderr)
            return done.returncode
        print(done.stdout)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        figures += [{**line, "program": program} for line in lines]
    PAGE.write_text(page(figures))
    print(f"written: {PAGE.relative_to(HERE.parent)}")
    return 0


def page(figures: list[dict[str, Any]]) -> str:
    """The page as Markdown."""
    here = machine()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# Benchmarks",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit or 'unknown'}, {here['processor']}, {here['cores']} cores.",
        "Median [min–max] of the repetitions, after a warm-up. Written by `make bench`; nothing is judged here.",
        "",
        "A program alone: `python benchmarks/NAME.py`. What a peer was timed in the same run with stands beside it.",
        "",
        "| what | median | min–max | unit | beside it | load | program |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        low, high = short(min(figure["values"])), short(max(figure["values"]))
        lines.append(
            f"| {figure['name']} | {short(figure['median'])} | {low}–{high} | {figure['unit']} | {beside(figure)} "
            f"| {figure['load']} | `benchmarks/{figure['program']}` |"
        )
    return "\n".join(lines) + "\n"


def beside(figure: dict[str, Any]) -> str:
    """What else a figure's line tells: the peer and how often it goes into ours, shares, growth."""
    about, told = figure["about"], list[str]()
    if about.get("peer_median"):
        told.append(f"{about['peer']}: {short(about['peer_median'])}, × {about['ratio']:.3g}")
    for key, words in (
        ("share_of_fill_bound", "{:.0%} of the fill bound"),
        ("solvent_and_unlatched", "{:.1%} of steps solvent and unlatched"),
        ("of_the_shortest", "{:.2f} of the shortest tape's"),
    ):
        if key in about:
            told.append(words.format(about[key]))
    return "; ".join(told)


if __name__ == "__main__":
    sys.exit(main())
