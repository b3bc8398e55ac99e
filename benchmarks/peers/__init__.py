"""Other people's libraries, each at its best setting, to be timed beside ours. They are in the extra `bench`."""

from importlib.util import find_spec


def is_installed(module: str) -> bool:
    """Whether a peer can be timed here; where it cannot, one line says so."""
    found = find_spec(module) is not None
    if not found:
        print(f"peer {module} is not installed: pip install 'wavetank[bench]'")
    return found
