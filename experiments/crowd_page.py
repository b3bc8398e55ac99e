"""The live page of the crowd's market, a Mesa SolaraViz app: watch it trade, step it, begin storms in it.

    wavetank crowd

The one file that knows Solara; every browser tab has a market of its own. Knows nothing of how a picture is drawn.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import solara
from mesa.visualization import SolaraViz
from mesa.visualization.utils import force_update, update_counter
from solara.server import settings

from ..simulators.population import UNITS
from ..simulators.scenarios import scenario_names
from ..simulators.storms import LAST_BAR, ROLES, Role
from .crowd_pictures import depth_picture, facts_line, holdings_picture, market_picture
from .watched_market import PACES, WatchedMarket, storm_names

STYLE = Path(__file__).with_name("crowd_page.css")
TITLE = "wavetank: the crowd's market"
MOST_SEED = 999  # that the slider offers


@dataclass(frozen=True, slots=True)
class Opening:
    """What the page's first market is."""

    scenario: str = "normal"
    seed: int = 1
    role: Role = "train"
    interval: str = "1m"


class _Door:
    """What `serve` was asked to open; Solara finds the page by its name and hands it nothing."""

    opening = Opening()


def serve(opening: Opening, host: str, port: int, *, open_browser: bool) -> NoReturn:
    """Serve the page until interrupted. Nothing is reported to anybody, and no newer version is looked for."""
    from solara.__main__ import cli, click  # it reads its settings when it is imported

    settings.telemetry.mixpanel_enable = False
    settings.theme.title, settings.theme.show_banner = TITLE, False
    _Door.opening = opening
    shown = "--open" if open_browser else "--no-open"
    quiet = ["--production", "--no-check-version", "--log-level-uvicorn", "warning"]
    try:
        cli(["run", __name__, "--host", host, "--port", str(port), shown, *quiet], standalone_mode=False)
    except click.Abort as error:
        raise KeyboardInterrupt from error
    raise KeyboardInterrupt  # nothing else ends a server, but uvicorn may take the signal for itself and return


@solara.component  # type: ignore[untyped-decorator]  # solara exports no types
def Page() -> None:
    """One browser tab: controls at the side, storms and pictures in the middle."""
    opening = _Door.opening
    first = solara.use_memo(lambda: WatchedMarket(**asdict(opening)), [])
    model = solara.use_reactive(first)
    solara.Title(TITLE)
    solara.Style(STYLE)
    SolaraViz(
        model,
        components=[(Storms, 0), (Market, 0), (Depth, 0), (Holdings, 0)],
        model_params=_parameters(opening),
        name=TITLE,
        play_interval=101,
    )


def Storms(model: WatchedMarket) -> solara.Element:
    """A button a storm, and what the market has been told."""
    return _StormButtons(model, update_counter.get())


@solara.component  # type: ignore[untyped-decorator]  # solara exports no types
def _StormButtons(model: WatchedMarket, turn: int) -> None:
    look = model.look()

    def begin(name: str) -> Callable[[], None]:
        def clicked() -> None:
            try:
                model.begin(name)
            except ValueError as error:
                refused.set(str(error))
            else:
                refused.set("")
            force_update()

        return clicked

    refused = solara.use_reactive("")
    with solara.Column(classes=["crowd-storms"], gap="8px"):
        solara.HTML(unsafe_innerHTML=facts_line(look), classes=["crowd-facts"])
        with solara.Row(classes=["crowd-buttons"], gap="8px"):
            solara.Text("Begin a storm with the next bar:", classes=["crowd-ask"])
            for name in storm_names(model.interval):
                label = name.replace("_", " ")
                solara.Button(label, on_click=begin(name), outlined=True, small=True, classes=[f"storm-{name}"])
        solara.Text(refused.value or look.told, classes=["crowd-told", *(["crowd-refused"] if refused.value else [])])


def Market(model: WatchedMarket) -> solara.Element:
    """Price, spread, volume, two-sided share."""
    return _picture(market_picture(model.look()), "crowd-market")


def Depth(model: WatchedMarket) -> solara.Element:
    """The book now."""
    return _picture(depth_picture(model.look()), "crowd-depth")


def Holdings(model: WatchedMarket) -> solara.Element:
    """The cohorts' positions."""
    return _picture(holdings_picture(model.look()), "crowd-holdings")


def _picture(figure: str, name: str) -> solara.Element:
    return solara.HTML(unsafe_innerHTML=figure, classes=["crowd-picture", name])


def _parameters(opening: Opening) -> dict[str, Any]:
    """The sliders and lists at the side; they take hold with Reset."""
    scenarios = scenario_names()
    if opening.scenario not in scenarios:
        scenarios = [opening.scenario, *scenarios]  # a file of the user's own
    return {
        "scenario": _select("Scenario", opening.scenario, scenarios),
        "onset": _slider("Its storm begins at bar (0: drawn)", 0, LAST_BAR),
        "seed": _slider("Seed", opening.seed, max(MOST_SEED, opening.seed)),
        "role": _select("Ranges that storms are drawn from", opening.role, list(ROLES)),
        "interval": _select("A bar is", opening.interval, list(UNITS)),
        "pace": _select("A step is a", PACES[0], list(PACES)),
    }


def _select(label: str, value: str, values: list[str]) -> dict[str, Any]:
    return {"type": "Select", "label": label, "value": value, "values": values}


def _slider(label: str, value: int, most: int) -> dict[str, Any]:
    return {"type": "SliderInt", "label": label, "value": value, "min": 0, "max": most, "step": 1}
