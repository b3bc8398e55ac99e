"""A cluster of two nodes on this machine, token authentication on, and trainings that span both: prints what it saw.

Run by test_rllib_cluster.py in a process of its own: the token must stand in the environment before Ray is imported.
"""

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import ray
import torch
from ray.cluster_utils import Cluster

from wavetank.agents.rllib import RLlibTrainer, stop_ray

from .leaky import leaky_scaler
from .vectors import SPREAD, SPREAD_UPDATE, patient_vector


def main(out: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    second = cluster.add_node(num_cpus=2)
    told: dict[str, Any] = {}
    spread = trainer(cluster.address, runners=2, learners=2)
    network = spread.fit(patient_vector, 3 * SPREAD_UPDATE)
    told["nodes"] = len({node["NodeID"] for node in ray.nodes() if node["Alive"]})
    told["runners"], told["learners"] = nodes_of(spread._algorithm)
    told["steps"] = spread.steps
    torch.save(network.state_dict(), out / "weights.pt")
    spread.close()

    survivor = trainer(cluster.address, runners=3)  # more than one node has room for
    survivor.fit(patient_vector, 1)
    told["before"] = nodes_of(survivor._algorithm)[0]
    cluster.remove_node(second)
    began = perf_counter()
    taken: list[int] = []
    while len(taken) < 3 or len(nodes_of(survivor._algorithm)[0]) < 2:  # there is room for two now
        before = survivor.steps
        survivor.fit(patient_vector, before + 1)
        taken.append(survivor.steps - before)
    told["taken"], told["after"] = taken, nodes_of(survivor._algorithm)[0]
    told["recovered_s"] = perf_counter() - began
    survivor.close()
    stop_ray()
    cluster.shutdown()
    (out / "told.json").write_text(json.dumps(told))


def trainer(address: str, runners: int, learners: int = 0) -> Any:
    return RLlibTrainer(SPREAD, leaky_scaler(), num_envs=8, runners=runners, learners=learners, address=address)


def nodes_of(algorithm: Any) -> tuple[list[str], list[str]]:
    """The nodes that each runner and each learner lives on."""

    def node(_: Any) -> str:
        found: str = ray.get_runtime_context().get_node_id()
        return found

    runners = algorithm.env_runner_group.foreach_env_runner(node, local_env_runner=False)
    return runners, [answer.get() for answer in algorithm.learner_group.foreach_learner(node)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
