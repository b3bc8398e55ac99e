"""`wavetank crowd`: its mistakes as a user meets them, and the page itself in a real browser."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from wavetank.experiments.watched_market import FIRST_LOOK, storm_names
from wavetank.simulators.crowd import CrowdMarket

from ..browser import Browser, browser_path, wait_for

STEP = "[...document.querySelectorAll('button')].find(b => b.textContent.trim() == 'Step')"
PLAY = "[...document.querySelectorAll('button')].find(b => ['▶', '❚❚'].includes(b.textContent.trim()))"
COMPILING_S = 300.0  # a machine that has compiled nothing yet draws its first picture late

needs_viz = pytest.mark.skipif(find_spec("solara") is None, reason="no solara: pip install 'wavetank[viz]'")


def crowd(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wavetank.scripts.cli", "crowd", *arguments],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def mistake(*arguments: str) -> str:
    done = crowd(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.slow
@needs_viz
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--scenario", "hurricane"), "there is no scenario 'hurricane', there are"),
        (("--seed", "-1"), "--seed -1 is negative"),
        (("--port", "70000"), "--port 70000 is no port, there are 1 … 65535"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(arguments: tuple[str, ...], told: str) -> None:
    assert told in mistake(*arguments)


@pytest.mark.slow
@needs_viz
def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port} at localhost cannot be had" in mistake("--port", str(port))


@pytest.mark.slow
def test_without_the_extra_the_sentence_names_it() -> None:
    code = (
        "import sys; sys.modules['solara'] = None; sys.argv = ['wavetank', 'crowd']\n"
        "from wavetank.scripts.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "wavetank crowd: solara is not installed: pip install 'wavetank[viz]'\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, served by the verb itself on this machine's own address; Ctrl-C must end it without a traceback."""
    if find_spec("solara") is None:
        pytest.skip("no solara: pip install 'wavetank[viz]'")
    browser_path()
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("crowd") / "server.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "wavetank.scripts.cli", "crowd", "--port", str(port), "--seed", "7"],
            stdout=said, stderr=said,
        )  # fmt: skip
        wait_for(lambda: server.poll() is not None or _listens(port), "the server", COMPILING_S)
        assert server.poll() is None, log.read_text()
        yield f"http://localhost:{port}"
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 130, log.read_text()
    assert log.read_text().rstrip().endswith("wavetank crowd: stopped")  # and no traceback of ours after it


@pytest.mark.slow
def test_a_storm_is_begun_by_a_click_and_the_market_falls_before_the_watchers_eyes(
    address: str, tmp_path: Path
) -> None:
    calm = CrowdMarket("normal", 7).run(FIRST_LOOK + 30).bars().close
    with Browser(tmp_path) as page:
        page.open(address)
        wait_for(lambda: page.run("document.querySelectorAll('.crowd-picture svg').length") == 6, "six", COMPILING_S)
        assert _facts(page)["finished bars"] == str(FIRST_LOOK)
        assert _facts(page)["market"] == "normal, seed 7"
        assert page.run("document.querySelectorAll('[class*=storm-]').length") == len(storm_names())
        before = _drawn(page)
        assert {"line market", "line value", "line spread", "line bids", "line asks", "line noise"} <= set(before)
        assert all(_is_in_sight(page, name) for name in ("crowd-market", "crowd-depth", "crowd-holdings"))

        page.click("document.querySelector('.storm-crash')")
        page.wait("document.querySelector('.crowd-told').textContent.includes('Crash begins with bar 60')")
        assert _drawn(page) == before  # the past is as it was
        assert _facts(page)["weather"].startswith("crash until bar")

        for bar in range(FIRST_LOOK + 1, FIRST_LOOK + 31):
            page.click(STEP)
            page.wait(f"document.querySelector('.crowd-facts').textContent.includes('finished bars{bar}')")
        after = _drawn(page)
        assert all(after[line] != before[line] for line in ("line market", "line bids", "line asks", "line noise"))
        lowest = float(re.findall(r"at its lowest ([\d,.]+);", _told(page, "crowd-market"))[0].replace(",", ""))
        assert lowest < 0.98 * calm[FIRST_LOOK:].min()
        assert page.run("document.querySelectorAll('.crowd-market svg.narrow rect.storm').length") == 4  # a panel each

        page.click(PLAY)
        page.wait(f"Number(document.body.innerText.match(/Step: (\\d+)/)[1]) >= {60 * (FIRST_LOOK + 38)}")
        page.click(PLAY)
        assert page.errors == []


@pytest.mark.slow
def test_the_page_fits_a_narrow_window_and_asks_nobody_else_for_anything(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path, width=480, height=900) as page:
        page.open(address)
        wait_for(lambda: page.run("document.querySelectorAll('.crowd-picture svg').length") == 6, "six", COMPILING_S)
        widths = page.run("[...document.querySelectorAll('.crowd-picture')].map(e => e.getBoundingClientRect().right)")
        assert max(widths) <= 480
        assert page.run("document.documentElement.scrollWidth") <= 480
        asked = page.run("performance.getEntriesByType('resource').map(e => e.name)")
        assert len(asked) > 5
        assert [name for name in asked if not name.startswith((address, "data:", "blob:"))] == []


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def _facts(page: Browser) -> dict[str, str]:
    cells = (
        "[...document.querySelectorAll('.crowd-facts .facts > div')].map(e => [...e.children].map(c => c.innerText))"
    )
    return dict(page.run(cells))


def _drawn(page: Browser) -> dict[str, str]:
    """Every line in the pictures that the eye sees, by its class: its path."""
    lines = (
        "[...document.querySelectorAll('.crowd-picture svg.narrow path.line')]"
        ".map(e => [e.className.baseVal, e.getAttribute('d')])"
    )
    return dict(page.run(lines))


def _told(page: Browser, name: str) -> str:
    return str(page.run(f"document.querySelector('.{name} [role=img]').getAttribute('aria-label')"))


def _is_in_sight(page: Browser, name: str) -> bool:
    box = page.run(
        f"(() => {{ const r = [...document.querySelectorAll('.{name} svg')].find(e => e.clientWidth)"
        "?.getBoundingClientRect(); return r && [r.width, r.height]; })()"
    )
    return bool(box and min(box) > 120)
