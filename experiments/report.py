"""One self-contained page about a run: verdict with reasons, pictures, gates, timings, where everything came from.

A pure function of the files in the run's folder. What is not there yet is named with the command that makes it; a
file that is there and cannot be read is an error. The page refers to nothing outside itself.
"""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .assumed import cost_rows
from .findings import Findings, read_findings
from .sections import absent, day, equity, paper, storms, timings, training, windows
from .tables import LABELS, facts, figure, number, percent, tiles

PAGE = Path(__file__).with_name("report.html")
STYLE = Path(__file__).with_name("report.css")
REPORT = "report.html"
GATE_NAMES = {"out_of_sample": "Out of sample", "stress": "Stress matrix", "parity": "Parity on paper"}


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write the page of a run, to `report.html` in its folder or to `out`, and return its path."""
    told = read_findings(Path(run))
    path = Path(out) if out is not None else told.folder / REPORT
    page = render(told)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_text(page, encoding="utf-8")
    half.replace(path)
    return path


def render(told: Findings) -> str:
    """The whole page as HTML."""
    sections: list[tuple[str, str, Callable[[Findings], str]]] = [
        ("gates", "Gates", _gates),
        ("equity", "Equity", equity),
        ("windows", "Windows", windows),
        ("storms", "Storms", storms),
        ("paper", "Paper", paper),
        ("training", "Training", training),
        ("timings", "Timings", timings),
        ("provenance", "Provenance", _provenance),
    ]
    body = [
        f'<section aria-labelledby="{key}"><h2 id="{key}">{t}</h2>\n{s(told)}\n</section>' for key, t, s in sections
    ]
    name = str(told.record["config"]["tracking"]["model"])
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{name}: {_verdict_word(told).lower()} · wavetank"),
        style=STYLE.read_text(encoding="utf-8"),
        name=escape(name),
        head=_head(told),
        nav=" ".join(f'<a href="#{key}">{title}</a>' for key, title, _ in sections),
        body="\n".join(body),
    )


def _head(told: Findings) -> str:
    word = _verdict_word(told)
    kind = word.lower().split()[0]
    gates = (told.promotion or {}).get("gates", [])
    reasons = [f"{GATE_NAMES.get(gate['name'], gate['name'])}: {r}" for gate in gates for r in gate["reasons"]]
    lead = {
        "Promoted": "The evidence supports this policy: every gate is open, and it is the champion.",
        "Refused": "The evidence does not support this policy. An honest no is a result; these are the reasons.",
    }.get(word, "Nobody has put this run before the gates yet.")
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    why = f'<ul class="reasons">{listed}</ul>' if listed else ""
    config = told.record["config"]
    meta = f"{config['agent']['backend'].upper()} PPO, {config['steps']:,} steps, seed {config['seed']}, {_began(told)}"
    return (
        f'<h1 class="{kind}">{word}</h1><p class="lead">{lead}</p>{why}<p class="meta">{escape(meta)}</p>{_tiles(told)}'
    )


def _verdict_word(told: Findings) -> str:
    if told.promotion is None:
        return "Not judged"
    return "Promoted" if told.promotion["verdict"] == "promoted" else "Refused"


def _tiles(told: Findings) -> str:
    tracks = told.tracks
    if "policy" not in tracks:
        return ""
    ours = tracks["policy"].metrics()
    hold = tracks["hold"].metrics() if "hold" in tracks else None
    where = "walk-forward" if told.walk else "validation"
    gate = _gate(told, "out_of_sample")
    rows = [
        (
            "Return",
            percent(ours["total_return"]),
            f"{where}; holding {percent(hold['total_return'])}" if hold else where,
        ),
        ("Deepest drawdown", percent(ours["max_drawdown"]), f"holding {percent(hold['max_drawdown'])}" if hold else ""),
        ("Sharpe, a year", number(ours["sharpe"]), f"holding {number(hold['sharpe'])}" if hold else ""),
        ("Costs paid", percent(ours["cost_share"]), "of the first equity: fees, funding, borrow"),
    ]
    if gate and "deflated_sharpe" in gate["figures"]:
        trials = gate["figures"]["trials"]
        rows.insert(3, ("Deflated Sharpe", f"{gate['figures']['deflated_sharpe']:.3f}", f"{trials} trials counted"))
    return tiles(rows)


def _gates(told: Findings) -> str:
    if told.promotion is None:
        return absent("The gates have not been asked.", "wavetank promote run=DIR")
    cards = []
    for gate in told.promotion["gates"]:
        passed, reasons = gate["passed"], [_capital(r) for r in gate["reasons"]] or ["Nothing speaks against it."]
        said = "".join(f"<p>{escape(reason)}</p>" for reason in reasons)
        rows = [(LABELS.get(key, key.replace("_", " ")), figure(key, value)) for key, value in gate["figures"].items()]
        cards.append(
            f'<div class="gate{" open" if passed else ""}"><h3>{GATE_NAMES.get(gate["name"], escape(gate["name"]))}'
            f'<span class="pill">{"open" if passed else "closed"}</span></h3>{said}{facts(rows)}</div>'
        )
    return (
        "<p>A policy becomes champion only if all gates are open. One without usable evidence stays closed.</p>"
        f'<div class="gates">{"".join(cards)}</div>'
    )


def _provenance(told: Findings) -> str:
    record, config = told.record, told.record["config"]
    data = record.get("data", {})
    commit = record.get("git_commit") or "unknown: not a git clone"
    rows = [
        ("Commit", f"{commit}{' and changes on top of it' if record.get('git_dirty') else ''}"),
        ("Config", f"sha256 {record['config_digest']}"),
        ("Lock", f"sha256 {record['lock_sha256']}" if record.get("lock_sha256") else "not found"),
        ("Passport", f"sha256 {told.promotion['passport_sha256']}" if told.promotion else "not judged"),
        ("Seed", f"{record['seed']}; every role, window and worker derives its own from it"),
        ("Data", f"{data.get('source', '')} {data.get('interval', '')}".strip() or "unnamed"),
        *((f"Data, {part}", _slice(data[part])) for part in ("train", "validation", "test") if part in data),
        *cost_rows(config["costs"], data.get("funding")),
        ("Versions", ", ".join(f"{name} {number}" for name, number in record.get("versions", {}).items())),
    ]
    return facts(rows)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _gate(told: Findings, name: str) -> dict[str, Any] | None:
    gates: list[dict[str, Any]] = (told.promotion or {}).get("gates", [])
    return next((gate for gate in gates if gate["name"] == name), None)


def _slice(part: Mapping[str, Any]) -> str:
    return f"{part['bars']:,} bars, {day(part['from'])} – {day(part['until'])}, sha256 {part['sha256'][:16]}…"


def _began(told: Findings) -> str:
    return str(told.record.get("started_at", ""))[:16].replace("T", " ") + " UTC"
