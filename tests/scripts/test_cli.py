"""The front door, as a user meets it: in a process of its own, with doors of ten lines behind it."""

import errno
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from wavetank import __version__
from wavetank.scripts import cli
from wavetank.scripts.mistakes import is_mistake, sentence

# Doors put in place of two verbs: `report` takes a path and flags, `train` takes Hydra overrides.
DOORS = """
import os, sqlite3, sys, types
from dataclasses import dataclass
from pathlib import Path

def report():
    match sys.argv[1:]:
        case ["argv0"]: print(os.path.basename(sys.argv[0]), os.environ["MLFLOW_DISABLE_TELEMETRY"],
                              os.environ["RAY_USAGE_STATS_ENABLED"], os.environ.get("NUMBA_DISABLE_JIT"))
        case ["seven"]: return 7
        case ["value", text]: raise type("BarsError", (ValueError,), {})(text)
        case ["read", path]: Path(path).read_text()
        case ["extra", name]: raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        case ["locked", path]:
            first = sqlite3.connect(path); first.execute("BEGIN EXCLUSIVE")
            sqlite3.connect(path, timeout=0).execute("CREATE TABLE t (x)")
        case ["fault"]: raise KeyError("ours")
        case ["stop"]: raise KeyboardInterrupt
        case ["chat"]:
            for line in range(100_000): print("line", line)
    return None

def put(verb, main):
    door = types.ModuleType(f"wavetank.scripts.{verb}")
    door.main = main
    sys.modules[door.__name__] = door

put("report", report)
put("replay", report)

if len(sys.argv) > 1 and sys.argv[1] in ("train", "-sc", "--completion"):
    import hydra
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    @dataclass
    class TrainConfig:
        steps: int = 3
        market: str = ""
        def __post_init__(self):
            if self.steps < 0:
                raise type("ConfigError", (ValueError,), {})(f"steps must not be negative, got {self.steps}")

    ConfigStore.instance().store(name="train", node={"hydra": {"run": {"dir": "."}, "output_subdir": None},
                                 "defaults": ["schema", "_self_"]})
    ConfigStore.instance().store(name="schema", node=TrainConfig)

    @hydra.main(version_base="1.3", config_path=None, config_name="train")
    def train(cfg):
        config = OmegaConf.to_object(cfg)
        if config.market:
            Path(config.market).read_text()
        print("steps", config.steps)

    put("train", train)

from wavetank.scripts.cli import main
sys.exit(main())
"""


class Run:
    """Runs the door with the fakes above in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "wavetank"
        self.program.write_text(DOORS)

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(CLEARED)}
        return subprocess.run(
            [sys.executable, str(self.program), *arguments],
            cwd=self.folder, env=clean | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def mistake(self, *arguments: str) -> str:
        """Run what must fail as a user's mistake (code 2, one line on stderr alone) and return that line."""
        done = self(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.strip()


CLEARED = ("MLFLOW_", "RAY_", "NUMBA_", "HYDRA_", "WAVETANK_", "COMP_")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_verb_with_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    for verb, line in cli.VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(line)}$", done.stdout, flags=re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"wavetank {__version__}\n"


def test_an_unknown_verb_is_one_sentence_with_the_nearest_match(run: Run) -> None:
    assert run.mistake("trian") == "wavetank: there is no verb 'trian'; did you mean 'train'?"


def test_a_verb_like_no_other_is_sent_to_the_list(run: Run) -> None:
    assert run.mistake("xyzzy") == "wavetank: there is no verb 'xyzzy'; 'wavetank --help' lists them"


def test_a_door_sees_its_own_arguments_and_telemetry_is_off(run: Run) -> None:
    assert run("report", "argv0").stdout.split() == ["wavetank", "true", "0", "None"]


def test_the_doors_of_the_trading_loop_run_interpreted_unless_told_otherwise(run: Run) -> None:
    assert run("replay", "argv0").stdout.split()[-1] == "1"
    assert run("replay", "argv0", NUMBA_DISABLE_JIT="0").stdout.split()[-1] == "0"


def test_telemetry_that_the_user_switched_on_stays_on(run: Run) -> None:
    assert run("report", "argv0", MLFLOW_DISABLE_TELEMETRY="false").stdout.split()[1] == "false"


def test_a_door_gives_its_own_exit_code(run: Run) -> None:
    assert run("report", "seven").returncode == 7


def test_a_rejected_value_is_told_as_it_was_raised(run: Run) -> None:
    line = run.mistake("report", "value", "bar at 5 is older than the last one, 7")
    assert line == "wavetank report: bar at 5 is older than the last one, 7"


def test_a_missing_file_is_named(run: Run) -> None:
    assert run.mistake("report", "read", "no.parquet") == "wavetank report: no.parquet: no such file or directory"


def test_a_folder_in_place_of_a_file_is_named(run: Run) -> None:
    assert run.mistake("report", "read", ".") == "wavetank report: .: is a directory"


def test_a_locked_database_says_that_another_process_holds_it(run: Run) -> None:
    assert "locked: another process holds it" in run.mistake("report", "locked", "j.db")


@pytest.mark.parametrize(
    ("library", "extra"), [("torch", "research"), ("mlflow.onnx", "research"), ("apprise", "alerts")]
)
def test_a_missing_extra_is_told_with_the_command_that_installs_it(run: Run, library: str, extra: str) -> None:
    line = run.mistake("report", "extra", library)
    assert line == f"wavetank report: {library} is not installed: pip install 'wavetank[{extra}]'"


@pytest.mark.parametrize("arguments", [("fault",), ("extra", "wavetank.nowhere")])
def test_a_fault_of_ours_keeps_its_traceback(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("report", *arguments)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_mistake_shows_its_traceback_when_asked(run: Run) -> None:
    done = run("report", "read", "no.parquet", WAVETANK_TRACEBACK="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_an_interrupt_ends_without_a_traceback(run: Run) -> None:
    done = run("report", "stop")
    assert (done.returncode, done.stderr) == (130, "wavetank report: stopped\n")


def test_a_reader_that_leaves_early_is_no_error(run: Run) -> None:
    command = f"'{sys.executable}' wavetank report chat | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=run.folder, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("line 0\n0\n", "")


def test_overrides_reach_a_hydra_door(run: Run) -> None:
    done = run("train", "steps=12")
    assert (done.returncode, done.stdout, done.stderr) == (0, "steps 12\n", "")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seeed=1", "Could not override 'seeed'; Key 'seeed' not in 'TrainConfig'"),
        ("steps=abc", "Value 'abc' of type 'str' could not be converted to Integer"),
        ("steps=[1", "cannot read the override 'steps=[1'"),
        ("steps=-4", "steps must not be negative, got -4"),
        ("market=no.parquet", "wavetank train: no.parquet: no such file or directory"),
        ("--config-name=nope", "Cannot find primary config 'nope'"),
    ],
)
def test_a_wrong_override_is_one_sentence(run: Run, override: str, told: str) -> None:
    assert told in run.mistake("train", override)


def test_completion_of_the_first_word_offers_verbs(run: Run) -> None:
    assert run("-sc", "query=bash", COMP_LINE="wavetank prom", COMP_POINT="13").stdout.split() == ["promote"]
    all_verbs = run("-sc", "query=bash", COMP_LINE="wavetank ", COMP_POINT="9").stdout.split()
    assert all_verbs == list(cli.VERBS)


def test_completion_behind_a_hydra_verb_offers_its_keys(run: Run) -> None:
    offered = run("-sc", "query=bash", COMP_LINE="wavetank train st", COMP_POINT="17").stdout.split()
    assert offered == ["steps="]


def test_completion_behind_another_verb_is_left_to_the_shell(run: Run) -> None:
    assert run("-sc", "query=bash", COMP_LINE="wavetank report ru", COMP_POINT="18").stdout == ""


def test_completion_installs_under_the_commands_own_name(run: Run) -> None:
    assert run("--completion").stdout.rstrip().endswith("-F hydra_bash_completion wavetank")


def test_a_full_disk_and_a_taken_port_are_mistakes_but_a_broken_socket_is_a_fault() -> None:
    assert is_mistake(OSError(errno.ENOSPC, "No space left on device", "out.db"))
    assert is_mistake(OSError(errno.EADDRINUSE, "Address already in use"))
    assert not is_mistake(OSError(errno.ECONNRESET, "Connection reset by peer"))


def test_a_file_that_is_no_database_is_a_mistake_and_a_broken_constraint_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_text("this is text, not a database; " * 40)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        sqlite3.connect(path).execute("SELECT * FROM t")
    assert is_mistake(caught.value)
    assert sentence(caught.value) == "the database cannot be used: file is not a database"
    assert not is_mistake(sqlite3.IntegrityError("UNIQUE constraint failed"))


def test_an_error_wrapped_by_hydra_is_told_by_its_cause() -> None:
    from hydra.utils import instantiate

    with pytest.raises(Exception, match="Error in call") as caught:
        instantiate(
            {
                "agent": {
                    "_target_": "pathlib.Path.read_text",
                    "_args_": [{"_target_": "pathlib.Path", "_args_": ["no.txt"]}],
                }
            }
        )
    assert is_mistake(caught.value)
    assert sentence(caught.value) == "no.txt: no such file or directory (at agent)"


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("evaluate", "policy is missing: say policy=RUN"),
        ("stress", "run is missing: say run=RUN"),
        ("promote", "run is missing: say run=RUN"),
        ("paper", "policy is missing: say policy=RUN"),
    ],
)
def test_what_a_verb_cannot_do_without_is_told_with_the_word_that_gives_it(run: Run, verb: str, told: str) -> None:
    assert run.mistake(verb) == f"wavetank {verb}: {told}"


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("baselines=[hold,ma_cross(fast=9,slow=3)]", """'baselines=["ma_cross(…)"]'"""),
        ("policy=mine(1)", """'policy="mine(…)"'"""),
    ],
)
def test_text_with_brackets_is_told_to_want_quotes(run: Run, override: str, wanted: str) -> None:
    told = f"wavetank evaluate: cannot read the override '{override}': text with brackets wants quotes, {wanted}"
    assert run.mistake("evaluate", override) == told


def test_a_bare_value_error_out_of_a_library_says_how_to_see_more() -> None:
    with pytest.raises(ValueError, match="broadcast") as caught:
        _add_wrongly()
    assert sentence(caught.value).endswith("(WAVETANK_TRACEBACK=1 shows where)")


def _add_wrongly() -> object:
    import numpy as np

    return np.ones(2) + np.ones(3)
