"""Rehearse a run's policy on paper, put all its evidence before the gates, and make it champion, or say why not.

wavetank promote run=DIR standard.deflated_sharpe=0.95
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from ..conf import verdict_schema
from ..conf.schema import typed
from .rehearsal import actions_apart, parity, rehearse

if TYPE_CHECKING:
    from ..conf.schema import TrainConfig
    from ..experiments.promote import Standard, Verdict
    from ..experiments.runs import RunFolder
    from ..market.bars import Bars
    from ..market.funding import Funding

CROWD_BARS = 600


@hydra.main(version_base="1.3", config_path="pkg://wavetank.conf", config_name="promote")
def main(composed: DictConfig) -> None:
    """Open the door of `wavetank promote`."""
    config = typed(composed, verdict_schema.PromoteConfig)
    from ..experiments.runs import read_run  # heavy, as in train
    from .verdicts import show_verdict

    run, trained = read_run(config.run)
    verdict, version = judge_run(run, trained, standard_of(config.standard))
    show_verdict(verdict)
    if version is not None:
        print(f"champion  {trained.tracking.model} version {version} in {trained.tracking.root}")
    print(f"result    {run.path / 'promotion.json'}")


def judge_run(run: "RunFolder", trained: "TrainConfig", standard: "Standard") -> tuple["Verdict", int | None]:
    """Write parity.json and promotion.json; return the verdict, and the version that is champion now, if any."""
    from ..envs.passport import check_real_memory
    from ..experiments.promote import weigh, write_verdict
    from ..experiments.tracking import count_runs

    check_real_memory(run.passport)
    prove_parity(run, trained)
    root = trained.tracking.root
    trials = 0 if root is None else count_runs(root, trained.tracking.experiment)
    verdict = weigh(run.path, run.passport, trials=trials, standard=standard, seed=trained.seed)
    version = _registered(run, trained, verdict)
    write_verdict(run.path, verdict)
    return verdict, version if verdict.promoted else None


def prove_parity(run: "RunFolder", trained: "TrainConfig") -> None:
    """Let environment and paper trade the same bars, which training has not seen, and write parity.json.

    A memory is asked exactly on both sides; what its store's graph, where it lives with one, changes is told too.
    """
    from ..agents.frozen import PassportError
    from ..envs.passport import load_passport
    from ..envs.remembrance import HNSW
    from ..experiments.evaluate import judge
    from ..experiments.promote import no_parity

    loaded, cash = load_passport(run.passport), trained.env.cash
    bars, funding = unseen(trained, loaded.terrain.interval)
    graph: dict[str, object] = {}
    try:
        with TemporaryDirectory(prefix="wavetank-") as scratch:
            paper = partial(rehearse, run.passport, bars, source="unseen bars", cash=cash, funding=funding)
            history = paper(Path(scratch) / "parity.db", exact=True)
            if loaded.memory is not None and loaded.memory.mode == HNSW:
                graph = {"graph": actions_apart(history, paper(Path(scratch) / "graph.db"))}
    except PassportError as error:
        run.write("parity.json", no_parity(str(error), run.passport))
        return
    past = None if loaded.memory is None else loaded.memory.tabled(bars)
    track = judge(loaded.policy, bars, loaded.terrain, past=past, funding=funding, cash=cash)
    run.write("parity.json", {**parity(track, history, bars.interval_ms, run.passport), **graph})


def unseen(trained: "TrainConfig", interval: str) -> tuple["Bars", "Funding | None"]:
    """The run's test bars and funding; where it has none, as in the arena, bars of a crowd that it has not met."""
    from ..experiments.course import open_course
    from ..experiments.seeds import derive_seed
    from ..simulators.crowd import CrowdMarket

    course = open_course(trained)
    if course.test is not None:
        return course.test, course.funding
    market = CrowdMarket("normal", derive_seed(trained.seed, "promote"), interval=interval)
    return market.run(CROWD_BARS).bars(), None


def standard_of(schema: verdict_schema.StandardSchema) -> "Standard":
    """The standard that config sets."""
    from ..experiments.promote import Standard

    return Standard(**{**vars(schema), "scenarios": tuple(schema.scenarios)})


def _registered(run: "RunFolder", trained: "TrainConfig", verdict: "Verdict") -> int | None:
    """Tag the run's registered version with the verdict, and make it champion where it is promoted."""
    from ..experiments.runs import read_json
    from ..experiments.tracking import set_champion, tag_version

    record, root = run.path / "registered.json", trained.tracking.root
    if root is None or not record.is_file():
        if verdict.promoted:
            raise ValueError(
                f"{run.path} was never registered, so it cannot be champion: train it with tracking=sqlite"
            )
        return None
    told = read_json(record)
    model, version = str(told["model"]), int(told["version"])
    tags = {"verdict": "promoted" if verdict.promoted else "refused", "passport_sha256": verdict.passport}
    tag_version(model, version, root=root, tags=tags)
    if verdict.promoted:
        set_champion(model, version, root=root)
    return version


if __name__ == "__main__":
    main()
