"""What the doctor sees, and what it removes."""

import os
import sys
from pathlib import Path

import pytest

import wavetank
from wavetank.conf.schema import MemorySchema
from wavetank.experiments.slices import neighbours_in
from wavetank.market import jit
from wavetank.scripts import cli, doctor

from ..envs import own_modules as users
from ..envs.own_modules import module_of

DAY_S = 86_400.0


def _examined(monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wavetank doctor", *flags])
    for name, off in cli.TELEMETRY_OFF.items():
        monkeypatch.setenv(name, os.environ.get(name, off))
    return doctor.main()


def _line(report: str, name: str) -> str:
    return next(line for line in report.splitlines() if line[3:].startswith(f"{name} "))


def test_a_sound_installation_is_told_with_its_origin_and_exits_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _examined(monkeypatch) == 0
    report = capsys.readouterr().out
    assert wavetank.__file__ in _line(report, "wavetank")
    assert "numpy 2." in _line(report, "base")
    assert "torch 2.13.0" in _line(report, "[research]")
    assert "interpreted" in _line(report, "kernels") or "threading layer" in _line(report, "kernels")
    assert report.endswith("sound\n")


def test_telemetry_left_on_is_wrong_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert _examined(monkeypatch, "--keep-cache") == 1
    report = capsys.readouterr().out
    assert "!! telemetry" in report
    assert report.endswith("wrong: telemetry\n")


def test_another_copy_of_the_house_as_working_folder_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "wavetank" / "market").mkdir(parents=True)
    (tmp_path / "wavetank" / "__init__.py").touch()
    (tmp_path / "wavetank" / "market" / "ledger.py").touch()
    monkeypatch.chdir(tmp_path)
    assert _examined(monkeypatch, "--keep-cache") == 1
    assert "another copy of wavetank" in _line(capsys.readouterr().out, "working folder")


def test_absent_data_is_told_and_is_not_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAVETANK_DATA", str(tmp_path / "nowhere"))
    assert _examined(monkeypatch, "--keep-cache") == 0
    assert "nowhere is absent" in _line(capsys.readouterr().out, "data")


@pytest.mark.skipif(not jit.COMPILED, reason="kernels are interpreted: there is no cache to prune")
def test_old_kernel_caches_go_and_fresh_current_and_foreign_folders_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    current = jit.cache_root() / min(jit.kernel_folders())
    old, fresh, foreign = (current.with_name(name) for name in ("0" * 16, "1" * 16, "notes"))
    for folder in (current, old, fresh, foreign):
        folder.mkdir(parents=True)
        (folder / "kernel.nbc").write_bytes(b"code")
    for folder in (current, old, foreign):
        for path in (folder / "kernel.nbc", folder):
            os.utime(path, (2 * DAY_S, 2 * DAY_S))
    assert _examined(monkeypatch) == 0
    assert sorted(path.name for path in current.parent.iterdir()) == sorted([current.name, "1" * 16, "notes"])


def test_what_a_memory_has_found_before_is_told_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = neighbours_in(MemorySchema("statistics", 64, None, 16, 24, None, "known", None))
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "neighbours.bin").write_bytes(b"0" * 1_500_000)
    assert _examined(monkeypatch) == 0
    told = _line(capsys.readouterr().out, "memory cache")
    assert "2 searches, 3.0 MB; may be removed" in told
    assert len(list(folder.iterdir())) == 2


def test_the_extras_of_a_requirement_count_as_required() -> None:
    assert {"gymnasium", "ray"} <= set(doctor._requirements()["research"])
    assert "dm_tree" in doctor._requirements()["research"]  # through ray[rllib]
    assert "torch" not in doctor._requirements()[""]


def _tried(monkeypatch: pytest.MonkeyPatch, folder: Path, *sources: str) -> tuple[int, str]:
    """The doctor's exit code on a module of these sources that lies in the working folder, and its name."""
    module = module_of(folder, monkeypatch, *sources)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return _examined(monkeypatch, module), module


def test_a_sound_module_of_a_users_own_passes_every_trial_and_exits_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, module = _tried(monkeypatch, tmp_path, users.GOOD)
    report = capsys.readouterr().out
    assert code == 0, report
    for trial in ("compiled = interpreted", "look-ahead", "restart", "batch = stream", "finite", "scale"):
        assert f"   {module}:spike {trial} " in report
    assert "µs a bar over whole histories" in _line(report, f"{module}:spike speed")
    assert report.endswith("sound\n")


def test_a_module_with_one_bad_feature_exits_1_and_names_the_trial(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, module = _tried(monkeypatch, tmp_path, users.HIDING, users.BEYOND, users.PRICED)
    report = capsys.readouterr().out
    assert code == 1
    assert f"!! {module}:hiding restart" in report
    assert "IndexError: index 3 is out of bounds" in _line(report, f"{module}:beyond_its_state interpreted")
    assert f"{module}:beyond_its_state look-ahead" not in report, "compiled, it would read what is not its own"
    assert f"wrong: {module}:hiding" in report
    assert "warning: at bar 0 it says 100.0" in _line(report, f"{module}:priced scale")
    assert f"   {module}:priced scale" in report, "a warning is not wrong"


@pytest.mark.skipif(not jit.COMPILED, reason="kernels are interpreted: there is nothing to differ")
def test_a_kernel_with_a_forbidden_form_is_found_to_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, module = _tried(monkeypatch, tmp_path, users.ROUNDING)
    report = capsys.readouterr().out
    assert code == 1
    assert f"!! {module}:rounding compiled = interpreted  another value: docs/kernels.md has the forms" in report


def test_a_module_without_features_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"module json holds no Feature \(wavetank.envs.own.Feature\)"):
        _examined(monkeypatch, "json")
    with pytest.raises(ValueError, match="there is no module no_such_module; is it on PYTHONPATH"):
        _examined(monkeypatch, "no_such_module")
