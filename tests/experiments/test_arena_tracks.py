"""Tracks through many markets at once are those through one market after the other, seed by seed."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from wavetank.agents.export import export_graph
from wavetank.agents.frozen import FrozenPolicy
from wavetank.agents.policy import Policy
from wavetank.agents.rules import make_rule
from wavetank.envs.arena import ArenaEnv, BatchArenaEnv
from wavetank.envs.observation import ObservationSpec
from wavetank.experiments.arena_tracks import follow_all
from wavetank.experiments.evaluate import Track, follow
from wavetank.market.limits import Limits

from ..envs.networks import Restless

COUNT, SEED = 3, 2**64 - 2  # the last market's seed is beyond 64 bits
SCENARIO = {"normal": 0.5, "flash_crash": 0.5}
WIDTH = ObservationSpec.load("spine").width
KEYWORDS: dict[str, Any] = {"observation": "spine", "episode_bars": 25, "pool": 8, "pool_role": "validation"}
ENDING = Limits("live", drawdown=0.0012, terminate_on_halt=True)  # ends some accounts and spares others


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Policy]:
    folder: Path = tmp_path_factory.mktemp("graphs")
    networks = {
        "box": Restless((WIDTH,)),
        "discrete:3": Restless((WIDTH,), levels=3),
        "recurrent": Restless((WIDTH,), units=4),
    }
    frozen = {
        name: FrozenPolicy.from_graph(export_graph(network, folder / f"{number}.onnx"))
        for number, (name, network) in enumerate(networks.items())
    }
    return {**frozen, "hold": make_rule("hold"), "ma_cross": make_rule("ma_cross(fast=3, slow=9)")}


def at_once(policy: Policy, actions: str, count: int = COUNT, **more: Any) -> list[Track]:
    env = BatchArenaEnv(SCENARIO, count, autoreset="NEXT_STEP", **KEYWORDS | more)
    return follow_all(policy, env, name="policy", seed=SEED, actions=actions)


def one_by_one(policy: Policy, actions: str, **more: Any) -> list[Track]:
    env = ArenaEnv(SCENARIO, **KEYWORDS | more)
    given: dict[str, Any] = {"name": "policy", "interval_ms": env.interval_ms, "actions": actions}
    return [follow(policy, env, seed=SEED + i, **given) for i in range(COUNT)]


def bytes_of(tracks: list[Track]) -> list[list[bytes]]:
    return [[getattr(track, field.name).tobytes() for field in fields(Track)[2:]] for track in tracks]


@pytest.mark.parametrize("name", ["box", "discrete:3", "recurrent", "hold", "ma_cross"])
def test_every_market_s_track_is_the_one_of_a_single_arena_to_the_last_bit(
    policies: dict[str, Policy], name: str
) -> None:
    actions = name if name.startswith("discrete") else "box"
    tracks = at_once(policies[name], actions)
    assert bytes_of(tracks) == bytes_of(one_by_one(policies[name], actions))
    assert len({track.close.tobytes() for track in tracks}) == COUNT
    assert sum(int(track.trades[-1]) for track in tracks) > 0, "it trades, else this test shows nothing"


def test_an_account_that_ends_early_has_a_shorter_track_and_the_others_go_on(policies: dict[str, Policy]) -> None:
    tracks = at_once(policies["box"], "box", limits=ENDING)
    lengths = {len(track) for track in tracks}
    assert len(lengths) > 1, "else this test shows nothing"
    assert bytes_of(tracks) == bytes_of(one_by_one(policies["box"], "box", limits=ENDING))


def test_the_same_arenas_can_be_followed_through_again(policies: dict[str, Policy]) -> None:
    env = BatchArenaEnv(SCENARIO, COUNT, autoreset="NEXT_STEP", **KEYWORDS)
    first, _, again = (
        follow_all(policy, env, name="policy", seed=SEED)
        for policy in (policies["recurrent"], policies["hold"], policies["recurrent"])
    )
    assert bytes_of(first) == bytes_of(again)


def test_one_market_s_track_does_not_depend_on_how_many_there_are(policies: dict[str, Policy]) -> None:
    assert bytes_of(at_once(policies["box"], "box", count=1)) == bytes_of(at_once(policies["box"], "box"))[:1]


@pytest.mark.parametrize("wrong", [{"autoreset": "SAME_STEP"}, {"actions": "discrete"}, {"wake_steps": 10}])
def test_arenas_whose_steps_are_no_rows_of_a_track_are_refused(wrong: dict[str, Any]) -> None:
    env = BatchArenaEnv("normal", 1, **{"autoreset": "NEXT_STEP", **KEYWORDS, **wrong})
    with pytest.raises(ValueError, match="a bar a step, with autoreset NEXT_STEP"):
        follow_all(make_rule("flat"), env, name="flat", seed=1)
