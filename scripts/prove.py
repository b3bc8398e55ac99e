"""Show that both backends learn where the right answer is known, and that nobody passes without learning.

wavetank prove [exams=[canary,reversion,walk,cartpole,order]] [backends=[sb3,rllib]] [quick=true] out=DIR
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from ..conf import prove_schema, schema

if TYPE_CHECKING:
    from ..experiments.exams.proof import Proof

DOES_NOT_STAND = 1  # exit code
WIDTH = 150  # of the table where the terminal is narrower: figures cut short say nothing


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="prove")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank prove`; the exit code is 1 where the proof does not stand."""
    config = schema.typed(composed, prove_schema.ProveConfig)
    from ..experiments.prove import PAGE, PICTURE, prove, turns  # heavy, as in train
    from .progress import turns_bar

    order = turns(config.exams, config.backends, quick=config.quick, control=config.control, seed=config.seed)
    with turns_bar("proving", len(order)) as turn:
        proof = prove(order, config.out, now=datetime.now(UTC), told=turn)
    show_proof(proof)
    print(f"result    {Path(config.out) / PAGE}")
    print(f"curves    {Path(config.out) / PICTURE}")
    print(sentence_of(proof))
    if not proof.stands:
        raise SystemExit(DOES_NOT_STAND)


def show_proof(proof: "Proof", console: Console | None = None) -> None:
    """Print the table, in red what does not stand."""
    console = console or Console(width=max(WIDTH, Console().width))
    table = Table()
    for name in proof.rows[0]._fields:
        table.add_column(name.replace("_", " "))
    for row in proof.rows:
        table.add_row(*row, style="" if row.stands == "yes" else "bold red")
    console.print(table)


def sentence_of(proof: "Proof") -> str:
    """Whether the proof stands, and which exams do not."""
    failed = [f"{verdict.exam} on {verdict.backend}" for verdict in proof.verdicts if not verdict.stands]
    return f"does not stand: {', '.join(failed)}" if failed else f"the proof stands: {len(proof.verdicts)} exams"


if __name__ == "__main__":
    main()
