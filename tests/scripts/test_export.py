"""The door of export, as `wavetank export …` opens it: what it writes, signs and looks at, and what it refuses."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from wavetank.agents.signing import public_of
from wavetank.envs.passport import load_passport
from wavetank.execution.clock import WallClock
from wavetank.scripts import cli

from ..envs.passports import made

KEY = bytes(range(40, 72))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    return made("recurrent", folder / "passport", lambda kind: folder / kind)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    os.environ.clear()  # a door may set variables for its process
    os.environ.update(before)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY.hex())
    path.chmod(0o600)
    return path


class Door:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd

    def __call__(self, *words: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["wavetank", "export", *map(str, words)])
        try:
            code = cli.main()
        except SystemExit as ended:  # argparse leaves so
            code = int(str(ended.code))
        told = self._capfd.readouterr()
        return code, told.out, told.err

    def refused(self, *words: object) -> str:
        code, out, err = self(*words)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1, err
        return err.strip().removeprefix("wavetank export: ")


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Door:
    return Door(monkeypatch, capfd)


def test_a_passport_is_handed_on_as_it_is(door: Door, source: Path) -> None:
    code, out, err = door(source, "--out", "new")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "passport  new",
        "policy    recurrent, ASSET 1h",
        "stages    paper; does not expire",
        "signed    by nobody",
    ]
    assert (Path("new") / "manifest.sha256").read_bytes() == (source / "manifest.sha256").read_bytes()


def test_a_run_s_own_passport_is_found(door: Door, source: Path) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    Path("run/passport").symlink_to(source)
    assert door("run", "--out", "new")[0] == 0
    load_passport("new")


def test_it_is_signed_and_ends_when_it_was_told_to(door: Door, source: Path, key: Path) -> None:
    before = WallClock().now_ms()
    code, out, _ = door(source, "--out", "new", "--sign", key, "--expires", "90", "--stages", "paper")
    passport = load_passport("new", public_key=public_of(KEY))
    ends = passport.policy.expires_at
    assert ends is not None
    began = (ends - timedelta(days=90)).timestamp() * 1000
    assert before <= began <= WallClock().now_ms() + 1
    assert code == 0
    assert f"expires at {ends.isoformat()}" in out
    assert f"signed    {public_of(KEY).hex()}" in out
    assert sorted(path.name for path in Path().iterdir()) == ["key", "new"]


def test_a_signature_is_looked_at_and_nothing_is_written(door: Door, source: Path, key: Path) -> None:
    door(source, "--out", "signed", "--sign", key)
    Path("key.pub").write_text(public_of(KEY).hex())
    for told in ("key.pub", public_of(KEY).hex()):
        code, out, _ = door("signed", "--verify", told)
        assert code == 0
        assert out.startswith("passport  signed\n")
    assert "is signed by" in door.refused("signed", "--verify", public_of(bytes(32)).hex())
    assert "is not signed" in door.refused(source, "--verify", "key.pub", "--out", "new")
    assert sorted(path.name for path in Path().iterdir()) == ["key", "key.pub", "signed"]


def test_a_signed_one_on_other_terms_wants_a_key(door: Door, source: Path, key: Path) -> None:
    door(source, "--out", "signed", "--sign", key)
    told = door.refused("signed", "--out", "new", "--expires", "5")
    assert told == "passport signed is signed: expires_at cannot change without a key that signs"
    assert door("signed", "--out", "new", "--expires", "5", "--sign", key)[0] == 0


def test_an_expired_one_is_not_handed_on(door: Door, source: Path) -> None:
    door(source, "--out", "short", "--expires", "0.0000001")
    assert "passport short expired at" in door.refused("short", "--out", "new")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--expires", "0"], "--expires 0 must lie above 0 and not beyond 36500 days"),
        (["--expires", "-3"], "--expires -3 must lie above 0 and not beyond 36500 days"),
        (["--expires", "nan"], "--expires nan must lie above 0 and not beyond 36500 days"),
        (["--expires", "1e9"], "--expires 1e+09 must lie above 0 and not beyond 36500 days"),
        (["--stages", "paper,moon"], "there is no stage 'moon'; known are paper"),
        (["--stages", ""], "there is no stage ''; known are paper"),
        (["--sign", "no.key"], "no.key: no such file or directory"),
        (["--sign", "open.key"], "open.key has mode 0644: others can read the key; make it 0600"),
        (["--sign", "text.key"], "text.key holds no Ed25519 key: neither 32 raw bytes"),
        (["--verify", "no.pub"], "no.pub: no such file or directory"),
        (["--verify", "text.key"], "text.key holds no public Ed25519 key"),
    ],
)
def test_a_wrong_word_costs_one_sentence_and_writes_nothing(
    door: Door, source: Path, words: list[str], sentence: str
) -> None:
    for name, mode in (("open.key", 0o644), ("text.key", 0o600)):
        Path(name).write_text("no key at all")
        Path(name).chmod(mode)
    assert door.refused(source, "--out", "new", *words).startswith(sentence)
    assert sorted(path.name for path in Path().iterdir()) == ["open.key", "text.key"]


def test_a_taken_folder_and_a_damaged_passport_are_refused(door: Door, source: Path) -> None:
    Path("taken").mkdir()
    assert door.refused(source, "--out", "taken").endswith("taken exists already; name a folder that does not")
    door(source, "--out", "broken")
    manifest = json.loads(Path("broken/manifest.json").read_text())
    Path("broken/manifest.json").write_text(json.dumps({**manifest, "name": "other"}))
    assert door.refused("broken", "--out", "new", "--expires", "3") == (
        "passport broken: manifest.json differs from its hash in manifest.sha256"
    )
    assert not Path("new").exists()


def test_nowhere_to_write_is_an_error_of_usage(door: Door, source: Path) -> None:
    code, out, err = door(source)
    assert (code, out) == (2, "")
    assert err.strip().endswith("say --out DIR, or --verify PUBLICKEY alone")
    assert door(source, "--verify", "00" * 32, "--expires", "3")[0] == 2
