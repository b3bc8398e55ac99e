"""A calibrated crowd on disk: the parameter file that `CrowdMarket` reads, headed by its evidence, and all as JSON.

Knows nothing of how the crowd was found.
"""

import json
import os
from pathlib import Path
from typing import Any

from ..simulators.population import PARTS, described
from .calibrate import Calibration

CROWD_FILE, EVIDENCE_FILE = "crowd.yaml", "calibration.json"


def write_calibration(calibration: Calibration, folder: Path) -> Path:
    """Write both files, whole or not at all; return the parameter file."""
    folder.mkdir(parents=True, exist_ok=True)
    evidence = {
        "search": calibration.search,
        "objectives": dict(zip(("missed", "gates", "impact", "micros"), calibration.judged.objectives, strict=True)),
        "evidence": calibration.judged.evidence,
        "crowd": described(calibration.crowd),
    }
    _replace(folder / EVIDENCE_FILE, json.dumps(evidence, indent=1) + "\n")
    path = folder / CROWD_FILE
    _replace(path, crowd_text(calibration))
    return path


def crowd_text(calibration: Calibration) -> str:
    """The parameter file as text."""
    crowd, judged, search = calibration.crowd, calibration.judged, calibration.search
    unit = crowd.unit
    lines = [
        f"# The calm crowd at market steps of {unit.step_ms // 1000} s and bars of {unit.interval}.",
        f"# Written by `wavetank calibrate`: {search['trials']} trials, seed {search['seed']}. On calibration seeds",
        f"# that no trial saw ({search['final_seeds']} windows, {search['final_pairs']} pairs):",
        *(f"#   {name}: {_told(value)}" for name, value in judged.evidence.items()),
        "# What it scores on the reported seeds stands in docs/realism.md. Units: simulators/population.py.",
        f"interval: {unit.interval}",
    ]
    for part in PARTS:
        told = ", ".join(f"{name}: {_number(value)}" for name, value in described(crowd)[part].items())
        lines.append(f"{part}: {{{told}}}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """As Python writes it, but YAML reads 1e-05 as a word: it wants 1.0e-05."""
    text = repr(value)
    return text if "e" not in text or "." in text else text.replace("e", ".0e")


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _replace(path: Path, text: str) -> None:
    waiting = path.with_name(path.name + ".part")
    waiting.write_text(text, encoding="utf-8")
    os.replace(waiting, path)
