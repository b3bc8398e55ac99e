"""Two small passports that the tests of this folder share: exporting one takes a second."""

from pathlib import Path

import pytest

from .passports import LOG_STD, make_passport, random_network


@pytest.fixture(scope="session")
def passports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sealed folders, by kind of action; tests that change one work on a copy."""
    folder = tmp_path_factory.mktemp("passports")
    return {kind: make_passport(folder / kind, random_network(log_std)) for kind, log_std in LOG_STD.items()}
