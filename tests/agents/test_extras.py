"""What the mind costs where its libraries are absent: nothing, or one sentence."""

import subprocess
import sys

BLOCKED = "import sys\nfor name in {names!r}: sys.modules[name] = None\n"


def run(code: str, *absent: str) -> subprocess.CompletedProcess[str]:
    blocked = BLOCKED.format(names=absent)
    return subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False)


def test_without_ray_the_rllib_trainer_names_the_extra_in_one_sentence() -> None:
    done = run("import wavetank.agents.rllib", "ray")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: RLlib is not installed")
    assert "pip install 'wavetank[research]'" in last


def test_policies_rules_scalers_and_frozen_policies_need_no_extra() -> None:
    absent = ("torch", "gymnasium", "stable_baselines3", "ray", "onnx", "onnxscript", "numba", "scipy", "pandas")
    code = "from wavetank.agents import policy, rules, scaling, seal, frozen\nprint(rules.make_rule('hold').setting)"
    done = run(code, *absent)
    assert done.stdout.startswith("Setting(name='hold'"), done.stderr
