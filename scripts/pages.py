"""Write the generated pages anew: `python -m wavetank.scripts.pages` (make docs)."""

from pathlib import Path

from ..envs.observation import observation_page

SPECS = ("default", "default_memory", "default_flow", "spine", "spine_memory")


def pages() -> dict[str, str]:
    """Every generated page by its path in the repository."""
    return {"docs/observation.md": observation_page(SPECS)}


def write() -> None:
    """Write them into the working folder, which is the repository's root."""
    for name, text in pages().items():
        Path(name).write_text(text)
        print(f"written: {name}")


if __name__ == "__main__":
    write()
