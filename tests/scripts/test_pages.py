"""Generated pages are those that today's code would write."""

from pathlib import Path

from wavetank.scripts.pages import pages

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_up_to_date() -> None:
    for name, text in pages().items():
        assert (ROOT / name).read_text() == text, f"{name} is stale: make docs"
