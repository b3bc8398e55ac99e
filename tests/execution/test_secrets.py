"""The API's secret: never a default one, never one that others can read."""

import stat
from pathlib import Path

import pytest

from wavetank.execution.secrets import VARIABLE, SecretError, api_secret, write_private

LONG = "x" * 32


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "inner" / "api.secret"
    secret = api_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret) >= 43  # 256 random bits at least
    assert api_secret(path) == secret
    assert api_secret(tmp_path / "other") != secret


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, LONG)
    assert api_secret(tmp_path / "none") == LONG
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o777])
def test_a_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "api.secret"
    write_private(path, LONG)
    path.chmod(mode)
    with pytest.raises(SecretError, match=f"has mode 0{mode:o}: others can read it"):
        api_secret(path)


def test_a_short_secret_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(tmp_path / "short", "x" * 31)
    with pytest.raises(SecretError, match="has 31 bytes, it needs 32 or more"):
        api_secret(tmp_path / "short")
    for given in ("", "super-secret"):
        monkeypatch.setenv(VARIABLE, given)
        with pytest.raises(SecretError, match=VARIABLE):
            api_secret(tmp_path / "none")
