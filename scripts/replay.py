"""Re-create every decision, verdict and client order id of a journal, and print one digest over them.

wavetank replay paper.db
wavetank replay paper.db --json --policy elsewhere/passport

Exit code 1 where a row comes out differently (or was changed): the sentence names the first one.
"""

import os

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # as in the session itself

import argparse
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from rich.console import Console
from rich.progress import Progress

from ..execution.journal import JournalError, verify
from ..execution.replay import Replayed, replay
from ..execution.session import load_trader

DIFFERS = 1


def main() -> int:
    """Replay one journal."""
    parser = argparse.ArgumentParser(prog="wavetank replay", description="Make a journal's decisions again.")
    parser.add_argument("journal", help="journal of a paper session")
    parser.add_argument("--policy", help="folder of the passport, if it does not lie where the session says")
    parser.add_argument("--json", action="store_true", help="print counts and digest as JSON")
    given = parser.parse_args()
    try:
        found = shown(given.journal, given.policy)
    except JournalError as error:
        if not error.row:
            raise
        print(f"wavetank replay: {error}", file=sys.stderr)
        return DIFFERS
    if given.json:
        print(orjson.dumps(found.to_json()).decode())
    else:
        print(f"{found.rows} rows of {found.sessions} sessions hold; re-created and equal:")
        print(f"{found.bars} bars, {found.decisions} decisions, {found.verdicts} verdicts, {found.orders} orders")
        print(f"digest {found.digest}")
    return 0


def shown(journal: str, policy: str | None) -> Replayed:
    """Replay under a progress bar, where there is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("replay", total=verify(journal))

        def on_row(seq: int) -> None:
            if seq % 512 == 0:
                progress.update(task, completed=seq)

        with TemporaryDirectory() as store:  # a memory is made again too, from the passport's archive
            return replay(journal, partial(load_trader, store=Path(store) / "memory"), folder=policy, on_row=on_row)


if __name__ == "__main__":
    sys.exit(main())
