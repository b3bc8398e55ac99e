"""A small passport of each class of policy, which the tests of this folder share: exporting one takes a second."""

from pathlib import Path

import pytest

from .passports import NETWORKS, make_passport


@pytest.fixture(scope="session")
def passports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sealed folders, by class of policy; tests that change one work on a copy."""
    folder = tmp_path_factory.mktemp("passports")
    return {kind: make_passport(folder / kind, kind) for kind in NETWORKS}
