"""The front door: `wavetank VERB …` opens the verb's door and turns a user's mistake into one sentence.

    wavetank --help
    wavetank train agent=sb3_ppo env=history steps=20000
    eval "$(wavetank --completion)"          # bash: verbs first, then every key and option of the Hydra verbs

Knows the verbs and nothing of what they do: that stands in `scripts/VERB.py`, one `main()` each.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TextIO, cast

from .. import __version__
from .mistakes import is_mistake, sentence

VERBS = {
    "train": "train a policy with PPO on history, on a process or in the arena",
    "sweep": "search hyper-parameters: a resumable, pruning study",
    "evaluate": "score a trained policy out of sample, beside its baselines",
    "walkforward": "train and judge over purged windows that walk through time",
    "stress": "drive a policy and its baselines through storms with paired seeds",
    "promote": "put the evidence before the gates: champion, or refused and why",
    "calibrate": "fit a crowd's traders to real markets: facts, gates, impact and speed at once",
    "prove": "show that both trainers learn where the right answer is known",
    "paper": "trade a policy on paper behind the risk gates, journalled",
    "data": "fetch, import, list and judge bars: what everything else stands on",
    "demo": "the whole way once: market, training, storms, promotion, paper, page",
    "export": "write a run's policy as a passport folder: graph, manifest, golden bars",
    "report": "write a run's results as one self-contained HTML page",
    "replay": "re-create every decision of a journal and print their digest",
    "journal": "verify a journal's hash chain",
    "crowd": "watch the crowd's market in a browser, and begin storms in it",
    "realism": "judge how real the crowd is: facts, gates, book and impact, beside null models",
    "detectors": "train and judge detectors of pumps and spoofing in the crowd",
    "storm": "raise one storm beside its calm twin: bars, tape, measures, picture",
    "memory": "ask the past: what followed the most similar moments known by then",
    "doctor": "say what this installation is, and what is wrong with it",
}
HYDRA_VERBS = ("train", "sweep", "evaluate", "walkforward", "stress", "promote", "calibrate", "prove", "paper")
# The trading loop makes one call a bar: there interpreted kernels are as fast, and start 0.3 s sooner.
INTERPRETED_VERBS = ("paper", "replay", "journal")
TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0"}

MISTAKE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main() -> int:
    """Open the door that the command line names and return its exit code: 0, or 2 for a mistake."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)
    sys.path.append(os.getcwd())  # where a user's own features and rewards are looked for, after all that is installed
    first, rest = (sys.argv[1] if len(sys.argv) > 1 else "--help"), sys.argv[2:]
    if first in ("--help", "-h", "help"):
        print(overview())
        return 0
    if first in ("--version", "-V"):
        print(f"wavetank {__version__}")
        return 0
    if first == "--completion":
        return _guarded("train", ["-sc", "install=bash"])
    if first == "-sc":  # the shell asks, without the verb: it stands in COMP_LINE
        return _complete(sys.argv[1:])
    if first in VERBS:
        return _guarded(first, rest)
    print(f"wavetank: {_unknown(first)}", file=sys.stderr)
    return MISTAKE


def overview() -> str:
    """The text of `wavetank --help`: one line a verb."""
    width = max(map(len, VERBS))
    return "\n".join(
        [
            "usage: wavetank VERB …      wavetank VERB --help      wavetank --version",
            "",
            *(f"  {verb:<{width}}  {line}" for verb, line in VERBS.items()),
            "",
            f"{', '.join(HYDRA_VERBS)} take Hydra overrides, key=value;",
            "the others take a path and flags.",
            "Research software; nothing here is investment advice.",
        ]
    )


def _unknown(verb: str) -> str:
    near = get_close_matches(verb, VERBS, n=1, cutoff=0.5)
    return f"there is no verb '{verb}'; " + (f"did you mean '{near[0]}'?" if near else "'wavetank --help' lists them")


def _guarded(verb: str, rest: Sequence[str]) -> int:
    try:
        return _open(verb, rest)
    except KeyboardInterrupt:
        print(f"wavetank {verb}: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads our output, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost door: a mistake becomes a sentence, a fault is raised on
        if os.environ.get("WAVETANK_TRACEBACK") == "1" or not is_mistake(error):
            raise
        print(f"wavetank {verb}: {sentence(error)}", file=sys.stderr)
        return MISTAKE


def _open(verb: str, rest: Sequence[str]) -> int:
    if verb in INTERPRETED_VERBS:
        os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    sys.argv = [sys.argv[0], *rest]
    door = importlib.import_module(f".{verb}", __package__)
    if verb not in HYDRA_VERBS:
        return int(door.main() or 0)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else Hydra prints errors itself and exits with 1
    with contextlib.redirect_stderr(cast(TextIO, _WithoutPreamble(sys.stderr))):
        return int(door.main() or 0)


class _WithoutPreamble:
    """Standard error without the line that Hydra writes there before it hands a job's error on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if text.startswith("Error executing job with overrides:"):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _complete(args: Sequence[str]) -> int:
    line = os.environ.get("COMP_LINE", "")
    words = line[: int(os.environ.get("COMP_POINT") or len(line))].split(" ")
    if len(words) < 3:
        print("\n".join(verb for verb in VERBS if verb.startswith(words[-1])))
        return 0
    if words[1] not in HYDRA_VERBS:  # the shell falls back to file names
        return 0
    line = " ".join([words[0], *words[2:]])
    os.environ["COMP_LINE"], os.environ["COMP_POINT"] = line, str(len(line))
    return _guarded(words[1], args)


if __name__ == "__main__":
    sys.exit(main())
