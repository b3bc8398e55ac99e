"""docs/passport.md, run: its blocks of bash work as they stand, on a passport in the working folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wavetank.envs.passport import load_passport

from .envs.passports import made

PAGE = Path(__file__).parents[1] / "docs" / "passport.md"
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_signing_and_checking_by_hand_work_as_the_page_says(tmp_path: Path) -> None:
    folder = made("both", tmp_path / "passport", lambda kind: tmp_path / kind)
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    given["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), given["PATH"]])
    by_hand, *checks, signing = BLOCKS
    assert "--sign" in signing
    printed = []
    for block in (by_hand, signing, *checks):
        done = subprocess.run(block, shell=True, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    assert printed[0].count(": OK\n") == len(list(folder.iterdir())) - 1
    assert printed[2] == "Signature Verified Successfully\n"
    assert load_passport(tmp_path / "signed").policy.expires_at is not None
    (tmp_path / "signed" / "manifest.sha256").write_text("other\n")
    failed = subprocess.run(checks[0], shell=True, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
    assert "Signature Verification Failure" in failed.stdout
