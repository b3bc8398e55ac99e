"""Passports of every class, made when first asked for and shared: exporting one takes a second."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .passports import made, write_sources


@pytest.fixture(scope="session")
def passport_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """The folder of a class of policy; tests that change one work on a copy."""
    folder, folders = tmp_path_factory.mktemp("classes"), dict[str, Path]()

    def of(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = made(kind, folder / kind, of)
        return folders[kind]

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(write_sources(folder / "sources")))
        patch.setattr(sys, "dont_write_bytecode", True)
        yield of
    for name in [name for name in sys.modules if name.startswith("sealed_desk")]:
        del sys.modules[name]
